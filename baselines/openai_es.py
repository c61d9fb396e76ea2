"""OpenAI-ES: evolution strategies with mirrored sampling, one gradient estimate from ranked losses per generation."""

from collections.abc import Callable
from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor

from baselines.best_ever import BestEver
from baselines.shaping import centred_ranks, centred_ranks_by_position, check_population, pair_weights, z_scores
from polystep.ask_tell import PointOptimizer, search_space
from polystep.candidates import SeededCandidates
from polystep.component import component
from polystep.contracts import State
from polystep.layout import ParameterLayout
from polystep.noise import MirroredCandidates, Noise
from polystep.random import derive_seed
from polystep.schedule import Moment, Schedule
from polystep.subspace import Subspace
from polystep.update import Update
from polystep.validation import SettingError, non_negative, one_of, positive_schedule

Shaping = Literal["ranks", "ranks_by_position", "z_score"]
_UTILITIES = {"ranks": centred_ranks, "ranks_by_position": centred_ranks_by_position, "z_score": z_scores}


@component(
    "openai_es", version=1, added=("subspace", "noise", "update"), title="OpenAI-ES", family="evolution strategies"
)
class OpenAIES(PointOptimizer):
    """Estimate a gradient of the smoothed loss from mirrored pairs of Gaussian perturbations, and climb it.

    Generation g = 1, 2, ..., with pairs i = 1..N/2, candidates theta +- sigma_g e_i and utilities u of their losses:
        gradient = sum_i (u_i+ - u_i-) e_i / (N sigma_g)
        theta   <- (theta + rate_g gradient)(1 - rate_g weight_decay)
    or, with an `update`, theta + update(gradient): `polystep.update.Adaptive` takes its moments, as the source's Adam does, but
    its decay is decoupled. Costs N candidates. Of more noise than `KEPT_BYTES` the rest is drawn again from its seeds. The
    published rate falls linearly, rate (1 - g/G), and so ends at 0. Source: Salimans et al., arXiv 1703.03864; EDITIONS.md,
    rivals.
    """

    def __init__(
        self,
        layout: ParameterLayout,
        point: Tensor,
        seed: int,
        *,
        population: int = 50,
        sigma: float | Schedule = 0.02,
        learning_rate: float | Schedule | None = None,
        weight_decay: float = 0.0,
        shaping: Shaping = "ranks",
        report: Literal["mean", "best_ever"] = "mean",
        subspace: Callable[..., Subspace] | None = None,
        noise: Noise | None = None,
        update: Update | None = None,
    ):
        """`population`: candidates per generation, even. `sigma`: standard deviation of the perturbations. `shaping`: what
        becomes of the losses, see `centred_ranks`, `centred_ranks_by_position` and `z_scores`. `report`: the solution is
        theta, or, as in the published MAX-SAT runs, the candidate with the lowest loss so far. `subspace`: whose coordinates
        e perturbs. `noise`: where e comes from instead, see `polystep.noise`. `learning_rate`: None is 0.01; schedules over
        steps are read at g. `update`: has a rate, read at g - 1, and a decay of its own. Raises ValueError.
        """
        check_population(population)
        one_of((*_UTILITIES,), shaping=shaping)
        one_of(("mean", "best_ever"), report=report)
        if subspace is not None and noise is not None:
            raise SettingError(
                "subspace and noise both say how perturbations are drawn; give one of optimizer.subspace and optimizer.noise"
            )
        if update is not None and (learning_rate is not None or weight_decay):
            raise SettingError(
                "an update has a rate and a decay of its own; set optimizer.learning_rate=null and optimizer.weight_decay=0, "
                "or optimizer.update=null and a learning_rate"
            )
        if update is not None and subspace is not None:
            raise SettingError(
                "an update moves single parameters and so leaves the subspace; set optimizer.subspace=null or "
                "optimizer.update=null"
            )
        super().__init__(layout, point)
        self._candidates: MirroredCandidates
        self._sigma_in_float32: float
        self._layout, self._noise = layout, noise
        self._seed, self._pairs = seed, population // 2
        self._sigma = positive_schedule(sigma, "sigma")
        rate = 0.01 if learning_rate is None else learning_rate
        self._learning_rate = positive_schedule(rate, "learning_rate", may_vanish=True)
        self._weight_decay = non_negative(weight_decay, "weight_decay")
        self._update = update
        self._utilities = _UTILITIES[shaping]
        self._report_best = report == "best_ever"
        self._subspace = search_space(subspace, layout, self._point, seed)
        self._best = BestEver(self._point)

    @property
    def solution(self) -> Tensor:
        """Theta or the best candidate so far (D,), as `report` says."""
        return self._best.point if self._report_best else self._point

    @property
    def _generation(self) -> Moment:
        return replace(self._now, step=self._step + 1)

    def _propose(self) -> MirroredCandidates:
        """Pair after pair, +sigma e before -sigma e."""
        numbers = [derive_seed(self._seed, "openai_es", self._step, pair) for pair in range(self._pairs)]
        seeds, sigma = torch.tensor(numbers), self._sigma.at(self._generation)
        self._sigma_in_float32 = float(torch.tensor(sigma))
        if self._noise is not None:
            self._candidates = self._noise.mirrored(self._layout, self._point, seeds, sigma)
        else:
            scale = torch.tensor([sigma, -sigma]).repeat(self._pairs)
            seeds = seeds.repeat_interleave(2)
            self._candidates = SeededCandidates(self._point, seeds, scale, subspace=self._subspace)
        return self._candidates

    def _learn(self, losses: Tensor) -> dict[str, float]:
        if self._report_best:
            self._best.take(losses, lambda place: self._candidates.dense(slice(place, place + 1))[0])
        gradient = self._candidates.combine(pair_weights(self._utilities(losses.double())))
        gradient /= len(losses) * self._sigma_in_float32
        before = self._point
        if self._update is None:
            rate = self._learning_rate.at(self._generation)
            self._point = (before + rate * gradient) * (1 - rate * self._weight_decay)
        else:
            self._point = before + self._update.move(gradient, self._now, before)
        return {"gradient_norm": float(gradient.norm()), "movement": float((self._point - before).norm())}

    def _state(self) -> State:
        state = super()._state()
        if self._report_best:
            state["best"] = self._best.state_dict()
        if self._update is not None:
            state["update"] = self._update.state_dict()
        return state

    def _restore(self, state: State) -> None:
        super()._restore(state)
        if self._update is not None:
            self._update.load_state_dict(state["update"])
        if self._report_best:
            self._best.load_state_dict(state["best"])
