"""What tests of exactness share: evaluators of one network side by side, random cases, and cases that are exact in float32.

Dyadic numbers (small multiples of a power of two) make every sum exact in float32, so there all paths see the same
pre-activations bit for bit, whatever their order of summation.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, is_dataclass
from functools import cached_property
from typing import Any

import numba
import pytest
import torch
from hypothesis import settings
from hypothesis import strategies as st
from numba.core.dispatcher import Dispatcher
from torch import Tensor, nn

from polystep.candidates import Candidates, ParticleCandidates
from polystep.evaluation import dense_kernels, hybrid_kernels, low_rank_kernels, patched_kernels, row_kernels
from polystep.evaluation.activations import mean_cross_entropy
from polystep.evaluation.convolution import kernels as convolution_kernels
from polystep.evaluation.functional import FunctionalEvaluator
from polystep.evaluation.fused import FusedEvaluator
from polystep.evaluation.incremental import IncrementalEvaluator
from polystep.evaluation.jit import njit
from polystep.evaluation.layered import LayeredNetwork
from polystep.evaluation.objective import Evaluator
from polystep.evaluation.routing import kernels as routing_kernels
from polystep.evaluation.routing.fused import FusedRoutedEvaluator
from polystep.evaluation.routing.incremental import RoutedEvaluator
from polystep.evaluation.routing.network import RoutedNetwork
from polystep.layout import ParameterLayout
from polystep.subspace import HybridSubspace, RowSubspace, Subspace
from tasks.networks.argmax_attention import ArgmaxAttentionNetwork
from tasks.networks.int8 import Int8Network
from tasks.networks.mixture_of_experts import MixtureOfExperts
from tasks.networks.multilayer_perceptron import MultilayerPerceptron
from tasks.networks.snn import SpikingNetwork
from tasks.networks.staircase import StaircaseNetwork

INPUTS, CLASSES = 6, 4
WIDE_INPUTS, WIDE_CLASSES = 40, 10
KERNEL_MODULES = (
    convolution_kernels,
    dense_kernels,
    low_rank_kernels,
    patched_kernels,
    hybrid_kernels,
    routing_kernels,
    row_kernels,
)
"""Those with parallel loops."""


@contextmanager
def serial_kernels() -> Iterator[None]:
    """Inside, kernels are built without parallel loops, which halves the time that they take to compile."""

    def serial(function: Callable[..., Any] | None = None, parallel: bool = False, **options: Any) -> Any:
        return njit(function, **options) if function else njit(**options)

    with pytest.MonkeyPatch.context() as patch:
        for module in KERNEL_MODULES:
            patch.setattr(module, "njit", serial)
        yield


def build_without_threads(evaluator: Any) -> None:
    """Build the kernels of a fused evaluator without parallel loops."""
    with serial_kernels():
        kernels_of(evaluator)


def kernels_of(evaluator: Any) -> list[Dispatcher]:
    """All kernels of a fused evaluator, which are built where they are not yet."""
    found = [list(_kernels_in(structure.kernels)) for structure in getattr(evaluator, "structures", [evaluator])]
    assert all(found)
    return [kernel for kernels in found for kernel in kernels]


def _kernels_in(value: Any) -> Iterator[Dispatcher]:
    if isinstance(value, Dispatcher):
        yield value
    elif is_dataclass(value):
        yield from _kernels_in(vars(value))
    elif isinstance(value, dict | list | tuple):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _kernels_in(each)


def seeded(build: Callable[..., nn.Module], *arguments: Any, **settings: Any) -> nn.Module:
    """A module whose starting values do not depend on what was drawn before."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return build(*arguments, **settings)


@dataclass(frozen=True)
class Paths:
    """One network and its evaluators; kernels take seconds to compile, so not every network has them, nor their threads."""

    module: nn.Module
    compiled: bool = True
    threads: bool = False

    @cached_property
    def layout(self) -> ParameterLayout:
        return ParameterLayout.of_module(self.module)

    @property
    def module_sizes(self) -> tuple[int, int]:
        """Inputs and outputs."""
        shapes = [entry.shape for entry in self.layout.entries if len(entry.shape) == 2]
        return shapes[0][1], shapes[-1][0]

    @cached_property
    def network(self) -> LayeredNetwork | RoutedNetwork:
        return self.module.layered()

    @cached_property
    def functional(self) -> FunctionalEvaluator:
        return FunctionalEvaluator(self.module, mean_cross_entropy, self.layout)

    @cached_property
    def incremental(self) -> Evaluator:
        kind = RoutedEvaluator if isinstance(self.network, RoutedNetwork) else IncrementalEvaluator
        return kind(self.network, self.layout)

    @cached_property
    def fused(self) -> Evaluator:
        kind = FusedRoutedEvaluator if isinstance(self.network, RoutedNetwork) else FusedEvaluator
        evaluator = kind(self.network, self.layout)
        if not self.threads:
            build_without_threads(evaluator)
        return evaluator

    @property
    def fast(self) -> list[Evaluator]:
        return [self.incremental, self.fused] if self.compiled else [self.incremental]

    def assert_agree(
        self, candidates: Candidates, inputs: Tensor, targets: Tensor, tolerance: float = 1e-5, equal_nan: bool = False
    ) -> None:
        expected = self.functional.losses(candidates, inputs, targets)
        for evaluator in self.fast:
            losses = evaluator.losses(candidates, inputs, targets)
            assert losses.dtype == torch.float32
            torch.testing.assert_close(losses, expected, rtol=tolerance, atol=tolerance, equal_nan=equal_nan)


def assert_threads_change_nothing(
    evaluator: Evaluator, candidates: Candidates, inputs: Tensor, targets: Tensor
) -> None:
    if numba.config.NUMBA_NUM_THREADS == 1:
        pytest.skip("numba has one thread here")
    assert any(kernel.targetoptions.get("parallel") for kernel in kernels_of(evaluator))
    before = numba.get_num_threads()
    losses = []
    # whatever number an earlier run in this process has asked for
    for threads in (1, numba.config.NUMBA_NUM_THREADS):
        numba.set_num_threads(threads)
        losses.append(evaluator.losses(candidates, inputs, targets))
    numba.set_num_threads(before)
    assert torch.equal(*losses)


NETWORKS = {
    "snn": Paths(seeded(SpikingNetwork, INPUTS, CLASSES, hidden=4, steps=6)),
    "mnist": Paths(seeded(MultilayerPerceptron, INPUTS, CLASSES, hidden=[4, 4])),
    "int8": Paths(seeded(Int8Network, INPUTS, CLASSES, hidden=4)),
    "staircase": Paths(seeded(StaircaseNetwork, INPUTS, CLASSES, hidden=[4, 4]), compiled=False),
    "argmax": Paths(seeded(ArgmaxAttentionNetwork, INPUTS, CLASSES, hidden=4, slots=4)),
    "moe": Paths(seeded(MixtureOfExperts, INPUTS, CLASSES, hidden=4, experts=4)),
}
"""Small versions of the paper's networks; their kernels compile once for all tests of a process. Those of int8, which leave the
rounding to their callers, are those of mnist, too.
"""
WIDE = {
    "snn": Paths(seeded(SpikingNetwork, WIDE_INPUTS, WIDE_CLASSES, hidden=36), threads=True),
    "mnist": Paths(seeded(MultilayerPerceptron, WIDE_INPUTS, WIDE_CLASSES, hidden=[36, 36])),
    "int8": Paths(seeded(Int8Network, WIDE_INPUTS, WIDE_CLASSES, hidden=36)),
    "staircase": Paths(seeded(StaircaseNetwork, WIDE_INPUTS, WIDE_CLASSES, hidden=[36, 20])),
    "argmax": Paths(seeded(ArgmaxAttentionNetwork, WIDE_INPUTS, WIDE_CLASSES, hidden=36), threads=True),
    "moe": Paths(seeded(MixtureOfExperts, WIDE_INPUTS, WIDE_CLASSES, hidden=36), threads=True),
}
"""Layers of several blocks of units. Those with threads have all parallel loops but one, see
`test_threads_change_nothing_before_a_relu`.
"""


@dataclass(frozen=True)
class Case:
    """Random base point, particles, offsets and batch."""

    seed: int
    samples: int
    scale: float = 1.0

    @cached_property
    def generator(self) -> torch.Generator:
        return torch.Generator().manual_seed(self.seed)

    def numbers(self, *shape: int) -> Tensor:
        return torch.randn(shape, generator=self.generator)

    def batch(self) -> tuple[Tensor, Tensor]:
        targets = torch.randint(CLASSES, (self.samples,), generator=self.generator)
        return self.numbers(self.samples, INPUTS), targets

    def candidates(self, subspace: Subspace, count: int = 24) -> ParticleCandidates:
        base = self.numbers(subspace.layout.size) * 0.7
        particle = torch.randint(subspace.particles, (count,), generator=self.generator)
        return ParticleCandidates(
            base, subspace, particle, self.numbers(count, subspace.particle_dimension) * self.scale
        )


class DyadicCase(Case):
    """Multiples of 1/4 from -1 to 1, so that products of two are multiples of 1/16 and many sums are whole."""

    def numbers(self, *shape: int) -> Tensor:
        return torch.randint(-4, 5, shape, generator=self.generator) / 4

    def candidates(self, subspace: Subspace, count: int = 48) -> ParticleCandidates:
        candidates = super().candidates(subspace, count)
        base = self.numbers(subspace.layout.size)
        return ParticleCandidates(base, subspace, candidates.particle, candidates.offset)


def row_subspace(layout: ParameterLayout, dimension: int, rank: int, seed: int = 0) -> RowSubspace:
    return RowSubspace(layout, min(dimension, rank), seed, rank=rank)


def dyadic_row_subspace(layout: ParameterLayout, case: DyadicCase) -> RowSubspace:
    subspace = RowSubspace(layout, particle_dimension=2, seed=0, rank=4)
    subspace.bases = [case.numbers(*basis.shape) for basis in subspace.bases]
    return subspace


def dyadic_hybrid_subspace(layout: ParameterLayout, seed: int) -> HybridSubspace:
    """All weights have 16 to 24 elements, so sparse columns consist of 4 entries of +-1/2."""
    return HybridSubspace(layout, particle_dimension=4, seed=seed, rank=1, dense_bytes=0)


seeds = st.integers(0, 2**32 - 1)
sampled = settings(derandomize=True, deadline=None, max_examples=25)
cases = st.builds(Case, seeds, st.integers(1, 9), st.sampled_from([1e-3, 0.3, 3.0]))
dyadic_cases = st.builds(DyadicCase, seeds, st.integers(1, 9))
