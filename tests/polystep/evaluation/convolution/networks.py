"""Small convolutional networks of many kinds, and their evaluators side by side."""

import warnings
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor, nn

from polystep.candidates import Candidates, ParticleCandidates
from polystep.evaluation.activations import mean_cross_entropy
from polystep.evaluation.convolution.fused import FusedConvolutionalEvaluator
from polystep.evaluation.convolution.incremental import ConvolutionalEvaluator
from polystep.evaluation.convolution.sequential import TransformedConv2d, convolutional_network
from polystep.evaluation.fastest import fastest_evaluator
from polystep.evaluation.functional import FunctionalEvaluator
from polystep.evaluation.parts import TransformedLinear
from polystep.layout import ParameterLayout
from polystep.subspace import RowSubspace
from tests.exactness import build_without_threads

CLASSES = 4


class Sign(nn.Module):
    """-1 below 0, else 1."""

    def forward(self, z: Tensor) -> Tensor:
        return torch.where(z < 0, -1.0, 1.0)

    @staticmethod
    def scalar(z: float) -> float:
        return -1.0 if z < 0 else 1.0


class RoundedConvolution(TransformedConv2d):
    """Weights are multiples of 1/4."""

    def transform(self, parameter: Tensor) -> Tensor:
        return (4 * parameter).round() / 4


class RoundedLinear(TransformedLinear):
    """Weights are multiples of 1/4."""

    def transform(self, parameter: Tensor) -> Tensor:
        return (4 * parameter).round() / 4


@dataclass(frozen=True)
class Drawn:
    """A network, and the shape of its inputs, drawn from a seed."""

    seed: int
    activation: type[nn.Module] = nn.ReLU
    convolution: type[nn.Conv2d] = nn.Conv2d
    linear: type[nn.Linear] = nn.Linear
    averaged: tuple[int, ...] = (2, 3)
    """Windows of average pooling; maximum pooling takes their place where others are drawn."""

    @cached_property
    def generator(self) -> torch.Generator:
        return torch.Generator().manual_seed(self.seed)

    def pick(self, *values: int) -> int:
        return values[int(torch.randint(len(values), (1,), generator=self.generator))]

    @cached_property
    def shape(self) -> tuple[int, int, int]:
        return self.pick(1, 2, 3), self.pick(5, 8, 9), self.pick(5, 7, 9)

    @cached_property
    def module(self) -> nn.Sequential:
        channels, parts = self.shape[0], []
        signal = torch.zeros(1, *self.shape)
        while len(parts) == 0 or (self.pick(0, 1) and len(parts) < 9):
            stage = self.stage(channels)
            try:
                signal = nn.Sequential(*stage)(signal)
            except RuntimeError:  # nothing would be left of the maps
                continue
            parts += stage
            channels = signal.shape[1]
        units = signal.numel()
        between = [self.activation()] if self.pick(0, 1) else []
        parts += [nn.Flatten(), *between]
        for _ in range(self.pick(0, 1, 2)):
            width = self.pick(1, 3, 6)
            parts += [self.linear(units, width), self.activation()]
            units = width
        return nn.Sequential(*parts, self.linear(units, CLASSES))

    def stage(self, channels: int) -> list[nn.Module]:
        kernel = self.pick(1, 2, 3), self.pick(1, 2, 3)
        stride, padding = (self.pick(1, 1, 2), self.pick(1, 1, 2)), (self.pick(0, 1, 2), self.pick(0, 1))
        bias = bool(self.pick(0, 1, 1))
        parts: list[nn.Module] = [self.convolution(channels, self.pick(1, 2, 5), kernel, stride, padding, bias=bias)]
        parts += [self.activation()] if self.pick(0, 1, 1) else []
        for _ in range(self.pick(0, 1, 2)):
            window = self.pick(2, 3)
            moves = window, self.pick(1, 2), self.pick(0, 1)
            average = nn.AvgPool2d(*moves, count_include_pad=bool(self.pick(0, 1)))
            parts.append(average if self.pick(0, 1) and window in self.averaged else nn.MaxPool2d(*moves))
        return parts + ([self.activation()] if self.pick(0, 1) else [])

    def numbers(self, *shape: int) -> Tensor:
        return torch.randn(shape, generator=self.generator)

    def batch(self, samples: int) -> tuple[Tensor, Tensor]:
        targets = torch.randint(CLASSES, (samples,), generator=self.generator)
        return self.numbers(samples, *self.shape), targets

    def candidates(self, layout: ParameterLayout, count: int = 40, scale: float = 0.5) -> ParticleCandidates:
        subspace = RowSubspace(layout, 2, self.seed, rank=4)
        subspace.bases = [self.numbers(*basis.shape) for basis in subspace.bases]
        particle = torch.randint(subspace.particles, (count,), generator=self.generator)
        return ParticleCandidates(self.numbers(layout.size) * 0.5, subspace, particle, self.numbers(count, 2) * scale)


@dataclass(frozen=True)
class DyadicDrawn(Drawn):
    """Multiples of 1/4, so that all sums are exact; ninths of a window of three would not be."""

    averaged: tuple[int, ...] = (2,)

    def numbers(self, *shape: int) -> Tensor:
        return torch.randint(-4, 5, shape, generator=self.generator) / 4


@dataclass(frozen=True)
class Paths:
    """The evaluators of one network."""

    module: nn.Module
    threads: bool = False

    @cached_property
    def layout(self) -> ParameterLayout:
        return ParameterLayout.of_module(self.module)

    @cached_property
    def functional(self) -> FunctionalEvaluator:
        return FunctionalEvaluator(self.module, mean_cross_entropy, self.layout)

    @cached_property
    def incremental(self) -> ConvolutionalEvaluator:
        return ConvolutionalEvaluator(convolutional_network(self.module), self.layout, self.functional)

    @cached_property
    def fused(self) -> FusedConvolutionalEvaluator:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            evaluator = fastest_evaluator(self.module)
        assert isinstance(evaluator, FusedConvolutionalEvaluator)
        if not self.threads:
            build_without_threads(evaluator)
        return evaluator

    def assert_agree(self, candidates: Candidates, inputs: Tensor, targets: Tensor, tolerance: float = 1e-5) -> None:
        expected = self.functional.losses(candidates, inputs, targets)
        for evaluator in (self.incremental, self.fused):
            losses = evaluator.losses(candidates, inputs, targets)
            assert losses.dtype == torch.float32
            torch.testing.assert_close(losses, expected, rtol=tolerance, atol=tolerance, equal_nan=True)


def lenet(activation: type[nn.Module] = nn.ReLU) -> nn.Sequential:
    """LeNet-5 for images of 28 x 28 with 10 classes, its last layer narrowed to `CLASSES`."""
    first = [nn.Conv2d(1, 6, 5, padding=2), activation(), nn.MaxPool2d(2)]
    second = [nn.Conv2d(6, 16, 5), activation(), nn.MaxPool2d(2), nn.Flatten()]
    linear = [nn.Linear(400, 120), activation(), nn.Linear(120, 84), activation(), nn.Linear(84, CLASSES)]
    return nn.Sequential(*first, *second, *linear)
