"""CMA-ES: pycma behind the ask/tell contract, with private random numbers and exact resumption."""

import contextlib
import math
import warnings
from collections.abc import Callable, Iterator
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from baselines.best_ever import BestEver
from baselines.pycma_state import restore_strategy, strategy_state
from polystep import machine
from polystep.ask_tell import PointOptimizer, replace_non_finite, search_space
from polystep.candidates import DenseCandidates
from polystep.component import component
from polystep.contracts import State
from polystep.layout import ParameterLayout
from polystep.random import generator_state, named_generator, restore_generator
from polystep.subspace import Subspace
from polystep.validation import SettingError, one_of, positive

FULL_BELOW = 1000
"""Parameters from which on "auto" means a diagonal covariance, as in the published runs."""


@component("cma_es", version=1, added=("subspace",), title="CMA-ES", family="evolution strategies")
class CMAES(PointOptimizer):
    """Sample candidates from a normal distribution and adapt its mean, covariance and step size to the best of them.

    candidates x_n ~ N(m, sigma^2 C), n = 1..N; m, C and sigma follow the ranks of their losses. The updates are those of
    pycma with its default options: active covariance update; step size by path length below 300 parameters, by two points
    along the last movement from there on. None of its stopping criteria ends a run. Costs N candidates.
    Source: Hansen, arXiv 1604.00772; https://github.com/CMA-ES/pycma.
    """

    def __init__(
        self,
        layout: ParameterLayout,
        point: Tensor,
        seed: int,
        *,
        population: int | None = None,
        sigma: float = 0.5,
        covariance: Literal["auto", "full", "diagonal"] = "auto",
        report: Literal["mean", "best_ever"] = "mean",
        subspace: Callable[..., Subspace] | None = None,
    ):
        """`point`: first mean. `population`: None for pycma's 4 + 3 ln D. `sigma`: first step size. `covariance`: "auto" is
        full below 1000 parameters. `report`: the solution is the mean, or, as in the published runs, the candidate with the
        lowest loss so far, whichever batch it was on. `subspace`: whose coordinates x are, beginning with zeros. Raises
        ValueError, also where the memory does not suffice.
        """
        if population is not None and population < 4:
            raise SettingError(f"population must be at least 4, or null for 4 + 3 ln D, got {population}")
        one_of(("auto", "full", "diagonal"), covariance=covariance)
        one_of(("mean", "best_ever"), report=report)
        super().__init__(layout, point)
        self._subspace, self._origin = search_space(subspace, layout, self._point, seed), self._point
        self._start = self._point.cpu().double().numpy()
        if self._subspace is not None:
            self._start = np.zeros(self._subspace.coordinates)
        self._population = population or 4 + int(3 * math.log(len(self._start)))
        self._sigma, self._report_best = positive(sigma, "sigma"), report == "best_ever"
        self._diagonal = covariance == "diagonal" or (covariance == "auto" and len(self._start) >= FULL_BELOW)
        if len(self._start) < 2:
            raise SettingError("CMA-ES needs at least two coordinates, got 1; take another optimiser, such as polystep")
        _require_memory(len(self._start), self._population, self._diagonal)
        self._generator = named_generator(seed, "cma_es")
        self._generators = (self._generator,)
        self._best = BestEver(self._point)
        self._strategy = self._new_strategy()

    @property
    def solution(self) -> Tensor:
        """The mean or the best candidate so far (D,), as `report` says."""
        return self._best.point if self._report_best else self._point

    def _new_strategy(self) -> Any:
        # takes a second, which who only asks for the signature of this class need not wait
        import cma

        options = {
            "popsize": self._population,
            "CMA_diagonal": self._diagonal,
            "randn": self._randn,
            # not a number: leave numpy's global generator alone
            "seed": math.nan,
            "verbose": -9,
            "verb_log": 0,
        }
        with _quiet():
            strategy = cma.CMAEvolutionStrategy(self._start, self._sigma, options)
        # a check that ends in a warning at most, but draws from numpy's global generator
        strategy.adapt_sigma.check_consistency = lambda _: None
        return strategy

    def _randn(self, *shape: int) -> NDArray[np.float64]:
        return torch.randn(shape, generator=self._generator, dtype=torch.float64).numpy()

    def _propose(self) -> DenseCandidates:
        # which asking uses up: two-point adaptation of the step size puts the last shift of the mean among the candidates
        self._injected = [direction.copy() for direction in self._strategy.pop_injection_directions]
        with _quiet():
            self._asked = self._strategy.ask()
        return DenseCandidates(self._as_points(np.stack(self._asked)))

    def _give_back(self) -> None:
        super()._give_back()
        self._strategy.pop_injection_directions = self._injected

    def _learn(self, losses: Tensor) -> dict[str, float]:
        losses = losses.double()
        self._best.take(losses, lambda place: self._as_points(self._asked[place]))
        with _quiet():
            self._strategy.tell(self._asked, replace_non_finite(losses).tolist())
        self._point = self._as_points(self._strategy.gp.pheno(self._strategy.mean))
        return {"sigma": float(self._strategy.sigma), "best_loss": self._best.loss}

    def _as_points(self, values: NDArray[np.float64]) -> Tensor:
        points = torch.tensor(values, dtype=self._point.dtype, device=self._point.device)
        return points if self._subspace is None else self._origin + self._subspace.lift(points.unsqueeze(-1))

    def _state(self) -> State:
        return super()._state() | {
            "generator": generator_state(self._generator),
            "best": self._best.state_dict(),
            "strategy": strategy_state(self._strategy),
        }

    def _restore(self, state: State) -> None:
        super()._restore(state)
        restore_generator(self._generator, state["generator"])
        self._best.load_state_dict(state["best"])
        self._strategy = self._new_strategy()
        restore_strategy(self._strategy, state["strategy"])


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """pycma warns about large but usable samples and installs filters of its own; neither shall reach the caller."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"cma\b")
        yield


def _require_memory(parameters: int, population: int, diagonal: bool) -> None:
    """Raise ValueError where pycma's arrays do not fit.

    Measured: at most nine arrays of doubles per candidate and parameter, and nine matrices of a full covariance (itself,
    eigenvectors, inverse root and what decomposing needs).
    """
    samples = 9 * 8 * parameters * population
    matrices = 0 if diagonal else 9 * 8 * parameters**2
    remedy = "use a smaller population or a smaller model"
    if matrices and samples <= machine.available_memory():
        remedy = f"covariance=diagonal needs {samples / 1e9:.2g} GB"
    kind = "diagonal" if diagonal else "full"
    what = f"covariance={kind} of {parameters} parameters with a population of {population}"
    machine.require_memory(samples + matrices, what, remedy)
