"""Candidates of the paper's subspace: a particle moves along fixed directions of a whole layer."""

from functools import cached_property

import torch
import torch.nn.functional as F
from torch import Tensor

from polystep.candidates import ParticleCandidates
from polystep.evaluation.columns import SEVERAL_LAYERS, LayerColumns, SparseColumns, SubspaceColumns
from polystep.evaluation.compiled_network import Base, CompiledNetwork, FloatArray
from polystep.evaluation.dense import FusedDense
from polystep.evaluation.directions import Directions, directions_of
from polystep.evaluation.published_kernels import PublishedKernels, build_published_kernels
from polystep.evaluation.simd_blocks import block_major
from polystep.subspace import HybridSubspace


class FusedPublished:
    """Losses of particles of a `HybridSubspace`: they patch one layer and skip what does not change; those that straddle layers
    are evaluated as dense ones. Torch counterpart: `IncrementalEvaluator`.
    """

    def __init__(self, compiled: CompiledNetwork, dense: FusedDense):
        self._compiled, self._dense = compiled, dense
        self._columns: SubspaceColumns | None = None

    @cached_property
    def kernels(self) -> PublishedKernels:
        """The kernels of this network."""
        return build_published_kernels(self._compiled.functions)

    def losses(self, candidates: ParticleCandidates, inputs: Tensor, targets: Tensor) -> Tensor:
        """Mean losses (N,)."""
        compiled, subspace = self._compiled, candidates.subspace
        assert isinstance(subspace, HybridSubspace)
        columns = self._layer_columns(subspace)
        base = compiled.base(candidates.base, inputs, targets)
        # particles of parameters that the network does not use change nothing
        losses = torch.full((len(candidates),), float(base.losses.mean()))
        layer_of = columns.layer_of_particle[candidates.particle]
        for index, layer in enumerate(columns.layers):
            chosen = (layer_of == index).nonzero().squeeze(1)
            moved, offset = candidates.particle[chosen], candidates.offset[chosen].contiguous()
            one_channel = base.signals[index].shape[1] == 1
            if layer.are_sparse and one_channel and compiled.network.layers[index].transform is None:
                losses[chosen] = self._move_sparsely(index, directions_of(moved, offset), layer.sparse, base)
                continue
            particle, count = torch.unique_consecutive(moved, return_counts=True)
            first = F.pad(count.cumsum(0), (1, 0))
            chunk = self._chunk(index, offset, base)
            for part in range(0, len(particle), chunk):
                some = slice(part, part + chunk)
                borders = first[part : some.stop + 1]
                own = slice(int(borders[0]), int(borders[-1]))
                moves = (particle[some], borders - borders[0], offset[own])
                losses[chosen[own]] = self._move_layer(index, *moves, layer, base)
        straddling = (layer_of == SEVERAL_LAYERS).nonzero().squeeze(1)
        if len(straddling):
            losses[straddling] = self._dense.losses(candidates.part(straddling), inputs, targets)
        return losses

    def _move_sparsely(self, index: int, directions: Directions, columns: SparseColumns, base: Base) -> Tensor:
        call, kernels = self._compiled.clock.call, self.kernels
        z = block_major(torch.from_numpy(base.pre_activations[index][:, 0])).numpy()
        signal = block_major(base.unit_major_signal(index)[:, 0]).numpy()
        moved = (directions.as_tuple(), columns.as_tuple(), signal, z)
        if kernels.patched_layers[index] is None:
            rest = (base.weights, base.targets, len(base.losses))
            return torch.from_numpy(call(kernels.sparse_layers[index], *moved, *rest))
        bounds = call(self._compiled.functions.plateaus[index], z)
        states = call(kernels.states[index], z, base.weights[2 * index + 2])
        patched = (*bounds, *states, base.weights, base.targets, base.losses, base.losses.mean())
        return torch.from_numpy(call(kernels.patched_layers[index], *moved, *patched))

    def _move_layer(
        self, index: int, particle: Tensor, first: Tensor, offset: Tensor, columns: LayerColumns, base: Base
    ) -> Tensor:
        compiled, layer = self._compiled, self._compiled.network.layers[index]
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
        deltas = _preactivation_deltas(change.flatten(0, 1), base.unit_major_signal(index))
        deltas = deltas.reshape(-1, offset.shape[1], compiled.units[index], *deltas.shape[1:])
        moves = (first.numpy(), offset.numpy(), deltas, base.pre_activations[index])
        rest = (base.weights, base.targets, len(base.losses))
        return torch.from_numpy(compiled.clock.call(self.kernels.whole_layers[index], *moves, *rest))

    def _chunk(self, index: int, offset: Tensor, base: Base) -> int:
        """Particles whose deltas of layer `index`, and weights where they are transformed, fit into the memory bound."""
        samples, channels, inputs = base.signals[index].shape
        size = self._compiled.units[index] * (samples * channels + inputs + 1)
        return max(1, self._compiled.memory_bytes // (8 * size * offset.shape[1]))

    def _layer_columns(self, subspace: HybridSubspace) -> SubspaceColumns:
        """The columns of the subspace last seen."""
        if self._columns is None or not self._columns.belongs_to(subspace):
            layers = [(layer.weight, layer.bias) for layer in self._compiled.network.layers]
            self._columns = SubspaceColumns(subspace, layers)
        return self._columns


def _preactivation_deltas(rows: Tensor, signal: Tensor) -> FloatArray:
    """Rows (R, I + 1) times layer inputs (I + 1, C, B): (R, C, B)."""
    deltas: FloatArray = (rows @ signal.flatten(1)).unflatten(1, signal.shape[1:]).numpy()
    return deltas
