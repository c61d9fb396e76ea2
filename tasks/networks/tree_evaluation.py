"""Losses of many hard decision trees at once: what a candidate leaves as it was is not computed again."""

import torch
from torch import Tensor

from polystep.candidates import Candidates, ParticleCandidates
from polystep.evaluation.layered import with_bias_input
from polystep.layout import ParameterLayout
from polystep.subspace import RowSubspace


class TreeEvaluator:
    """Mean cross-entropy of the trees of `DecisionTree`, in torch.

    Cross-entropy depends on an input by its leaf alone. So a candidate that moves one hyperplane changes the loss of the
    inputs that reach its node and now go to the other side; from there the other decisions lead them as before. One that
    moves the logits of a leaf changes the loss of the inputs in the leaf, of which their number in each class says all.
    Other candidates decide anew.
    """

    compilation_seconds = 0.0

    def __init__(self, depth: int, layout: ParameterLayout, memory_bytes: int = 64 * 2**20):
        """`memory_bytes`: bound for the distances to hyperplanes of a chunk of candidates."""
        self.depth, self.layout, self.memory_bytes = depth, layout, memory_bytes
        self.nodes = 2**depth - 1

    @torch.no_grad()
    def losses(self, candidates: Candidates, inputs: Tensor, targets: Tensor) -> Tensor:
        """Mean loss of every candidate on the batch, shape (N,), float32."""
        rows = isinstance(candidates, ParticleCandidates) and isinstance(candidates.subspace, RowSubspace)
        own = self._row_losses if rows else self._dense_losses
        per_candidate = 4 * len(inputs) * self.nodes
        chunk = max(1, self.memory_bytes // per_candidate)
        parts = [
            own(candidates.part(slice(first, first + chunk)), inputs, targets)
            for first in range(0, len(candidates), chunk)
        ]
        return torch.cat(parts).float() if parts else inputs.new_empty(0)

    def _dense_losses(self, candidates: Candidates, inputs: Tensor, targets: Tensor) -> Tensor:
        tensors = self.layout.unflatten(candidates.dense(slice(None)))
        right = (tensors["splits.weight"] @ inputs.T + tensors["splits.bias"].unsqueeze(-1)) > 0
        node = targets.new_zeros(len(candidates), len(inputs))
        for _ in range(self.depth):
            node = 2 * node + 1 + right.gather(1, node.unsqueeze(1)).squeeze(1)
        per_leaf = self._per_leaf(tensors["leaves"], targets)
        return per_leaf.gather(1, (node - self.nodes).unsqueeze(1)).squeeze(1).mean(1)

    def _row_losses(self, candidates: Candidates, inputs: Tensor, targets: Tensor) -> Tensor:
        assert isinstance(candidates, ParticleCandidates) and isinstance(candidates.subspace, RowSubspace)
        subspace, tensors = candidates.subspace, self.layout.unflatten(candidates.base)
        signal = with_bias_input(inputs)
        distance = signal @ torch.cat([tensors["splits.weight"], tensors["splits.bias"].unsqueeze(1)], 1).T
        per_leaf = self._per_leaf(tensors["leaves"], targets).T
        left, right, reached, leaf = self._ways(distance > 0)
        base = per_leaf.gather(1, leaf.unsqueeze(1)).squeeze(1)
        sums = base.double().sum().repeat(len(candidates))
        group, row, block = subspace.locate(candidates.particle)
        for number, moved in enumerate(subspace.groups):
            chosen = (group == number).nonzero().squeeze(1)
            directions = subspace.bases[number].unflatten(0, (-1, subspace.particle_dimension))
            change = torch.einsum("nd,ndi->ni", candidates.offset[chosen], directions[block[chosen]])
            rows = row[chosen]
            if moved.weight.name == "leaves":
                sums[chosen] += self._leaf_changes(tensors["leaves"][rows], change, rows, leaf, targets)
                continue
            is_right = distance.T[rows] + change @ signal.T > 0
            turned = (is_right != (distance.T[rows] > 0)) & reached.T[rows]
            other = torch.where(is_right, per_leaf.gather(1, right).T[rows], per_leaf.gather(1, left).T[rows])
            sums[chosen] += torch.where(turned, other - base, 0.0).double().sum(1)
        return sums / len(inputs)

    def _ways(self, right: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """For decisions (B, nodes): the leaves that the left and the right child of every node lead to, and whether a node is
        reached, all (B, nodes); and the leaf of every input (B,).
        """
        leaf_from = torch.arange(2 * self.nodes + 1, device=right.device) - self.nodes
        leaf_from = leaf_from.repeat(len(right), 1)
        for node in reversed(range(self.nodes)):
            leaf_from[:, node] = torch.where(right[:, node], leaf_from[:, 2 * node + 2], leaf_from[:, 2 * node + 1])
        reached = torch.ones_like(right)
        for node in range(1, self.nodes):
            parent = (node - 1) // 2
            reached[:, node] = reached[:, parent] & (right[:, parent] == (node % 2 == 0))
        return leaf_from[:, 1::2], leaf_from[:, 2::2], reached, leaf_from[:, 0]

    def _per_leaf(self, leaves: Tensor, targets: Tensor) -> Tensor:
        """Loss (..., leaves, B) of every input in every leaf, from logits (..., leaves, C)."""
        return leaves.logsumexp(-1, keepdim=True) - leaves[..., targets]

    def _leaf_changes(self, logits: Tensor, change: Tensor, rows: Tensor, leaf: Tensor, targets: Tensor) -> Tensor:
        """Change (n,) of the sum of the losses where leaf rows[n] with logits[n] moves by change[n] (C,)."""
        counts = logits.new_zeros(self.nodes + 1, logits.shape[1], dtype=torch.float64)
        counts.index_put_((leaf, targets), counts.new_ones(()), accumulate=True)
        counts, before, after = counts[rows], logits.double(), (logits + change).double()
        return counts.sum(1) * (after.logsumexp(1) - before.logsumexp(1)) - (counts * (after - before)).sum(1)
