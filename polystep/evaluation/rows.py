"""Candidates that move one row of one layer: they patch one unit, for the samples where it changes."""

from functools import cached_property

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from polystep.candidates import ParticleCandidates
from polystep.evaluation.compiled_network import Base, CompiledNetwork, FloatArray
from polystep.evaluation.dense import FusedDense
from polystep.evaluation.incremental import row_changes
from polystep.evaluation.layered import with_bias_input
from polystep.evaluation.row_kernels import RowKernels, build_row_kernels
from polystep.evaluation.simd_blocks import unit_major
from polystep.subspace import RowSubspace

LARGEST_GROUP = 64
"""Candidates of one row that share a thread's work."""


class FusedRows:
    """Losses of particles of a `RowSubspace`. Torch counterpart: `IncrementalEvaluator`."""

    def __init__(self, compiled: CompiledNetwork, dense: FusedDense):
        self._compiled = compiled

    @cached_property
    def kernels(self) -> RowKernels:
        """The kernels of this network."""
        return build_row_kernels(self._compiled.functions)

    def losses(self, candidates: ParticleCandidates, inputs: Tensor, targets: Tensor) -> Tensor:
        """Mean losses (N,)."""
        compiled, subspace = self._compiled, candidates.subspace
        assert isinstance(subspace, RowSubspace)
        base = compiled.base(candidates.base, inputs, targets)
        group, row, block = subspace.locate(candidates.particle)
        # particles of parameters that the network does not use change nothing
        losses = torch.full((len(candidates),), float(base.losses.mean()))
        for index, layer in enumerate(compiled.network.layers):
            number = next(i for i, g in enumerate(subspace.groups) if g.weight.name == layer.weight)
            signal, basis = with_bias_input(base.signals[index]), subspace.bases[number]
            chosen = (group == number).nonzero().squeeze(1)
            if not len(chosen):
                continue
            chosen = chosen[torch.argsort(row[chosen], stable=True)]
            if layer.transform is None:
                moves = (row[chosen], block[chosen], candidates.offset[chosen], unit_major(signal @ basis.T).numpy())
                losses[chosen] = self._run(index, *moves, base)
                continue
            for part in chosen.split(max(1, compiled.memory_bytes // (4 * signal[..., 0].numel()))):
                # a transformed row has a direction of its own
                rows = row_changes(layer, base.tensors, row[part], block[part], candidates.offset[part], basis)
                projected = unit_major(signal @ rows.T).numpy()
                moves = (row[part], torch.arange(len(part)), torch.ones(len(part), 1), projected)
                losses[part] = self._run(index, *moves, base)
        return losses

    def _run(self, index: int, row: Tensor, block: Tensor, offset: Tensor, projected: FloatArray, base: Base) -> Tensor:
        """Losses of moves by offset[n] (d,) over block[n] of the `projected` signals; `row` ascending."""
        compiled, call, last = self._compiled, self._compiled.clock.call, len(self._compiled.units) - 1
        moved = (row.numpy(), block.numpy(), offset.numpy(), base.pre_activations[index], projected)
        if index == last:
            found = call(self.kernels.output_rows, *moved, base.logits, base.targets, base.losses)
        else:
            bounds = call(compiled.functions.plateaus[index], base.pre_activations[index][:, 0])
            followings = (base.followings[index + 1], base.followings[min(index + 2, last)])
            rest = (*followings, base.weights, base.targets, base.losses)
            found = call(self.kernels.hidden_rows[index], _groups(row), *moved, *bounds, *rest)
        return torch.from_numpy(found)


def _groups(row: Tensor) -> NDArray[np.int64]:
    """Borders (R + 1,) of stretches of equal rows, none longer than LARGEST_GROUP."""
    places = torch.arange(len(row))
    starts = torch.cat([places[:1], (row.diff() != 0).nonzero().squeeze(1) + 1])
    within = places - torch.repeat_interleave(starts, torch.diff(starts, append=torch.tensor([len(row)])))
    borders: NDArray[np.int64] = F.pad(places[within % LARGEST_GROUP == 0], (0, 1), value=len(row)).numpy()
    return borders
