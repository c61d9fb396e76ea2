"""What the fused paths of all structures of candidates share: a network's numba functions, clock, padding and base point."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from polystep.evaluation.compilation import CompilationClock
from polystep.evaluation.incremental import IncrementalEvaluator
from polystep.evaluation.layered import LayeredNetwork, with_bias_input
from polystep.evaluation.network_functions import NetworkFunctions, build_functions
from polystep.evaluation.simd_blocks import pad_samples, unit_major
from polystep.layout import ParameterLayout

FloatArray = NDArray[np.float32]
REGISTER = 16
"""Units are padded to a multiple of this where weight rows are added: whole vector registers of float32."""


@dataclass(frozen=True)
class Base:
    """The base point's forward pass as the kernels read it, with B samples padded to whole LANES: pre-activations (U, C, B),
    logits (O, 1, B), targets (B,). Without padding: signals, the layer inputs (B, C, I); followings, the pre-activations
    sample by sample (B, C U); losses (B,). weights: (inputs, units) and bias of each layer in turn, units padded; tensors:
    the parameters.
    """

    tensors: dict[str, Tensor]
    signals: list[Tensor]
    pre_activations: list[FloatArray]
    followings: list[FloatArray]
    logits: FloatArray
    weights: tuple[FloatArray, ...]
    targets: NDArray[np.int64]
    losses: FloatArray

    def unit_major_signal(self, index: int) -> Tensor:
        """Inputs of a layer and a last one of ones, (I + 1, C, B), padded."""
        return unit_major(with_bias_input(self.signals[index]))


class CompiledNetwork:
    """A network, the layout of its parameters, its numba functions, and the clock of their compilation.

    units (L,): of each layer. memory_bytes: bound for the largest intermediate of a chunk. general: computes the same losses in
    torch, whatever the candidates and parameters are.
    """

    def __init__(self, network: LayeredNetwork, layout: ParameterLayout, memory_bytes: int):
        self.network, self.layout, self.memory_bytes = network, layout, memory_bytes
        self.general = IncrementalEvaluator(network, layout)
        self.clock = CompilationClock()
        shapes = {entry.name: entry.shape for entry in layout.entries}
        self.units = [shapes[layer.weight][0] for layer in network.layers]

    @cached_property
    def functions(self) -> NetworkFunctions:
        """The functions that kernels are made of."""
        return build_functions(self.network, self.units, [_whole_registers(units) for units in self.units])

    def base(self, point: Tensor, inputs: Tensor, targets: Tensor) -> Base:
        """The forward pass of `point`."""
        tensors = self.layout.unflatten(point)
        trace = self.network.trace(inputs, tensors, targets)
        weights: list[FloatArray] = []
        for index in range(len(self.units)):
            weights += [array.numpy() for array in self.padded(index, *self.network.used(index, tensors))]
        return Base(
            tensors,
            trace.signals,
            [unit_major(pre).numpy() for pre in trace.pre_activations],
            [pre.flatten(1).numpy() for pre in trace.pre_activations],
            unit_major(trace.logits.unsqueeze(1)).numpy(),
            tuple(weights),
            pad_samples(targets.long()).numpy(),
            trace.losses.contiguous().numpy(),
        )

    def padded(self, index: int, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
        """Weight (..., I, U) and bias (..., U) of layer `index`, units padded."""
        missing = _whole_registers(self.units[index]) - self.units[index]
        weight = weight.mT
        if missing:
            weight, bias = F.pad(weight, (0, missing)), F.pad(bias, (0, missing))
        return weight.contiguous(), bias.contiguous()


def _whole_registers(units: int) -> int:
    return -(-units // REGISTER) * REGISTER
