"""EGGROLL: evolution strategies whose perturbations are matrices of low rank."""

from typing import Literal

import torch
from torch import Tensor

from baselines.shaping import centred_ranks, check_population, pair_signs, pair_weights, z_scores
from polystep.ask_tell import PointOptimizer
from polystep.component import component
from polystep.layout import Entry, ParameterLayout
from polystep.low_rank import LowRankCandidates
from polystep.random import derive_seed, named_generator
from polystep.schedule import Schedule
from polystep.validation import at_least, one_of, positive_schedule

Shaping = Literal["z_score", "ranks", "signs"]
_UTILITIES = {"z_score": z_scores, "ranks": centred_ranks, "signs": pair_signs}


@component("eggroll", version=1, title="EGGROLL", family="evolution strategies")
class EGGROLL(PointOptimizer):
    """Estimate a gradient of the smoothed loss from mirrored pairs of low-rank perturbations, and climb it.

    Step t, pairs i = 1..N/2, E_i = A_i B_i^T/sqrt(rank) in each weight matrix, A_i and B_i of standard normal numbers, and such
    numbers themselves in other tensors; candidates theta +- sigma_t E_i, utilities u of their losses:
        theta <- theta + rate_t sum_i (u_i+ - u_i-) E_i/N
    1/sigma is part of the rate; the sum has full rank. Costs N candidates. The authors' code, whose rate is multiplied by
    sigma sqrt(N) besides, has z-scores. Source: Sarkar et al., Evolution Strategies at the Hyperscale (2025), arXiv 2511.16652,
    algorithm 1 and equation 8.
    """

    def __init__(
        self,
        layout: ParameterLayout,
        point: Tensor,
        seed: int,
        *,
        population: int = 32,
        sigma: float | Schedule = 0.02,
        learning_rate: float | Schedule = 0.01,
        rank: int = 1,
        shaping: Shaping = "z_score",
        input_directions: int | None = None,
    ):
        """`population`: candidates per step, even. `sigma`: standard deviation of the perturbations. `shaping`: what becomes of
        the losses, see `baselines.shaping`. `input_directions`: B consists of normal combinations of so many orthonormal
        vectors of each matrix, at most of its rows and inputs, drawn once for the run; None: of all. The revised edition of the
        PolyStep paper has "signs" and the rank of its subspace. Raises SettingError.
        """
        check_population(population)
        one_of((*_UTILITIES,), shaping=shaping)
        at_least(1, rank=rank)
        if input_directions is not None:
            at_least(1, input_directions=input_directions)
        super().__init__(layout, point)
        self._layout, self._seed, self._pairs, self._rank = layout, seed, population // 2, rank
        self._sigma = positive_schedule(sigma, "sigma")
        self._learning_rate = positive_schedule(learning_rate, "learning_rate", may_vanish=True)
        self._utilities = _UTILITIES[shaping]
        matrices = [entry for entry in layout.entries if len(entry.shape) > 1] if input_directions else []
        self._input_bases = {entry.name: self._basis(entry, input_directions or 0) for entry in matrices}

    def _basis(self, entry: Entry, count: int) -> Tensor:
        inputs = entry.size // entry.shape[0]
        generator = named_generator(self._seed, "eggroll inputs", entry.name, device=self._point.device)
        shape = (inputs, min(count, inputs, entry.shape[0]))
        gaussian = torch.randn(shape, generator=generator, device=self._point.device)
        basis: Tensor = torch.linalg.qr(gaussian).Q.T
        return basis.to(self._point.dtype)

    def _propose(self) -> LowRankCandidates:
        """Pair after pair, +sigma E before -sigma E."""
        seeds = [derive_seed(self._seed, "eggroll", self._step, pair) for pair in range(self._pairs)]
        sigma = self._sigma.at(self._now)
        self._candidates = LowRankCandidates(
            self._point,
            self._layout,
            torch.tensor(seeds).repeat_interleave(2),
            torch.tensor([sigma, -sigma]).repeat(self._pairs),
            self._rank,
            self._input_bases,
        )
        return self._candidates

    def _learn(self, losses: Tensor) -> dict[str, float]:
        direction = self._candidates.combine(pair_weights(self._utilities(losses.double()))) / len(losses)
        movement = self._learning_rate.at(self._now) * direction
        self._point = self._point + movement
        return {"movement": float(movement.norm())}
