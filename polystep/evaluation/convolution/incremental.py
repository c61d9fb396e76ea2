"""Incremental evaluation of convolutional networks in torch: what a row reaches is computed again. Exact, on any device."""

from dataclasses import dataclass

import torch
from torch import Tensor

from polystep.candidates import Candidates, ParticleCandidates
from polystep.evaluation.convolution.network import ConvolutionalNetwork, MapTrace, Tensors, changes_of_rows
from polystep.evaluation.incremental import IncrementalEvaluator
from polystep.evaluation.objective import Evaluator
from polystep.layout import ParameterLayout
from polystep.subspace import RowSubspace


class ConvolutionalEvaluator:
    """Row candidates move one map of a convolution, or one unit of a linear layer; all others run the whole network.

    A candidate that moves row i of a convolution by dw adds to map i of its pre-activation the image of its input under dw,
    itself a convolution. What that changes after activation and pooling adds its image under the slice of the next weights
    to the next pre-activation; all that follows is computed anew, for the samples where anything has changed.
    """

    def __init__(
        self, network: ConvolutionalNetwork, layout: ParameterLayout, whole: Evaluator, memory_bytes: int = 256 * 2**20
    ):
        """`whole`: evaluates candidates that move more than a row. `memory_bytes`: bound for the largest intermediates."""
        self.network, self.layout, self.whole, self.memory_bytes = network, layout, whole, memory_bytes
        self._head = IncrementalEvaluator(network.head, layout, memory_bytes)

    @property
    def compilation_seconds(self) -> float:
        """0: nothing is compiled."""
        return 0.0

    @torch.no_grad()
    def losses(self, candidates: Candidates, inputs: Tensor, targets: Tensor) -> Tensor:
        """Mean loss of every candidate on the batch, shape (N,), float32; ValueError where the batch does not suit."""
        self.network.check(self.layout, inputs, targets)
        if isinstance(candidates, ParticleCandidates) and isinstance(candidates.subspace, RowSubspace):
            tensors = self.layout.unflatten(candidates.base)
            trace = self.network.trace(inputs, tensors, targets)
            # differences of infinite numbers mean nothing
            if trace.are_finite:
                return self._row_losses(
                    candidates, candidates.subspace, RowPatch(self.network, tensors, trace, targets)
                )
        return self.whole.losses(candidates, inputs, targets)

    def _row_losses(self, candidates: ParticleCandidates, subspace: RowSubspace, patch: "RowPatch") -> Tensor:
        group, row, block = subspace.locate(candidates.particle)
        # rows of linear layers move what the last maps are carried on to
        losses = self._head.losses(candidates, patch.trace.signals[-1].flatten(1), patch.targets)
        for index, convolution in enumerate(self.network.convolutions):
            number = group_of(subspace, convolution.weight)
            directions = subspace.bases[number].unflatten(0, (-1, subspace.particle_dimension))
            for unit in row[group == number].unique().tolist():
                chosen = ((group == number) & (row == unit)).nonzero().squeeze(1)
                for part in chosen.split(patch.chunk(index, self.memory_bytes)):
                    change = torch.einsum("nd,ndi->ni", candidates.offset[part], directions[block[part]])
                    losses[part] = patch.losses(index, unit, change)
        return losses


def group_of(subspace: RowSubspace, weight: str) -> int:
    """Number of the rows of a weight."""
    return next(number for number, group in enumerate(subspace.groups) if group.weight.name == weight)


@dataclass(frozen=True)
class RowPatch:
    """Losses of candidates that move one row of a convolution, from the trace of the base point."""

    network: ConvolutionalNetwork
    tensors: Tensors
    trace: MapTrace
    targets: Tensor

    def chunk(self, index: int, memory_bytes: int) -> int:
        """Candidates of convolution `index` at a time."""
        widest = max(signal.numel() for signal in (*self.trace.pre_activations[index + 1 :], *self.trace.head.signals))
        return max(1, memory_bytes // (8 * max(widest, self.trace.pre_activations[index][:, 0].numel())))

    def losses(self, index: int, row: int, change: Tensor) -> Tensor:
        """Mean losses (n,) where `change` (n, inputs of a row and its bias) is added to the parameters of a row."""
        convolution = self.network.convolutions[index]
        rows = changes_of_rows(convolution, self.tensors, torch.full((len(change),), row, device=change.device), change)
        images = convolution.images(self.trace.signals[index], rows).transpose(0, 1)
        moved = self.trace.pre_activations[index][:, row] + images
        difference = convolution.after(moved) - self.trace.signals[index + 1][:, row]
        candidate, sample = (difference != 0).flatten(2).any(-1).nonzero(as_tuple=True)
        step = difference[candidate, sample].unsqueeze(1)
        if index + 1 == len(self.network.convolutions):
            features = self.trace.signals[-1][sample]
            features[:, row] += step.squeeze(1)
            flat = features.flatten(1)
        else:
            following = self.network.convolutions[index + 1]
            added = following.convolve(step, following.used(self.tensors)[0][:, row : row + 1])
            signal = following.after(self.trace.pre_activations[index + 1][sample] + added)
            flat = self.network.features_from(index + 2, signal, self.tensors)
        logits, targets = self.network.head.logits(flat, self.tensors), self.targets[sample]
        changed = self.network.head.loss.apply(logits, targets) - self.trace.losses[sample]
        total = torch.zeros(len(change), dtype=torch.float64, device=change.device)
        total.index_add_(0, candidate, changed.double())
        return (self.trace.losses.double().mean() + total / len(self.targets)).float()
