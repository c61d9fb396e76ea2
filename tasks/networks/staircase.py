"""The staircase network: 784-128-128-10 with activations floor(5 sigmoid(z))/5."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from polystep.capabilities import GradientKind
from polystep.component import component
from polystep.evaluation.layered import Activation, CompiledActivation
from tasks.networks.multilayer_perceptron import MultilayerPerceptron

STEPS = 5


def _rise(value: float) -> float:
    """The smallest float32 that is at least `value`."""
    nearest = np.float32(value)
    return float(nearest if float(nearest) >= value else np.nextafter(nearest, np.float32(math.inf)))


THRESHOLDS = (*(_rise(math.log(level / (STEPS - level))) for level in range(1, STEPS)), _rise(24 * math.log(2)))
"""Where the stairs rise: at log(k/(5 - k)), exactly, so that no path depends on how its sigmoid rounds; and at 24 log 2, from
where on the sigmoid is 1 in float32 (in real numbers it never is)."""


def staircase(z: Tensor) -> Tensor:
    """floor(5 sigmoid(z))/5, one of 0, 0.2, ..., 1; NaN stays NaN. Source: EDITIONS.md, networks."""
    level = torch.stack([z >= threshold for threshold in THRESHOLDS]).sum(0).to(z.dtype)
    return torch.where(z.isnan(), z, level / STEPS)


class Staircase(nn.Module):
    """The stairs as a module."""

    def forward(self, z: Tensor) -> Tensor:
        """Any shape."""
        return staircase(z)

    def activation(self) -> Activation:
        """The same map for incremental evaluation."""
        return StaircaseActivation()


class StraightThroughStaircase(nn.Module):
    """The stairs, bit for bit, with the derivative of the sigmoid below them."""

    def forward(self, z: Tensor) -> Tensor:
        """Any shape."""
        smooth = z.sigmoid()
        return staircase(z) + (smooth - smooth.detach())


class StaircaseActivation:
    """The stairs in a layered network."""

    channels = 1

    def apply(self, pre: Tensor) -> Tensor:
        """floor(5 sigmoid(z))/5"""
        return staircase(pre)

    def compiled(self) -> CompiledActivation:
        """The same map for the fused path."""
        from polystep.evaluation import kernels

        levels = np.arange(STEPS + 1, dtype=np.float32) / np.float32(STEPS)
        return kernels.step_function(np.array(THRESHOLDS, np.float32), levels)


@component("staircase", version=1)
class StaircaseNetwork(MultilayerPerceptron):
    """784-128-128-10 with stairs after the first two layers. Source: EDITIONS.md, networks."""

    activation = Staircase

    def __init__(self, inputs: int = 784, classes: int = 10, hidden: Sequence[int] = (128, 128)):
        super().__init__(inputs, classes, hidden)

    def differentiable(self) -> Mapping[GradientKind, nn.Module]:
        """Itself, where only the last layer has a gradient; with straight-through stairs; with the smooth substitute."""
        return {
            "exact": self,
            "straight_through": self._with(StraightThroughStaircase()),
            "smooth": self._with(nn.Sigmoid()),
        }

    def _with(self, activation: nn.Module) -> nn.Sequential:
        """The same layers, not copies of them, with another activation."""
        return nn.Sequential(*(activation if isinstance(part, Staircase) else part for part in self))


@component("smooth_staircase", version=1)
class SmoothStaircaseNetwork(MultilayerPerceptron):
    """The author's smooth substitute: plain sigmoids. Source: EDITIONS.md, networks."""

    activation = nn.Sigmoid

    def __init__(self, inputs: int = 784, classes: int = 10, hidden: Sequence[int] = (128, 128)):
        super().__init__(inputs, classes, hidden)
