"""Candidates of the paper's subspace: a particle moves along fixed directions of a whole layer."""

from functools import cached_property
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from polystep.candidates import ParticleCandidates
from polystep.evaluation.columns import SEVERAL_LAYERS, LayerColumns
from polystep.evaluation.compiled_network import Base, CompiledNetwork
from polystep.evaluation.dense import FusedDense
from polystep.evaluation.directions import Directions, dense_rows, directions_of
from polystep.evaluation.hybrid_kernels import HybridKernels, build_hybrid_kernels
from polystep.evaluation.kernels import LANES
from polystep.evaluation.simd_blocks import block_major
from polystep.subspace import HybridSubspace


class FusedHybrid:
    """Losses of particles of a `HybridSubspace`: they patch one layer and skip what does not change; those that straddle layers
    are evaluated as dense ones. Torch counterpart: `IncrementalEvaluator`.
    """

    def __init__(self, compiled: CompiledNetwork, dense: FusedDense):
        self._compiled, self._dense = compiled, dense

    @cached_property
    def kernels(self) -> HybridKernels:
        """The kernels of this network."""
        return build_hybrid_kernels(self._compiled.functions)

    def losses(self, candidates: ParticleCandidates, inputs: Tensor, targets: Tensor) -> Tensor:
        """Mean losses (N,)."""
        compiled, subspace = self._compiled, candidates.subspace
        assert isinstance(subspace, HybridSubspace)
        columns = compiled.general.columns(subspace)
        base = compiled.base(candidates.base, inputs, targets)
        # particles of parameters that the network does not use change nothing
        losses = torch.full((len(candidates),), float(base.losses.mean()))
        layer_of = columns.layer_of_particle[candidates.particle]
        for index, layer in enumerate(columns.layers):
            chosen = (layer_of == index).nonzero().squeeze(1)
            if not len(chosen):
                continue
            moved, offset = candidates.particle[chosen], candidates.offset[chosen].contiguous()
            transform = compiled.network.layers[index].transform
            if layer.are_sparse and base.signals[index].shape[1] == 1 and transform is None:
                directions = directions_of(moved, offset)
                read = (directions.particle, *layer.sparse.as_tuple())
                losses[chosen] = self._run(index, self.kernels.sparse, directions, read, base)
                continue
            particle, count = torch.unique_consecutive(moved, return_counts=True)
            first = F.pad(count.cumsum(0), (1, 0))
            chunk = self._chunk(index, offset, base)
            for part in range(0, len(particle), chunk):
                borders = first[part : part + chunk + 1]
                own = slice(int(borders[0]), int(borders[-1]))
                losses[chosen[own]] = self._move_densely(index, moved[own], offset[own], layer, base)
        straddling = (layer_of == SEVERAL_LAYERS).nonzero().squeeze(1)
        if len(straddling):
            losses[straddling] = self._dense.losses(candidates.part(straddling), inputs, targets)
        return losses

    def _move_densely(self, index: int, particle: Tensor, offset: Tensor, columns: LayerColumns, base: Base) -> Tensor:
        layer = self._compiled.network.layers[index]
        distinct = torch.unique_consecutive(particle)
        # (R, d, U, I + 1): what each coordinate adds to the weights and the bias
        change = columns.dense(distinct).unflatten(0, (-1, offset.shape[1]))
        if layer.transform is not None:
            # a candidate has weights of its own
            parameters = torch.cat([base.tensors[layer.weight], base.tensors[layer.bias].unsqueeze(1)], dim=1)
            steps = offset.split(torch.unique_consecutive(particle, return_counts=True)[1].tolist())
            moved = torch.cat([torch.tensordot(*pair, dims=1) for pair in zip(steps, change, strict=True)])
            change = (layer.used(parameters + moved) - layer.used(parameters)).unsqueeze(1)
            particle, offset = torch.arange(len(offset)), torch.ones(len(offset), 1)
        return self._run(index, self.kernels.dense, directions_of(particle, offset), dense_rows(change), base)

    def _run(self, index: int, kernels: list[Any], directions: Directions, columns: Any, base: Base) -> Tensor:
        """Losses of candidates that move layer `index`; `columns` as the kernels read them."""
        call, kernel = self._compiled.clock.call, kernels[index]
        z = block_major(torch.from_numpy(base.pre_activations[index])).flatten(1).numpy()
        signal = block_major(base.unit_major_signal(index)).numpy()
        moved: tuple[Any, ...] = (directions.as_tuple(), columns, signal, z)
        rest = (base.weights, base.targets)
        if (build_states := self.kernels.states[index]) is not None:
            bounds = call(self._compiled.functions.plateaus[index], z)
            states = call(build_states, z, base.weights[2 * index + 2])
            return torch.from_numpy(call(kernel, *moved, *bounds, *states, *rest, base.losses, base.losses.mean()))
        if self.kernels.bent[index]:
            following = torch.from_numpy(base.followings[index + 1])
            missing = base.weights[2 * index + 2].shape[1] - following.shape[1]
            following = F.pad(following, (0, missing, 0, -len(following) % LANES))
            moved = (*moved, following.reshape(len(z), -1).numpy())
        return torch.from_numpy(call(kernel, *moved, *rest, len(base.losses)))

    def _chunk(self, index: int, offset: Tensor, base: Base) -> int:
        """Particles whose columns of layer `index`, or weights where they are transformed, fit into the memory bound."""
        size = self._compiled.units[index] * (base.signals[index].shape[2] + 1)
        return max(1, self._compiled.memory_bytes // (8 * size * offset.shape[1]))
