"""OpenAI-ES: evolution strategies with mirrored sampling, one gradient estimate from ranked losses per generation."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor

from polystep.ask_tell import PointOptimizer, search_space
from polystep.candidates import SeededCandidates
from polystep.component import component
from polystep.contracts import State
from polystep.layout import ParameterLayout
from polystep.random import derive_seed
from polystep.schedule import Moment, Schedule
from polystep.subspace import Subspace
from polystep.validation import non_negative, positive_schedule

Shaping = Literal["ranks", "ranks_by_position", "z_score"]


@component("openai_es", version=1, added=("subspace",), title="OpenAI-ES", family="evolution strategies")
class OpenAIES(PointOptimizer):
    """Estimate a gradient of the smoothed loss from mirrored pairs of Gaussian perturbations, and climb it.

    Generation g = 1, 2, ..., with pairs i = 1..N/2, candidates theta +- sigma_g e_i and utilities u of their losses:
        gradient = sum_i (u_i+ - u_i-) e_i / (N sigma_g)
        theta   <- (theta + rate_g gradient)(1 - rate_g weight_decay)
    Costs N candidates. Noise is drawn again from its seed where it is needed, so no (N, D) array exists here. The published
    rate falls linearly, rate (1 - g/G), and so ends at 0. Source: Salimans et al., arXiv 1703.03864; protocol section 2.
    """

    def __init__(
        self,
        layout: ParameterLayout,
        point: Tensor,
        seed: int,
        *,
        population: int = 50,
        sigma: float | Schedule = 0.02,
        learning_rate: float | Schedule = 0.01,
        weight_decay: float = 0.0,
        shaping: Shaping = "ranks",
        report: Literal["mean", "best_ever"] = "mean",
        subspace: Callable[..., Subspace] | None = None,
    ):
        """`population`: candidates per generation, even. `sigma`: standard deviation of the perturbations. `shaping`: what
        becomes of the losses, see `centred_ranks`, `centred_ranks_by_position` and `z_scores`. `report`: the solution is
        theta, or, as in the published MAX-SAT runs, the candidate with the lowest loss so far. `subspace`: whose coordinates
        e perturbs. Schedules over steps are read at g. Raises ValueError.
        """
        if population < 2 or population % 2:
            raise ValueError(
                f"population must be an even number of at least 2, as candidates come in mirrored pairs, got {population}"
            )
        if shaping not in _UTILITIES:
            raise ValueError(f"shaping must be 'ranks', 'ranks_by_position' or 'z_score', got {shaping!r}")
        if report not in ("mean", "best_ever"):
            raise ValueError(f"report must be 'mean' or 'best_ever', got {report!r}")
        super().__init__(layout, point)
        self._seed, self._pairs = seed, population // 2
        self._sigma = positive_schedule(sigma, "sigma")
        self._learning_rate = positive_schedule(learning_rate, "learning_rate", may_vanish=True)
        self._weight_decay = non_negative(weight_decay, "weight_decay")
        self._utilities = _UTILITIES[shaping]
        self._report_best = report == "best_ever"
        self._subspace = search_space(subspace, layout, self._point, seed)
        self._best, self._best_loss = self._point, math.inf

    @property
    def solution(self) -> Tensor:
        """Theta or the best candidate so far (D,), as `report` says."""
        return self._best if self._report_best else self._point

    @property
    def _generation(self) -> Moment:
        return replace(self._now, step=self._step + 1)

    def _propose(self) -> SeededCandidates:
        """Pair after pair, +sigma e before -sigma e."""
        seeds = [derive_seed(self._seed, "openai_es", self._step, pair) for pair in range(self._pairs)]
        sigma = self._sigma.at(self._generation)
        self._candidates = SeededCandidates(
            self._point,
            torch.tensor(seeds).repeat_interleave(2),
            torch.tensor([sigma, -sigma]).repeat(self._pairs),
            subspace=self._subspace,
        )
        return self._candidates

    def _learn(self, losses: Tensor) -> dict[str, float]:
        if self._report_best:
            self._keep_best(losses)
        utilities = self._utilities(losses.double())
        weights = torch.zeros_like(utilities)
        weights[::2] = utilities[::2] - utilities[1::2]
        gradient = self._candidates.combine(weights)
        gradient /= len(utilities) * float(self._candidates.scale[0])
        rate = self._learning_rate.at(self._generation)
        before = self._point
        self._point = (before + rate * gradient) * (1 - rate * self._weight_decay)
        return {"gradient_norm": float(gradient.norm()), "movement": float((self._point - before).norm())}

    def _keep_best(self, losses: Tensor) -> None:
        lowest = int(torch.where(torch.isfinite(losses), losses, torch.inf).argmin())
        if losses[lowest] < self._best_loss:
            (self._best,) = self._candidates.dense(slice(lowest, lowest + 1))
            self._best_loss = float(losses[lowest])

    def _state(self) -> State:
        if self._best_loss == math.inf:
            return super()._state()
        return super()._state() | {"best": {"point": self._best, "loss": self._best_loss}}

    def _restore(self, state: State) -> None:
        super()._restore(state)
        best = state.get("best")
        self._best, self._best_loss = (best["point"].clone(), best["loss"]) if best else (self._point, math.inf)


def centred_ranks(losses: Tensor) -> Tensor:
    """Utilities rank/(N - 1) - 1/2 in [-1/2, 1/2], the lowest loss highest; shape (N,).

    Losses that are not finite rank last. Equal losses share their mean rank, so a plateau gives no direction.
    """
    ordered = torch.where(torch.isfinite(losses), losses, torch.inf)
    _, place, counts = torch.unique(-ordered, return_inverse=True, return_counts=True)
    counts = counts.to(losses.dtype)
    ranks: Tensor = counts.cumsum(0) - (counts + 1) / 2
    return ranks[place] / (len(losses) - 1) - 0.5


def centred_ranks_by_position(losses: Tensor) -> Tensor:
    """Utilities as `centred_ranks` has them, but of equal losses the later one ranks higher, all +e before all -e; shape (N,).

    So where all candidates do equally well, each generation still moves by a sum of all its noise. As in the published
    code for networks, whose losses are hardly ever equal (protocol section 2).
    """
    ordered = torch.where(torch.isfinite(losses), losses, torch.inf).reshape(-1, 2).T.flatten()
    ranks = torch.empty_like(ordered)
    ranks[ordered.argsort(descending=True, stable=True)] = torch.arange(len(losses)).to(ranks)
    return ranks.reshape(2, -1).T.flatten() / (len(losses) - 1) - 0.5


def z_scores(losses: Tensor) -> Tensor:
    """Utilities (mean - loss)/std, all zero where std < 1e-8; shape (N,). Losses that are not finite count as the worst."""
    finite = torch.isfinite(losses)
    rewards = -torch.where(finite, losses, losses[finite].max())
    deviation = rewards.std(correction=0)
    return torch.zeros_like(rewards) if deviation < 1e-8 else (rewards - rewards.mean()) / deviation


_UTILITIES = {"ranks": centred_ranks, "ranks_by_position": centred_ranks_by_position, "z_score": z_scores}
