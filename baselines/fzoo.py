"""FZOO: one-sided estimates along several sign vectors, and steps in units of the spread of their losses."""

import torch
from torch import Tensor

from polystep.ask_tell import PointOptimizer
from polystep.candidates import SeededCandidates
from polystep.component import component
from polystep.layout import ParameterLayout
from polystep.random import derive_seed
from polystep.schedule import Schedule
from polystep.validation import SettingError, positive, positive_schedule


@component("fzoo", version=1, title="FZOO", family="finite differences")
class FZOO(PointOptimizer):
    """Descend one-sided differences along N sign vectors, divided by the standard deviation of the losses.

    Step t, u_i of independent +-1, i = 1..N:
        l_0 = f(theta),  l_i = f(theta + epsilon u_i)
        gradient = sum_i (l_i - l_0) u_i/(N epsilon)
        theta   <- theta - rate_t gradient/sigma,  sigma^2 = sum_i (l_i - mean l)^2/(N - 1), in place
    Where f is smooth, sigma is about epsilon |its gradient|, so this is normalised descent, of about rate/(epsilon sqrt(N)) in
    every coordinate. Costs N + 1 candidates. Losses that are not finite are left out; a step without l_0, with fewer than two
    l_i or with equal ones moves nothing. The vectors are drawn again from their seeds, so the point is all the memory.
    Source: Dang, Guo, Zhao, Ye, Zheng, Dai and Tsang, "FZOO: fast zeroth-order optimizer for fine-tuning large language models
    towards Adam-scale speed", arXiv 2506.09034 (2025), algorithm 1.
    """

    def __init__(
        self,
        layout: ParameterLayout,
        point: Tensor,
        seed: int,
        *,
        directions: int = 8,
        learning_rate: float | Schedule = 1e-6,
        epsilon: float = 1e-3,
    ):
        """`directions`: N. `epsilon`: size of the perturbation. Raises SettingError."""
        if directions < 2:
            raise SettingError(
                f"directions must be at least 2, as steps are in units of their spread, got {directions}"
            )
        super().__init__(layout, point)
        self._seed, self._directions = seed, directions
        self._learning_rate = positive_schedule(learning_rate, "learning_rate", may_vanish=True)
        self._epsilon = positive(epsilon, "epsilon")

    def _propose(self) -> SeededCandidates:
        """The point itself first."""
        seeds = [derive_seed(self._seed, "fzoo", self._step, i) for i in range(self._directions)]
        scale = torch.full((self._directions + 1,), self._epsilon)
        scale[0] = 0.0
        self._candidates = SeededCandidates(
            self._point, torch.tensor([seeds[0], *seeds]), scale, "rademacher", kept_bytes=0
        )
        return self._candidates

    def _learn(self, losses: Tensor) -> dict[str, float]:
        losses = losses.double()
        usable = torch.isfinite(losses)
        usable[0] = False
        spread = float(losses[usable].std()) if usable.sum() > 1 else 0.0
        if not (torch.isfinite(losses[0]) and spread > 0):
            return {"spread": spread}
        weights = torch.where(usable, losses - losses[0], 0.0) / (usable.sum() * self._epsilon * spread)
        self._point.sub_(self._candidates.combine(weights), alpha=self._learning_rate.at(self._now))
        return {"spread": spread}
