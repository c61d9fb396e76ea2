"""Incremental evaluation on the CPU as fused numba loops over candidates and samples."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import torch
from torch import Tensor

from polystep.candidates import Candidates, DenseCandidates, ParticleCandidates
from polystep.evaluation.compiled_network import CompiledNetwork
from polystep.evaluation.dense import FusedDense
from polystep.evaluation.hybrid import FusedHybrid
from polystep.evaluation.layered import LayeredNetwork
from polystep.evaluation.low_rank import FusedLowRank
from polystep.evaluation.rows import FusedRows
from polystep.layout import ParameterLayout
from polystep.low_rank import LowRankCandidates
from polystep.subspace import HybridSubspace, RowSubspace


class Structure(Protocol):
    """Losses of the candidates of one structure. Kernels are built on first use, and compile on first call."""

    @property
    def kernels(self) -> Any:
        """The kernels of this structure."""
        ...

    def losses(self, candidates: Any, inputs: Tensor, targets: Tensor) -> Tensor:
        """Mean loss of every candidate on the batch, shape (N,)."""
        ...


STRUCTURES: Mapping[type, Callable[[CompiledNetwork, FusedDense], Structure]] = {
    RowSubspace: FusedRows,
    HybridSubspace: FusedHybrid,
    LowRankCandidates: FusedLowRank,
}
"""By the type of the candidates or, where they move particles, of the subspace, else by its nearest base; all others are
evaluated as dense ones, and so is what a structure cannot take.
"""


class FusedEvaluator:
    """Losses of candidates by the kernels of their structure; equal to those of `IncrementalEvaluator` to float tolerance,
    which serves other devices.
    """

    def __init__(self, network: LayeredNetwork, layout: ParameterLayout, memory_bytes: int = 64 * 2**20):
        """`memory_bytes`: bound for the largest intermediate of a chunk."""
        self.network, self.layout = network, layout
        self._compiled = CompiledNetwork(network, layout, memory_bytes)
        self._dense = FusedDense(self._compiled)
        self._structures = {kind: build(self._compiled, self._dense) for kind, build in STRUCTURES.items()}

    @property
    def structures(self) -> list[Structure]:
        """Those with kernels of their own."""
        return [self._dense, *self._structures.values()]

    @property
    def compilation_seconds(self) -> float:
        """Seconds spent so far on compiling kernels."""
        return self._compiled.clock.seconds

    @torch.no_grad()
    def losses(self, candidates: Candidates, inputs: Tensor, targets: Tensor) -> Tensor:
        """Mean loss of every candidate on the batch, shape (N,), float32; ValueError where the targets do not suit."""
        if inputs.device.type != "cpu":
            return self._compiled.general.losses(candidates, inputs, targets)
        inputs = self.network.rows(self.layout, inputs, targets)
        kind: type = type(candidates)
        if isinstance(candidates, ParticleCandidates):
            # kernels skip what does not change, but a NaN spoils everything
            kind = type(candidates.subspace) if torch.isfinite(candidates.base).all() else DenseCandidates
        own = next((self._structures[base] for base in kind.__mro__ if base in self._structures), self._dense)
        return own.losses(candidates, inputs, targets)
