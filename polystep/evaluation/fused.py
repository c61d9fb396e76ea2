"""Incremental evaluation on the CPU as fused numba loops over candidates and samples."""

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from polystep.candidates import Candidates, ParticleCandidates
from polystep.evaluation.columns import SEVERAL_LAYERS, LayerColumns, split_columns
from polystep.evaluation.fused_kernels import NetworkKernels, build_kernels
from polystep.evaluation.incremental import IncrementalEvaluator
from polystep.evaluation.layered import LayeredNetwork, with_bias_input
from polystep.layout import ParameterLayout
from polystep.subspace import HybridSubspace, RowSubspace

FloatArray = NDArray[np.float32]
LANES = 16
"""Units are padded to whole vector registers of float32."""


class FusedEvaluator:
    """Row candidates patch one unit, hybrid candidates one layer; both skip samples that do not change.

    Other candidates, and hybrid particles that straddle layers, take the batched torch path. Losses equal those of
    `IncrementalEvaluator` to float tolerance. Kernels compile on first use.
    """

    def __init__(self, network: LayeredNetwork, layout: ParameterLayout):
        self.network, self.layout = network, layout
        self.compilation_seconds = 0.0
        shapes = {entry.name: entry.shape for entry in layout.entries}
        self._units = [shapes[layer.weight][0] for layer in network.layers]
        self._general = IncrementalEvaluator(network, layout)
        self._kernels: NetworkKernels | None = None
        self._columns: tuple[HybridSubspace, int, Tensor, list[LayerColumns]] | None = None

    @torch.no_grad()
    def losses(self, candidates: Candidates, inputs: Tensor, targets: Tensor) -> Tensor:
        """Mean loss of every candidate on the batch, shape (N,), float32."""
        if isinstance(candidates, ParticleCandidates) and inputs.device.type == "cpu":
            if isinstance(candidates.subspace, RowSubspace):
                return self._row_losses(candidates, candidates.subspace, inputs, targets)
            if isinstance(candidates.subspace, HybridSubspace):
                return self._hybrid_losses(candidates, candidates.subspace, inputs, targets)
        return self._general.losses(candidates, inputs, targets)

    def _row_losses(
        self, candidates: ParticleCandidates, subspace: RowSubspace, inputs: Tensor, targets: Tensor
    ) -> Tensor:
        base = self._base(candidates.base, inputs, targets)
        group, row, block = (part.numpy() for part in subspace.locate(candidates.particle))
        offset = candidates.offset.numpy()
        losses = np.full(len(candidates), base.losses.mean())
        for index, layer in enumerate(self.network.layers):
            number = next(i for i, g in enumerate(subspace.groups) if g.weight.name == layer.weight)
            chosen = np.flatnonzero(group == number)
            projected = _unit_major(with_bias_input(base.signals[index]) @ subspace.bases[number].T)
            moved = (row[chosen], block[chosen], offset[chosen], _unit_major(base.pre_activations[index]), projected)
            if index + 1 == len(self.network.layers):
                found = self._run(self.kernels.output_rows, *moved, base.logits, base.targets, base.losses)
            else:
                bounds = self._run(self.kernels.cells[index], moved[3][:, 0, :])
                found = self._run(
                    self.kernels.hidden_rows[index],
                    *moved,
                    *bounds,
                    base.padded[index + 1],
                    base.weights,
                    base.targets,
                    base.losses,
                )
            losses[chosen] = found
        return torch.from_numpy(losses)

    def _hybrid_losses(
        self, candidates: ParticleCandidates, subspace: HybridSubspace, inputs: Tensor, targets: Tensor
    ) -> Tensor:
        layer_of, columns = self._layer_columns(subspace)
        base = self._base(candidates.base, inputs, targets)
        losses = torch.full((len(candidates),), float(base.losses.mean()))
        home = layer_of[candidates.particle]
        last = len(self.network.layers) - 1
        for index in range(last + 1):
            chosen = (home == index).nonzero().squeeze(1)
            particle, count = torch.unique_consecutive(candidates.particle[chosen], return_counts=True)
            first = np.concatenate([[0], count.cumsum(0).numpy()])
            signal = with_bias_input(base.signals[index]).contiguous().numpy()
            bounds = self._run(self.kernels.cells[index], base.padded[index])
            found = self._run(
                self.kernels.layers[index],
                particle.numpy(),
                first,
                candidates.offset[chosen].numpy(),
                columns[index].as_tuple(),
                signal,
                base.padded[index],
                *bounds,
                base.padded[min(index + 1, last)],
                base.weights,
                base.targets,
                base.losses,
            )
            losses[chosen] = torch.from_numpy(found)
        straddling = (home == SEVERAL_LAYERS).nonzero().squeeze(1)
        if len(straddling):
            rest = ParticleCandidates(
                candidates.base, subspace, candidates.particle[straddling], candidates.offset[straddling]
            )
            losses[straddling] = self._general.losses(rest, inputs, targets)
        return losses

    @property
    def kernels(self) -> NetworkKernels:
        """The kernels of this network, built on first use."""
        if self._kernels is None:
            self._kernels = build_kernels(self.network, [_padded(count) for count in self._units], self._units[-1])
        return self._kernels

    def _run(self, kernel: Any, *arguments: Any) -> Any:
        """Call a kernel; its compilation is timed apart."""
        if not kernel.signatures:
            from numba import typeof

            started = time.perf_counter()
            kernel.compile(tuple(typeof(argument) for argument in arguments))
            self.compilation_seconds += time.perf_counter() - started
        return kernel(*arguments)

    def _base(self, point: Tensor, inputs: Tensor, targets: Tensor) -> "Base":
        tensors = self.layout.unflatten(point)
        trace = self.network.trace(inputs, tensors, targets)
        weights: list[FloatArray] = []
        for index, layer in enumerate(self.network.layers):
            missing = _padded(self._units[index]) - self._units[index]
            weight = F.pad(tensors[layer.weight], (0, 0, 0, missing)).T.contiguous()
            weights += [weight.numpy(), F.pad(tensors[layer.bias], (0, missing)).contiguous().numpy()]
        return Base(
            trace.signals,
            trace.pre_activations,
            [_pad_units(pre).reshape(len(inputs), -1) for pre in trace.pre_activations],
            _pad_units(trace.logits),
            tuple(weights),
            targets.numpy(),
            trace.losses.contiguous().numpy(),
        )

    def _layer_columns(self, subspace: HybridSubspace) -> tuple[Tensor, list[LayerColumns]]:
        """The columns of the subspace last seen, sorted once per redraw."""
        if self._columns is None or self._columns[0] is not subspace or self._columns[1] != subspace.draw:
            padded = [_padded(count) for count in self._units]
            self._columns = (subspace, subspace.draw, *split_columns(subspace, self.network, self.layout, padded))
        return self._columns[2], self._columns[3]


@dataclass(frozen=True)
class Base:
    """The base point's forward pass as the kernels read it; `padded`: pre-activations (B, C U) with padded units;
    weights: (inputs, units) and bias of each layer in turn, padded.
    """

    signals: list[Tensor]
    pre_activations: list[Tensor]
    padded: list[FloatArray]
    logits: FloatArray
    weights: tuple[FloatArray, ...]
    targets: NDArray[np.int64]
    losses: FloatArray


def _padded(units: int) -> int:
    return -(-units // LANES) * LANES


def _pad_units(signal: Tensor) -> FloatArray:
    array: FloatArray = F.pad(signal, (0, _padded(signal.shape[-1]) - signal.shape[-1])).contiguous().numpy()
    return array


def _unit_major(signal: Tensor) -> FloatArray:
    """(B, C, U) -> (U, C, B), so that a unit's samples lie side by side."""
    array: FloatArray = signal.permute(2, 1, 0).contiguous().numpy()
    return array
