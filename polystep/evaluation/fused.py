"""Incremental evaluation on the CPU as fused numba loops over candidates and samples."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from polystep.candidates import Candidates, DenseCandidates, ParticleCandidates, SeededCandidates
from polystep.evaluation.columns import SEVERAL_LAYERS, ColumnEntries, SparseColumns, split_columns
from polystep.evaluation.fused_kernels import NetworkKernels, build_kernels
from polystep.evaluation.incremental import IncrementalEvaluator
from polystep.evaluation.layer_kernels import LANES
from polystep.evaluation.layered import LayeredNetwork, with_bias_input
from polystep.layout import ParameterLayout
from polystep.subspace import HybridSubspace, RowSubspace

FloatArray = NDArray[np.float32]
REGISTER = 16
"""Units are padded to a multiple of this: whole vector registers of float32."""


class FusedEvaluator:
    """Row candidates patch one unit, hybrid candidates one layer; both skip samples that do not change.

    Other candidates, and hybrid particles that straddle layers, share one matrix product for their first layers; seeded
    candidates with the same seed share its column, so an antithetic pair costs half of it. Losses equal those of
    `IncrementalEvaluator` to float tolerance, which also serves other devices. Kernels compile on first use.
    """

    def __init__(self, network: LayeredNetwork, layout: ParameterLayout, memory_bytes: int = 64 * 2**20):
        """`memory_bytes`: bound for the largest intermediate of a chunk."""
        self.network, self.layout, self.memory_bytes = network, layout, memory_bytes
        self.compilation_seconds = 0.0
        shapes = {entry.name: entry.shape for entry in layout.entries}
        self._units = [shapes[layer.weight][0] for layer in network.layers]
        self._general = IncrementalEvaluator(network, layout)
        self._kernels: NetworkKernels | None = None
        self._columns: LayerColumns | None = None

    @torch.no_grad()
    def losses(self, candidates: Candidates, inputs: Tensor, targets: Tensor) -> Tensor:
        """Mean loss of every candidate on the batch, shape (N,), float32."""
        if inputs.device.type != "cpu":
            return self._general.losses(candidates, inputs, targets)
        if isinstance(candidates, ParticleCandidates) and torch.isfinite(candidates.base).all():
            if isinstance(candidates.subspace, RowSubspace):
                return self._row_losses(candidates, candidates.subspace, inputs, targets)
            if isinstance(candidates.subspace, HybridSubspace):
                return self._hybrid_losses(candidates, candidates.subspace, inputs, targets)
        return self._whole_losses(candidates, inputs, targets)

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
        columns = self._layer_columns(subspace)
        base = self._base(candidates.base, inputs, targets)
        # particles of parameters that the network does not use change nothing
        losses = torch.full((len(candidates),), float(base.losses.mean()))
        home = columns.home[candidates.particle]
        for index, sparse in enumerate(columns.sparse):
            chosen = (home == index).nonzero().squeeze(1)
            particle, count = torch.unique_consecutive(candidates.particle[chosen], return_counts=True)
            first, offset = F.pad(count.cumsum(0), (1, 0)), candidates.offset[chosen].contiguous()
            if sparse is not None:
                losses[chosen] = self._patch_layer(index, particle, first, offset, sparse, base)
                continue
            for part in range(0, len(particle), self._whole_chunk(index, subspace, inputs)):
                some = slice(part, part + self._whole_chunk(index, subspace, inputs))
                borders = first[part : some.stop + 1]
                own = slice(int(borders[0]), int(borders[-1]))
                losses[chosen[own]] = self._move_layer(
                    index, particle[some], borders - borders[0], offset[own], columns.entries[index], base
                )
        straddling = (home == SEVERAL_LAYERS).nonzero().squeeze(1)
        if len(straddling):
            rest = ParticleCandidates(
                candidates.base, subspace, candidates.particle[straddling], candidates.offset[straddling]
            )
            losses[straddling] = self._whole_losses(rest, inputs, targets)
        return losses

    def _patch_layer(
        self, index: int, particle: Tensor, first: Tensor, offset: Tensor, columns: SparseColumns, base: "Base"
    ) -> Tensor:
        z = _pad_samples(torch.from_numpy(base.padded[index]).T)
        bounds = self._run(self.kernels.cells[index], z)
        states = self._run(self.kernels.states[index], np.ascontiguousarray(z.T), base.weights)
        signal = _pad_samples(with_bias_input(base.signals[index]).squeeze(1).T)
        moved = (particle.numpy(), first.numpy(), offset.numpy(), columns.as_tuple(), signal, z)
        rest = (states, base.weights, base.targets, base.losses)
        return torch.from_numpy(self._run(self.kernels.patched_layers[index], *moved, *bounds, *rest))

    def _move_layer(
        self, index: int, particle: Tensor, first: Tensor, offset: Tensor, columns: ColumnEntries, base: "Base"
    ) -> Tensor:
        units = _padded(self._units[index])
        matrix = columns.dense(particle, offset.shape[1], units)
        image = (with_bias_input(base.signals[index]) @ matrix).unflatten(-1, (len(particle), offset.shape[1], units))
        moved = (first.numpy(), offset.numpy(), image.numpy(), base.padded[index], base.weights, base.targets)
        return torch.from_numpy(self._run(self.kernels.whole_layers[index], *moved))

    def _whole_losses(self, candidates: Candidates, inputs: Tensor, targets: Tensor) -> Tensor:
        if isinstance(candidates, SeededCandidates):
            base, scale, directions_of = candidates.base, candidates.scale, candidates.distinct
        else:
            base, scale = torch.zeros(self.layout.size), torch.ones(len(candidates))

            def directions_of(part: slice) -> tuple[Tensor, Tensor]:
                return candidates.dense(part), torch.arange(part.stop - part.start)

        tensors = self.layout.unflatten(base)
        z = _pad_units(self.network.pre_activation(0, inputs, tensors))
        losses = torch.empty(len(candidates))
        per_candidate = 4 * (len(inputs) * _padded(self._units[0]) + 2 * self.layout.size)
        # an even number, so that antithetic pairs stay together
        chunk = max(2, self.memory_bytes // per_candidate // 2 * 2)
        for first in range(0, len(candidates), chunk):
            part = slice(first, min(first + chunk, len(candidates)))
            directions, which = directions_of(part)
            if not (torch.isfinite(directions).all() and torch.isfinite(base).all()):
                # kernels skip weights behind silent units, but 0 x NaN is NaN
                losses[part] = self._general.losses(DenseCandidates(candidates.dense(part)), inputs, targets)
                continue
            moved = self.layout.unflatten(directions)
            weight, bias = self._padded_tensors(0, moved)
            # one product for all candidates of the chunk
            image = torch.einsum("bi,kiu->bku", inputs, weight) + bias
            # the kernel reads no weights of the first layer
            stacked = [np.empty((len(which), 0), np.float32)] * 2
            for index in range(1, len(self.network.layers)):
                pairs = zip(self._padded_tensors(index, tensors), self._padded_tensors(index, moved), strict=True)
                for still, change in pairs:
                    factor = scale[part].reshape(-1, *[1] * still.ndim)
                    stacked.append((still + factor * change[which]).numpy())
            arrays = (image.contiguous().numpy(), which.numpy(), scale[part].numpy(), tuple(stacked), targets.numpy())
            losses[part] = torch.from_numpy(self._run(self.kernels.whole_network, z, *arrays))
        return losses

    def _padded_tensors(self, index: int, tensors: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Weight (..., I, U) and bias (..., U) of layer `index`, units padded."""
        layer, missing = self.network.layers[index], -self._units[index] % REGISTER
        weight = F.pad(tensors[layer.weight], (0, 0, 0, missing)).mT.contiguous()
        return weight, F.pad(tensors[layer.bias], (0, missing)).contiguous()

    def _whole_chunk(self, index: int, subspace: HybridSubspace, inputs: Tensor) -> int:
        """Particles whose images of layer `index` fit into the memory bound."""
        channels = self.network.layers[index - 1].activation.channels if index else 1
        image = len(inputs) * channels * subspace.particle_dimension * _padded(self._units[index])
        return max(1, self.memory_bytes // (4 * image))

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
        weights = [tensor.numpy() for i in range(len(self._units)) for tensor in self._padded_tensors(i, tensors)]
        return Base(
            trace.signals,
            trace.pre_activations,
            [_pad_units(pre).reshape(len(inputs), -1) for pre in trace.pre_activations],
            _pad_units(trace.logits),
            tuple(weights),
            targets.numpy(),
            trace.losses.contiguous().numpy(),
        )

    def _layer_columns(self, subspace: HybridSubspace) -> "LayerColumns":
        """The columns of the subspace last seen, sorted once per redraw."""
        if self._columns is None or self._columns.subspace is not subspace or self._columns.draw != subspace.draw:
            home, entries = split_columns(subspace, self.network, self.layout)
            sparse = [
                entry.sparse(subspace.particles, _padded(units)) if kernel is not None else None
                for entry, units, kernel in zip(entries, self._units, [*self.kernels.patched_layers, None], strict=True)
            ]
            self._columns = LayerColumns(subspace, subspace.draw, home, entries, sparse)
        return self._columns


@dataclass(frozen=True)
class LayerColumns:
    """The columns of one draw of a subspace by layer; sparse: None for the layers that are computed again as a whole."""

    subspace: HybridSubspace
    draw: int
    home: Tensor
    entries: list[ColumnEntries]
    sparse: list[SparseColumns | None]


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
    return -(-units // REGISTER) * REGISTER


def _pad_samples(signal: Tensor) -> FloatArray:
    """(U, B) with samples padded to whole LANES."""
    array: FloatArray = F.pad(signal, (0, -signal.shape[1] % LANES)).contiguous().numpy()
    return array


def _pad_units(signal: Tensor) -> FloatArray:
    array: FloatArray = F.pad(signal, (0, _padded(signal.shape[-1]) - signal.shape[-1])).contiguous().numpy()
    return array


def _unit_major(signal: Tensor) -> FloatArray:
    """(B, C, U) -> (U, C, B), so that a unit's samples lie side by side."""
    array: FloatArray = signal.permute(2, 1, 0).contiguous().numpy()
    return array
