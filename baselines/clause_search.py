"""ClauseSearch: the bookkeeping that local-search solvers for MAX-SAT share, so that a solver is its choice of a variable."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, ClassVar

import numba
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from baselines import clause_kernels as kernels
from polystep.capabilities import ClauseView, clauses_of
from polystep.contracts import Objective, Spent, State, StepReport
from polystep.evaluation.compilation import CompilationClock
from polystep.layout import ParameterLayout
from polystep.random import derive_seed, named_generator
from polystep.validation import at_least


@dataclass
class Chain:
    """What the next flips of one search depend on: its assignment, the unsatisfied clauses in their order and the state of
    its generator; and the best assignment so far with its cost.
    """

    values: NDArray[np.uint8]
    broken: NDArray[np.int32]
    generator: NDArray[np.uint64]
    best: NDArray[np.uint8]
    best_cost: int

    def state(self) -> State:
        """The chain in tensors."""
        return {
            "values": torch.tensor(self.values),
            "broken": torch.tensor(self.broken),
            "generator": torch.tensor(self.generator.view(np.int64)),
            "best": torch.tensor(self.best),
            "best_cost": self.best_cost,
        }

    @classmethod
    def of_state(cls, state: State) -> "Chain":
        """The chain that `state` was taken of."""
        arrays = {name: state[name].cpu().numpy().copy() for name in ("values", "broken", "best")}
        return cls(
            **arrays,
            generator=state["generator"].cpu().numpy().copy().view(np.uint64),
            best_cost=int(state["best_cost"]),
        )


class Problem:
    """Clauses, hard ones first, and for every variable where it occurs.

    `unit` is the mean weight of soft clauses.
    """

    def __init__(self, clauses: ClauseView, clock: CompilationClock):
        self.codes, self.starts, self.variables = clauses.codes, clauses.starts, clauses.variables
        self.count = len(self.starts) - 1
        self.weighted = clauses.weights is not None
        self.weights = clauses.weights if self.weighted else np.empty(0, np.int64)
        self.hard = 0 if clauses.hard is None else int(clauses.hard.sum())
        if self.hard:
            order = np.argsort(~clauses.hard, kind="stable")
            lengths = np.diff(self.starts)[order]
            starts = np.concatenate([np.zeros(1, np.int64), lengths.cumsum()])
            self.codes = self.codes[np.repeat(self.starts[order] - starts[:-1], lengths) + np.arange(len(self.codes))]
            self.starts, self.weights = starts, self.weights[order] if self.weighted else self.weights
        soft = self.weights[self.hard :]
        self.unit = max(1, round(float(soft.mean()))) if len(soft) else 1
        index = clock.call(kernels.index_occurrences, self.codes, self.starts, self.variables)
        self.occurrences, self.first = index


class ChainSearch:
    """One chain at work on a problem, with what can be computed from its assignment."""

    def __init__(
        self, problem: Problem, chain: Chain | None, start: NDArray[np.uint8], seed: int, clock: CompilationClock
    ):
        """`chain`: to be continued; None: one that begins at `start`, with random numbers of `seed`."""
        self._problem = problem
        values = start if chain is None else chain.values
        self._satisfiers = np.empty((problem.count, 2), np.int32)
        self._breaks = np.empty(problem.variables, np.int64 if problem.weighted else np.int32)
        arguments = (problem.codes, problem.starts, problem.weights, values, self._satisfiers, self._breaks)
        self.cost = int(clock.call(kernels.evaluate, *arguments))
        if chain is None:
            broken = np.flatnonzero(self._satisfiers[:, 0] == 0).astype(np.int32)
            chain = Chain(values.copy(), broken, np.array([seed], np.uint64), values.copy(), self.cost)
        self.chain = chain
        self._broken, self._places = np.empty((2, problem.count), np.int32)
        is_hard = chain.broken < problem.hard
        self._counts = np.array([(~is_hard).sum(), is_hard.sum()])
        soft, hard = self._sections()
        self._broken[hard], self._broken[soft] = chain.broken[is_hard], chain.broken[~is_hard]
        for section in (soft, hard):
            self._places[self._broken[section]] = np.arange(section.start, section.stop)

    def _sections(self) -> tuple[slice, slice]:
        """Where the unsatisfied soft clauses are, and the hard ones."""
        soft, hard = self._counts.tolist()
        return slice(self._problem.hard, self._problem.hard + soft), slice(0, hard)

    def arguments(self, parameters: NDArray[np.float64], trail: NDArray[np.int32]) -> tuple[Any, ...]:
        """What a kernel is called with, to flip as often as `trail` has room for."""
        problem, chain = self._problem, self.chain
        return (
            len(trail),
            *(problem.codes, problem.starts, problem.weights, problem.hard, problem.occurrences, problem.first),
            *(chain.values, self._satisfiers, self._breaks, self._broken, self._places, self._counts, self.cost),
            *(problem.unit, parameters, chain.generator, trail),
        )

    def run(self, kernel: Any, flips: int, parameters: NDArray[np.float64]) -> tuple[int, int]:
        """Flip; returns how often, and how many clauses were visited."""
        problem, chain = self._problem, self.chain
        trail = np.empty(flips, np.int32)
        done, visits, self.cost, lowest, met = kernel(*self.arguments(parameters, trail))
        soft, hard = self._sections()
        chain.broken = np.concatenate([self._broken[hard], self._broken[soft]])
        if lowest < chain.best_cost:
            # what was flipped an odd number of times since then is the other way round now
            since = np.bincount(trail[met:done], minlength=problem.variables) & 1
            chain.best, chain.best_cost = chain.values ^ since.astype(np.uint8), lowest
        return done, visits


class ClauseSearch(ABC):
    """Independent searches by flips, each of a variable of a random unsatisfied clause.

    A step makes `flips_per_step` flips in each of `chains` searches, which run side by side; the first starts from the signs
    of the point, the others from random assignments. The solution is the best assignment that any has met, as -1 and 1.
    Hard clauses come first: as long as one is unsatisfied, only such are chosen. Charges a candidate per flip, and every clause
    that a flip visits. Where everything is satisfied, a search flips nothing
    more, and the first to get there ends the run.
    """

    choose: ClassVar[Any]
    """Compiled: which literal of a clause to flip, see `clause_kernels.build_search`."""

    def __init__(
        self, layout: ParameterLayout, point: Tensor, seed: int, *, flips_per_step: int = 100_000, chains: int = 1
    ):
        """`point`: start (n,), not changed."""
        at_least(1, flips_per_step=flips_per_step, chains=chains)
        self.flips_per_step, self.chains = flips_per_step, chains
        self._point, self._seed = layout.copy_of(point), seed
        self._searches: list[ChainSearch] = []
        self._chains: list[Chain] = []

    @abstractmethod
    def parameters(self) -> NDArray[np.float64]:
        """What `choose` is told besides the break scores."""

    @property
    def solution(self) -> Tensor:
        """The best assignment so far as -1 and 1, shape (n,); the starting point before the first step."""
        if not self._chains:
            return self._point
        best = min(self._chains, key=lambda chain: chain.best_cost).best
        return torch.from_numpy(2 * best.astype(np.float32) - 1).to(self._point.device)

    def step(self, objective: Objective, used: float) -> StepReport:
        """Flips in all searches; raises CapabilityUnavailable where the task has no clauses."""
        return clauses_of(objective).search(self._flip)

    def _flip(self, clauses: ClauseView) -> tuple[StepReport, Spent]:
        clock = CompilationClock()
        if not self._searches:
            problem = Problem(clauses, clock)
            chains: Sequence[Chain | None] = self._chains or [None] * self.chains
            self._searches = [self._search(problem, chain, number, clock) for number, chain in enumerate(chains)]
            self._chains = [search.chain for search in self._searches]
        kernel = kernels.build_search(type(self).choose, clauses.weights is not None, clauses.hard is not None)
        clock.compile(kernel, *self._searches[0].arguments(self.parameters(), np.empty(0, np.int32)))
        spent = Spent(compilation_seconds=clock.seconds)
        with ThreadPoolExecutor(min(self.chains, numba.get_num_threads())) as pool:
            for flips, visits in pool.map(
                lambda search: search.run(kernel, self.flips_per_step, self.parameters()), self._searches
            ):
                spent += Spent(candidate_evaluations=flips, clause_checks=visits)
        cost = clauses.scale * sum(search.cost for search in self._searches) / self.chains
        best = clauses.scale * min(chain.best_cost for chain in self._chains)
        return StepReport(cost, {"best": best}, finished=best == 0), spent

    def _search(self, problem: Problem, chain: Chain | None, number: int, clock: CompilationClock) -> ChainSearch:
        if number == 0:
            start = (self._point > 0).byte().cpu().numpy()
        else:
            generator = named_generator(self._seed, "start", number)
            start = torch.randint(2, (problem.variables,), generator=generator).byte().numpy()
        return ChainSearch(problem, chain, start, derive_seed(self._seed, "flips", number), clock)

    def state_dict(self) -> State:
        """The chains."""
        return {"chains": {str(number): chain.state() for number, chain in enumerate(self._chains)}}

    def load_state_dict(self, state: State) -> None:
        """Continue exactly where `state` was taken."""
        chains = state["chains"]
        self._chains = [Chain.of_state(chains[str(number)]) for number in range(len(chains))]
        self._searches = []
