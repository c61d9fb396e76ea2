"""What SPSA and MeZO share: two losses along one random direction, and a step along that direction."""

import math
from abc import abstractmethod
from collections.abc import Callable
from typing import ClassVar

import torch
from torch import Tensor

from polystep.ask_tell import PointOptimizer, search_space
from polystep.candidates import KEPT_BYTES, NoiseDistribution, SeededCandidates
from polystep.layout import ParameterLayout
from polystep.random import derive_seed
from polystep.subspace import Subspace


class TwoPointOptimizer(PointOptimizer):
    """Measure the slope along one random direction z and step down it.

        slope  = (f(theta + radius z) - f(theta - radius z))/(2 radius)
        theta <- theta - rate slope z, in place

    Costs two candidates. A step whose slope is not finite moves nothing.
    """

    distribution: ClassVar[NoiseDistribution]
    kept_bytes: ClassVar[int] = KEPT_BYTES
    """How much memory z may take between evaluation and step; where that is too little, it is drawn twice."""

    def __init__(
        self, layout: ParameterLayout, point: Tensor, seed: int, subspace: Callable[..., Subspace] | None = None
    ):
        """`subspace`: whose coordinates z perturbs; None: the parameters themselves."""
        super().__init__(layout, point)
        self._seed = seed
        self._subspace = search_space(subspace, layout, self._point, seed)

    @abstractmethod
    def _gains(self) -> tuple[float, float]:
        """Rate and radius of step `_step`."""

    def _propose(self) -> SeededCandidates:
        _, radius = self._gains()
        seed = derive_seed(self._seed, "two-point direction", self._step)
        scale = torch.tensor([radius, -radius])
        self._candidates = SeededCandidates(
            self._point,
            torch.tensor([seed, seed]),
            scale,
            self.distribution,
            subspace=self._subspace,
            kept_bytes=self.kept_bytes,
        )
        return self._candidates

    def _learn(self, losses: Tensor) -> dict[str, float]:
        rate, radius = self._gains()
        slope = float(losses[0] - losses[1]) / (2 * radius)
        if not math.isfinite(slope):
            return {}
        self._point.add_(self._candidates.noise(0), alpha=-rate * slope)
        return {"slope": slope}
