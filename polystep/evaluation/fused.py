"""Incremental evaluation on the CPU as fused numba loops over candidates and samples."""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from polystep.candidates import Candidates, DenseCandidates, ParticleCandidates, SeededCandidates
from polystep.evaluation.columns import SEVERAL_LAYERS, LayerColumns, SparseColumns, SubspaceColumns
from polystep.evaluation.compilation import CompilationClock
from polystep.evaluation.fused_kernels import NetworkKernels, build_kernels
from polystep.evaluation.incremental import IncrementalEvaluator, row_changes
from polystep.evaluation.lanes import pad_samples, unit_major
from polystep.evaluation.layered import LayeredNetwork, with_bias_input
from polystep.layout import ParameterLayout
from polystep.subspace import HybridSubspace, RowSubspace

FloatArray = NDArray[np.float32]
REGISTER = 16
"""Units are padded to a multiple of this where weight rows are added: whole vector registers of float32."""
LARGEST_GROUP = 64
"""Candidates of one row that share a thread's work."""


class FusedEvaluator:
    """Row candidates patch one unit, hybrid candidates one layer; both skip samples that do not change.

    Other candidates, and hybrid particles that straddle layers, share one matrix product for their first layers; seeded
    candidates with the same seed share its column, so an antithetic pair costs half of it. Losses equal those of
    `IncrementalEvaluator` to float tolerance, which also serves other devices. Kernels compile on first use.
    """

    def __init__(self, network: LayeredNetwork, layout: ParameterLayout, memory_bytes: int = 64 * 2**20):
        """`memory_bytes`: bound for the largest intermediate of a chunk."""
        self.network, self.layout, self.memory_bytes = network, layout, memory_bytes
        self._clock = CompilationClock()
        shapes = {entry.name: entry.shape for entry in layout.entries}
        self._units = [shapes[layer.weight][0] for layer in network.layers]
        self._one_channel = [True, *(layer.activation.channels == 1 for layer in network.layers[:-1])]
        self._general = IncrementalEvaluator(network, layout)
        self._kernels: NetworkKernels | None = None
        self._columns: SubspaceColumns | None = None

    @torch.no_grad()
    def losses(self, candidates: Candidates, inputs: Tensor, targets: Tensor) -> Tensor:
        """Mean loss of every candidate on the batch, shape (N,), float32; ValueError where the targets do not suit."""
        if inputs.device.type != "cpu":
            return self._general.losses(candidates, inputs, targets)
        self.network.check(self.layout, inputs, targets)
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
        group, row, block = subspace.locate(candidates.particle)
        # particles of parameters that the network does not use change nothing
        losses = torch.full((len(candidates),), float(base.losses.mean()))
        for index, layer in enumerate(self.network.layers):
            number = next(i for i, g in enumerate(subspace.groups) if g.weight.name == layer.weight)
            signal, basis = with_bias_input(base.signals[index]), subspace.bases[number]
            chosen = (group == number).nonzero().squeeze(1)
            chosen = chosen[torch.argsort(row[chosen], stable=True)]
            if layer.transform is None:
                moves = (row[chosen], block[chosen], candidates.offset[chosen], unit_major(signal @ basis.T).numpy())
                losses[chosen] = self._run_rows(index, *moves, base)
                continue
            for part in chosen.split(max(1, self.memory_bytes // (4 * signal[..., 0].numel()))):
                # a transformed row has an image of its own
                rows = row_changes(layer, base.tensors, row[part], block[part], candidates.offset[part], basis)
                image = unit_major(signal @ rows.T).numpy()
                moves = (row[part], torch.arange(len(part)), torch.ones(len(part), 1), image)
                losses[part] = self._run_rows(index, *moves, base)
        return losses

    def _run_rows(
        self, index: int, row: Tensor, block: Tensor, offset: Tensor, projected: FloatArray, base: "Base"
    ) -> Tensor:
        """Losses of moves by offset[n] (d,) over block[n] of the images `projected`; `row` ascending."""
        moved = (row.numpy(), block.numpy(), offset.numpy(), base.pre_activations[index], projected)
        if index + 1 == len(self._units):
            found = self._clock.call(self.kernels.output_rows, *moved, base.logits, base.targets, base.losses)
        else:
            bounds = self._clock.call(self.kernels.cells[index], base.pre_activations[index])
            followings = (base.followings[index + 1], base.followings[min(index + 2, len(self._units) - 1)])
            rest = (*followings, base.weights, base.targets, base.losses)
            found = self._clock.call(self.kernels.hidden_rows[index], _groups(row), *moved, *bounds, *rest)
        return torch.from_numpy(found)

    def _hybrid_losses(
        self, candidates: ParticleCandidates, subspace: HybridSubspace, inputs: Tensor, targets: Tensor
    ) -> Tensor:
        columns = self._layer_columns(subspace)
        base = self._base(candidates.base, inputs, targets)
        # particles of parameters that the network does not use change nothing
        losses = torch.full((len(candidates),), float(base.losses.mean()))
        home = columns.home[candidates.particle]
        for index, layer in enumerate(columns.layers):
            chosen = (home == index).nonzero().squeeze(1)
            particle, count = torch.unique_consecutive(candidates.particle[chosen], return_counts=True)
            first, offset = F.pad(count.cumsum(0), (1, 0)), candidates.offset[chosen].contiguous()
            if layer.are_sparse and self._one_channel[index] and self.network.layers[index].transform is None:
                losses[chosen] = self._move_sparsely(index, particle, first, offset, layer.sparse, base)
                continue
            chunk = self._whole_chunk(index, offset, base)
            for part in range(0, len(particle), chunk):
                some = slice(part, part + chunk)
                borders = first[part : some.stop + 1]
                own = slice(int(borders[0]), int(borders[-1]))
                losses[chosen[own]] = self._move_layer(
                    index, particle[some], borders - borders[0], offset[own], layer, base
                )
        straddling = (home == SEVERAL_LAYERS).nonzero().squeeze(1)
        if len(straddling):
            losses[straddling] = self._whole_losses(candidates.part(straddling), inputs, targets)
        return losses

    def _move_sparsely(
        self, index: int, particle: Tensor, first: Tensor, offset: Tensor, columns: SparseColumns, base: "Base"
    ) -> Tensor:
        z, signal = base.pre_activations[index], base.unit_major_signal(index)[:, 0].numpy()
        moved = (particle.numpy(), first.numpy(), offset.numpy(), columns.as_tuple(), signal, z)
        if self.kernels.patched_layers[index] is None:
            rest = (base.weights, base.targets, len(base.losses))
            return torch.from_numpy(self._clock.call(self.kernels.sparse_layers[index], *moved, *rest))
        bounds = self._clock.call(self.kernels.cells[index], z)
        states = self._clock.call(self.kernels.states[index], z, base.weights[2 * index + 2])
        patched = (*bounds, states, base.weights, base.targets, base.losses, base.losses.mean())
        return torch.from_numpy(self._clock.call(self.kernels.patched_layers[index], *moved, *patched))

    def _move_layer(
        self, index: int, particle: Tensor, first: Tensor, offset: Tensor, columns: LayerColumns, base: "Base"
    ) -> Tensor:
        layer = self.network.layers[index]
        # (R d, U, I + 1): what each coordinate adds to the weights and the bias
        change = columns.dense(particle)
        if layer.transform is not None:
            # a candidate has weights of its own
            parameters = torch.cat([base.tensors[layer.weight], base.tensors[layer.bias].unsqueeze(1)], dim=1)
            steps = offset.split(first.diff().tolist())
            directions = change.unflatten(0, (-1, offset.shape[1]))
            moved = torch.cat([torch.tensordot(*pair, dims=1) for pair in zip(steps, directions, strict=True)])
            change = layer.used(parameters + moved) - layer.used(parameters)
            first, offset = torch.arange(len(offset) + 1), torch.ones(len(offset), 1)
        image = _image(change.flatten(0, 1), base.unit_major_signal(index))
        image = image.reshape(-1, offset.shape[1], self._units[index], *image.shape[1:])
        moves = (first.numpy(), offset.numpy(), image, base.pre_activations[index])
        found = self._clock.call(self.kernels.whole_layers[index], *moves, base.weights, base.targets, len(base.losses))
        return torch.from_numpy(found)

    def _whole_losses(self, candidates: Candidates, inputs: Tensor, targets: Tensor) -> Tensor:
        if isinstance(candidates, SeededCandidates):
            base, scale, directions_of = candidates.base, candidates.scale, candidates.distinct
        else:
            base, scale = torch.zeros(self.layout.size), torch.ones(len(candidates))

            def directions_of(part: slice) -> tuple[Tensor, Tensor]:
                return candidates.dense(part), torch.arange(part.stop - part.start)

        losses = torch.empty(len(candidates))
        per_candidate = 4 * (len(inputs) * self._units[0] + 2 * self.layout.size)
        # an even number, so that antithetic pairs stay together
        chunk = max(2, self.memory_bytes // per_candidate // 2 * 2)
        for first in range(0, len(candidates), chunk):
            part = slice(first, min(first + chunk, len(candidates)))
            directions, which = directions_of(part)
            if not (torch.isfinite(directions).all() and torch.isfinite(base).all()):
                # kernels skip weights behind silent units, but 0 x NaN is NaN
                losses[part] = self._general.losses(DenseCandidates(candidates.dense(part)), inputs, targets)
                continue
            losses[part] = self._move_everything(base, scale[part], directions, which, inputs, targets)
        return losses

    def _move_everything(
        self, base: Tensor, scale: Tensor, directions: Tensor, which: Tensor, inputs: Tensor, targets: Tensor
    ) -> Tensor:
        """Losses (n,) of base + scale[n] directions[which[n]]."""
        still, moved = self.layout.unflatten(base), self.layout.unflatten(directions)
        samples = pad_samples(with_bias_input(inputs).T)

        def own(index: int, name: str) -> Tensor:
            factor = scale.reshape(-1, *[1] * still[name].ndim)
            return self.network.layers[index].used(still[name] + factor * moved[name][which])

        first = self.network.layers[0]
        if first.transform is None:
            z = torch.cat([still[first.weight], still[first.bias].unsqueeze(1)], dim=1) @ samples
            weight, bias = moved[first.weight], moved[first.bias]
        else:
            # no two candidates share an image
            z = torch.zeros(self._units[0], samples.shape[1])
            weight, bias = own(0, first.weight), own(0, first.bias)
            scale, which = torch.ones(len(scale)), torch.arange(len(scale))
        image = torch.cat([weight, bias.unsqueeze(2)], dim=2).flatten(0, 1) @ samples
        # the kernel reads no weights of the first layer
        stacked = [np.empty((len(which), 0), np.float32)] * 2
        for index, layer in enumerate(self.network.layers[1:], start=1):
            stacked += [
                array.numpy() for array in self._padded(index, own(index, layer.weight), own(index, layer.bias))
            ]
        moves = (z.numpy(), image.unflatten(0, (-1, self._units[0])).numpy(), which.numpy(), scale.numpy())
        rest = (tuple(stacked), pad_samples(targets.long()).numpy(), len(targets))
        return torch.from_numpy(self._clock.call(self.kernels.whole_network, *moves, *rest))

    def _padded(self, index: int, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
        """Weight (..., I, U) and bias (..., U) of layer `index`, units padded."""
        missing = _whole_registers(self._units[index]) - self._units[index]
        return F.pad(weight, (0, 0, 0, missing)).mT.contiguous(), F.pad(bias, (0, missing)).contiguous()

    def _whole_chunk(self, index: int, offset: Tensor, base: "Base") -> int:
        """Particles whose images of layer `index`, and weights where they are transformed, fit into the memory bound."""
        samples, channels, inputs = base.signals[index].shape
        image = self._units[index] * (samples * channels + inputs + 1)
        return max(1, self.memory_bytes // (8 * image * offset.shape[1]))

    @property
    def compilation_seconds(self) -> float:
        """Seconds spent so far on compiling kernels."""
        return self._clock.seconds

    @property
    def kernels(self) -> NetworkKernels:
        """The kernels of this network, built on first use."""
        if self._kernels is None:
            self._kernels = build_kernels(self.network, self._units, [_whole_registers(u) for u in self._units])
        return self._kernels

    def _base(self, point: Tensor, inputs: Tensor, targets: Tensor) -> "Base":
        tensors = self.layout.unflatten(point)
        trace = self.network.trace(inputs, tensors, targets)
        weights: list[FloatArray] = []
        for index in range(len(self._units)):
            weights += [array.numpy() for array in self._padded(index, *self.network.used(index, tensors))]
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

    def _layer_columns(self, subspace: HybridSubspace) -> SubspaceColumns:
        """The columns of the subspace last seen."""
        if self._columns is None or not self._columns.belongs_to(subspace):
            self._columns = SubspaceColumns(subspace, [(layer.weight, layer.bias) for layer in self.network.layers])
        return self._columns


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


def _whole_registers(units: int) -> int:
    return -(-units // REGISTER) * REGISTER


def _image(rows: Tensor, signal: Tensor) -> FloatArray:
    """Rows (R, I + 1) times layer inputs (I + 1, C, B): (R, C, B)."""
    image: FloatArray = (rows @ signal.flatten(1)).unflatten(1, signal.shape[1:]).numpy()
    return image


def _groups(row: Tensor) -> NDArray[np.int64]:
    """Borders (R + 1,) of stretches of equal rows, none longer than LARGEST_GROUP."""
    places = torch.arange(len(row))
    starts = torch.cat([places[:1], (row.diff() != 0).nonzero().squeeze(1) + 1])
    within = places - torch.repeat_interleave(starts, torch.diff(starts, append=torch.tensor([len(row)])))
    borders: NDArray[np.int64] = F.pad(places[within % LARGEST_GROUP == 0], (0, 1), value=len(row)).numpy()
    return borders
