"""Networks of hard thresholds on a fixed small data set: their loss, the share of wrong answers, is piecewise constant."""

import torch
from torch import Tensor, nn

from polystep.candidates import DenseCandidates
from polystep.evaluation.functional import FunctionalEvaluator
from polystep.random import named_generator
from tasks.networks.multilayer_perceptron import MultilayerPerceptron

INPUTS = 4


class Threshold(nn.Module):
    """1 from 0 on, else 0."""

    def forward(self, z: Tensor) -> Tensor:
        """Any shape."""
        return (z >= 0).to(z.dtype)


class ThresholdNetwork(MultilayerPerceptron):
    """Linear layers with thresholds between them."""

    activation = Threshold


def wrong_answers(outputs: Tensor, targets: Tensor) -> Tensor:
    """Share of the samples whose largest output is not their class."""
    return (outputs.argmax(-1) != targets).float().mean()


class ThresholdProblem:
    """Networks of one shape from random starts, on points of a cube whose class is the sign of the product of two coordinates.

    depth: hidden layers of `width` units.
    """

    def __init__(self, depth: int, width: int, samples: int, seed: int):
        module = ThresholdNetwork(INPUTS, 2, (width,) * depth)
        self._evaluator = FunctionalEvaluator(module, wrong_answers)
        self.layout = self._evaluator.layout
        self._module = module
        # the same for every shape
        self._inputs = 2 * torch.rand(samples, INPUTS, generator=named_generator(seed, "threshold data")) - 1
        self._targets = (self._inputs[:, 0] * self._inputs[:, 1] > 0).long()

    def start(self, generator: torch.Generator) -> Tensor:
        """Starting values (D,)."""
        self._module.initialise(generator)
        return self.layout.point_of(self._module)

    def losses(self, points: Tensor) -> Tensor:
        """Losses (N,) of points (N, D)."""
        return self._evaluator.losses(DenseCandidates(points), self._inputs, self._targets).double()
