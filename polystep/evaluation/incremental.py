"""Incremental evaluation in torch: only what a candidate changes is computed again. Exact, on any device."""

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from polystep.candidates import Candidates, ParticleCandidates
from polystep.evaluation.columns import SEVERAL_LAYERS, LayerColumns, SubspaceColumns
from polystep.evaluation.layered import Layer, LayeredNetwork, Trace, with_bias_input
from polystep.layout import ParameterLayout
from polystep.low_rank import LowRankCandidates
from polystep.subspace import HybridSubspace, RowSubspace


class IncrementalEvaluator:
    """Row candidates patch one unit and its consequences, particles of a hybrid subspace one layer and what follows; other
    candidates run batched from the first layer on, those of low rank with one product of that layer for all.

    A candidate that moves row i of layer k by dw changes z_i -> z_i + [x, 1] . dw, hence one unit's activation, hence the
    next pre-activation by a rank-one term, and only for samples where that activation changes. The loss of every other
    sample is the base loss. Where a layer transforms its parameters, dw is the change of the transformed row. Source: the
    structure is the linearity of each layer in its row; METHOD.md, exact incremental evaluation.
    """

    compilation_seconds = 0.0

    def __init__(self, network: LayeredNetwork, layout: ParameterLayout, memory_bytes: int = 256 * 2**20):
        """`memory_bytes`: bound for the largest intermediate of a chunk."""
        self.network, self.layout, self.memory_bytes = network, layout, memory_bytes
        self._columns: SubspaceColumns | None = None

    @torch.no_grad()
    def losses(self, candidates: Candidates, inputs: Tensor, targets: Tensor) -> Tensor:
        """Mean loss of every candidate on the batch, shape (N,), float32; ValueError where the targets do not suit."""
        inputs = self.network.rows(self.layout, inputs, targets)
        if isinstance(candidates, ParticleCandidates):
            if isinstance(candidates.subspace, RowSubspace):
                return self._unit_losses(candidates, candidates.subspace, inputs, targets)
            if isinstance(candidates.subspace, HybridSubspace):
                return self._layer_losses(candidates, candidates.subspace, inputs, targets)
        return self._dense_losses(candidates, inputs, targets)

    def columns(self, subspace: HybridSubspace) -> SubspaceColumns:
        """The columns of a subspace by layer, kept until another one, or another draw of it, is asked for."""
        if self._columns is None or not self._columns.belongs_to(subspace):
            self._columns = SubspaceColumns(subspace, [(layer.weight, layer.bias) for layer in self.network.layers])
        return self._columns

    def _unit_losses(
        self, candidates: ParticleCandidates, subspace: RowSubspace, inputs: Tensor, targets: Tensor
    ) -> Tensor:
        tensors = self.layout.unflatten(candidates.base)
        trace = self.network.trace(inputs, tensors, targets)
        group, row, block = subspace.locate(candidates.particle)
        # particles of parameters that the network does not use change nothing
        losses = trace.losses.mean().repeat(len(candidates))
        for index, layer in enumerate(self.network.layers):
            number = next(i for i, g in enumerate(subspace.groups) if g.weight.name == layer.weight)
            chosen = (group == number).nonzero().squeeze(1)
            signal, basis = with_bias_input(trace.signals[index]), subspace.bases[number]
            projected = (signal @ basis.T).unflatten(-1, (-1, subspace.particle_dimension))
            for part in chosen.split(self._row_chunk(index, trace)):
                if layer.transform is None:
                    change = torch.einsum("nd,bcnd->nbc", candidates.offset[part], projected[:, :, block[part]])
                else:
                    rows = row_changes(layer, tensors, row[part], block[part], candidates.offset[part], basis)
                    change = torch.einsum("ni,bci->nbc", rows, signal)
                losses[part] = self._row_losses(index, row[part], change, tensors, trace, targets)
        return losses

    def _row_losses(
        self, index: int, row: Tensor, change: Tensor, tensors: Mapping[str, Tensor], trace: Trace, targets: Tensor
    ) -> Tensor:
        """Mean losses (n,) where unit row[n] of layer `index` receives the extra input change (n, B, C)."""
        activation = self.network.layers[index].activation
        pre = trace.pre_activations[index][:, :, row].permute(2, 0, 1)
        before = activation.apply(pre.unsqueeze(-1)).squeeze(-1)
        difference = activation.apply((pre + change).unsqueeze(-1)).squeeze(-1) - before
        candidate, sample = (difference != 0).any(-1).nonzero(as_tuple=True)
        difference, unit = difference[candidate, sample], row[candidate]
        if index + 1 == len(self.network.layers):
            logits = trace.logits[sample].clone()
            logits[torch.arange(len(unit), device=unit.device), unit] += difference.squeeze(-1)
        else:
            column = self.network.used(index + 1, tensors)[0][:, unit].T
            following = trace.pre_activations[index + 1][sample] + difference.unsqueeze(-1) * column.unsqueeze(1)
            logits = self.network.logits_from(index + 1, following, tensors)
        picked = targets[sample]
        changed = self.network.loss.apply(logits, picked) - trace.losses[sample]
        total = torch.zeros(len(row), dtype=torch.float64, device=row.device).index_add_(0, candidate, changed.double())
        return (trace.losses.double().mean() + total / len(targets)).float()

    def _row_chunk(self, index: int, trace: Trace) -> int:
        following = trace.pre_activations[min(index + 1, len(self.network.layers) - 1)]
        return max(1, self.memory_bytes // (4 * max(following.numel(), trace.pre_activations[index][..., 0].numel())))

    def _layer_losses(
        self, candidates: ParticleCandidates, subspace: HybridSubspace, inputs: Tensor, targets: Tensor
    ) -> Tensor:
        tensors = self.layout.unflatten(candidates.base)
        trace = self.network.trace(inputs, tensors, targets)
        of_layers = self.columns(subspace)
        layer_of = of_layers.layer_of_particle[candidates.particle]
        # particles of parameters that the network does not use change nothing
        losses = trace.losses.mean().repeat(len(candidates))
        for index, columns in enumerate(of_layers.layers):
            chosen = (layer_of == index).nonzero().squeeze(1)
            if not len(chosen):
                continue
            widest = max(pre[0].numel() for pre in trace.pre_activations[index:])
            for part in chosen.split(max(1, self.memory_bytes // (4 * len(targets) * widest))):
                moves = columns, candidates.particle[part], candidates.offset[part]
                pre = self._moved_pre_activations(index, *moves, tensors, trace)
                losses[part] = self.network.loss.apply(self.network.logits_from(index, pre, tensors), targets).mean(-1)
        straddling = (layer_of == SEVERAL_LAYERS).nonzero().squeeze(1)
        if len(straddling):
            losses[straddling] = self._dense_losses(candidates.part(straddling), inputs, targets)
        return losses

    def _moved_pre_activations(
        self,
        index: int,
        columns: LayerColumns,
        particle: Tensor,
        offset: Tensor,
        tensors: Mapping[str, Tensor],
        trace: Trace,
    ) -> Tensor:
        """(n, B, C, U) where particle[n] moves layer `index` by offset[n] (d,)."""
        layer, signal = self.network.layers[index], with_bias_input(trace.signals[index])
        distinct, which, count = torch.unique_consecutive(particle, return_inverse=True, return_counts=True)
        place = torch.arange(len(particle), device=particle.device) - (count.cumsum(0) - count)[which]
        # the moves of each particle side by side, (R, V, d); unused places stay 0
        steps = offset.new_zeros(len(distinct), int(count.max()), offset.shape[1])
        steps[which, place] = offset
        change = columns.dense(distinct)
        if layer.transform is None:
            deltas = torch.einsum("bci,rui->rbcu", signal, change)
            moved = torch.bmm(steps, deltas.reshape(*steps.shape[::2], -1))[which, place]
            pre: Tensor = trace.pre_activations[index] + moved.unflatten(1, deltas.shape[1:])
            return pre
        # a candidate has weights of its own
        parameters = torch.cat([tensors[layer.weight], tensors[layer.bias].unsqueeze(1)], dim=1)
        moved = torch.bmm(steps, change.reshape(*steps.shape[::2], -1))[which, place].unflatten(1, parameters.shape)
        return torch.einsum("bci,nui->nbcu", signal, layer.used(parameters + moved))

    def _dense_losses(self, candidates: Candidates, inputs: Tensor, targets: Tensor) -> Tensor:
        losses = inputs.new_empty(len(candidates))
        widest = max(layer.activation.channels * self._units(layer.weight) for layer in self.network.layers)
        chunk = max(1, self.memory_bytes // (4 * (len(inputs) * widest + 2 * self.layout.size)))
        for first in range(0, len(candidates), chunk):
            part = slice(first, first + chunk)
            pre, tensors = self._first_images(candidates, part, inputs)
            signal = self.network.layers[0].activation.apply(pre)
            for index, layer in enumerate(self.network.layers[1:], start=1):
                signal = layer.activation.apply(self._images(index, signal, tensors))
            losses[part] = self.network.loss.apply(signal.squeeze(-2), targets).mean(-1)
        return losses

    def _first_images(self, candidates: Candidates, part: slice, inputs: Tensor) -> tuple[Tensor, Mapping[str, Tensor]]:
        """z of the first layer (n, B, 1, U) for the candidates of `part`, and their tensors in the other layers."""
        first, *others = self.network.layers
        if not isinstance(candidates, LowRankCandidates) or first.transform is not None:
            tensors = self.layout.unflatten(candidates.dense(part))
            return self._images(0, inputs.unsqueeze(1), tensors), tensors
        still, moves = self.layout.unflatten(candidates.base), candidates.moves(part)
        shared = F.linear(inputs, still[first.weight], still[first.bias])
        pre = shared + moves.images(first.weight, inputs) + moves.dense(first.bias).unsqueeze(1)
        names = [name for layer in others for name in (layer.weight, layer.bias)]
        return pre.unsqueeze(2), candidates.tensors(moves, names)

    def _images(self, index: int, signal: Tensor, tensors: Mapping[str, Tensor]) -> Tensor:
        """z (n, B, C, U) of a layer for n candidates from its input (B, C, I) or (n, B, C, I)."""
        weight, bias = self.network.used(index, tensors)
        # samples and channels side by side: one product per candidate; broadcasting would make one per sample
        rows = signal.flatten(-3, -2) @ weight.mT
        images: Tensor = rows.unflatten(1, signal.shape[-3:-1]) + bias[:, None, None, :]
        return images

    def _units(self, weight: str) -> int:
        return next(entry.shape[0] for entry in self.layout.entries if entry.name == weight)


def row_changes(
    layer: Layer, tensors: Mapping[str, Tensor], row: Tensor, block: Tensor, offset: Tensor, basis: Tensor
) -> Tensor:
    """What is added to the weights and the bias that are used in row[n], (n, I + 1), if the row's parameters move by offset[n]
    (d,) over block[n] of `basis` (blocks d, I + 1).
    """
    coordinates = offset.new_zeros(len(row), len(basis) // offset.shape[1], offset.shape[1])
    coordinates[torch.arange(len(row), device=row.device), block] = offset
    parameters = torch.cat([tensors[layer.weight], tensors[layer.bias].unsqueeze(1)], dim=1)[row]
    return layer.used(parameters + coordinates.flatten(1) @ basis) - layer.used(parameters)
