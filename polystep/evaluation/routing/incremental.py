"""Incremental evaluation of routed networks in torch: only what a candidate changes is computed again. Exact, on any device.

Which rows matter to which samples: a row of the trunk to those where its unit's activation changes, a row of the router to
those whose route changes (and, where gated, to those that take its route), a row of a route to those that take it.
"""

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from polystep.candidates import Candidates, ParticleCandidates
from polystep.evaluation.columns import SEVERAL_LAYERS
from polystep.evaluation.layered import with_bias_input
from polystep.evaluation.routing.hybrid import PartColumns, PartMoves, PartPatch
from polystep.evaluation.routing.network import (
    Part,
    Role,
    RoutedNetwork,
    RoutedTrace,
    Tensors,
    activate,
    parts_by_tensors,
)
from polystep.layout import ParameterLayout
from polystep.low_rank import LowRankCandidates
from polystep.subspace import HybridSubspace, RowSubspace

CACHED_BYTES = 24 * 2**20
"""Intermediates of candidates that are evaluated as a whole: as much as a CPU's caches hold."""


class RoutedEvaluator:
    """Row candidates patch what their row reaches, hybrid candidates what their map does; others are evaluated as a whole."""

    def __init__(self, network: RoutedNetwork, layout: ParameterLayout, memory_bytes: int = 256 * 2**20):
        """`memory_bytes`: bound for the largest intermediates of a chunk."""
        self.network, self.layout, self.memory_bytes = network, layout, memory_bytes
        self._columns: PartColumns | None = None
        self._outputs = self._rows(network.output.weight)

    @property
    def compilation_seconds(self) -> float:
        """0: nothing is compiled."""
        return 0.0

    @torch.no_grad()
    def losses(self, candidates: Candidates, inputs: Tensor, targets: Tensor) -> Tensor:
        """Mean loss of every candidate on the batch, shape (N,), float32."""
        self.network.loss.check(targets, self._outputs)
        # a NaN spoils every sample, on whatever route
        if isinstance(candidates, ParticleCandidates) and torch.isfinite(candidates.base).all():
            if isinstance(candidates.subspace, RowSubspace):
                return self._row_losses(candidates, candidates.subspace, inputs, targets)
            if isinstance(candidates.subspace, HybridSubspace):
                return self._hybrid_losses(candidates, candidates.subspace, inputs, targets)
        return self._whole_losses(candidates, inputs, targets)

    def _row_losses(
        self, candidates: ParticleCandidates, subspace: RowSubspace, inputs: Tensor, targets: Tensor
    ) -> Tensor:
        tensors = self.layout.unflatten(candidates.base)
        patch = self._patch(tensors, self.network.trace(inputs, tensors, targets), targets)
        losses = inputs.new_empty(len(candidates))
        group, row, block = subspace.locate(candidates.particle)
        parts = parts_by_tensors(self.network, self.layout)
        for number, (rows, bases) in enumerate(zip(subspace.groups, subspace.bases, strict=True)):
            chosen = (group == number).nonzero().squeeze(1)
            part = parts.get((rows.weight.name, None if rows.bias is None else rows.bias.name))
            if part is None:
                losses[chosen] = self._whole_losses(candidates.part(chosen), inputs, targets)
            elif len(chosen):
                moves = RowMoves(row[chosen], block[chosen], candidates.offset[chosen], bases)
                losses[chosen] = patch.losses(part, moves)
        return losses

    def _hybrid_losses(
        self, candidates: ParticleCandidates, subspace: HybridSubspace, inputs: Tensor, targets: Tensor
    ) -> Tensor:
        if self._columns is None or not self._columns.belongs_to(subspace):
            self._columns = PartColumns(subspace, self.network)
        columns, tensors = self._columns, self.layout.unflatten(candidates.base)
        trace = self.network.trace(inputs, tensors, targets)
        patch = PartPatch(self.network, tensors, trace, targets, self._at_once(trace, columns))
        part_of, losses = columns.layer_of_particle[candidates.particle], inputs.new_empty(len(candidates))
        for number, part in enumerate(columns.parts):
            chosen = (part_of == number).nonzero().squeeze(1)
            if len(chosen):
                moves = PartMoves(part, columns.layers[number], candidates.particle[chosen], candidates.offset[chosen])
                losses[chosen] = self._part_losses(moves, patch)
        rest = (part_of == SEVERAL_LAYERS).nonzero().squeeze(1)
        losses[rest] = self._whole_losses(candidates.part(rest), inputs, targets)
        return losses

    def _at_once(self, trace: RoutedTrace, columns: PartColumns) -> int:
        """Candidates of a hybrid subspace that are computed together: on a CPU those of one particle, since larger products
        leave its caches and round otherwise than smaller ones.
        """
        if trace.hidden.device.type == "cpu":
            return 1
        images = max(signal.numel() for signal in (trace.hidden, *trace.inner, *trace.mixed))
        weights = max(layer.units * (layer.inputs + 1) for layer in columns.layers)
        return self.memory_bytes // (4 * max(images, weights))

    def _part_losses(self, moves: PartMoves, patch: PartPatch) -> Tensor:
        return patch.losses(moves)

    def _rows(self, weight: str) -> int:
        return next(entry.shape[0] for entry in self.layout.entries if weight in (entry.name, *entry.aliases))

    def _patch(self, tensors: Tensors, trace: RoutedTrace, targets: Tensor) -> "Patch":
        return RowPatch(self.network, tensors, trace, targets, self.memory_bytes)

    def _whole_losses(self, candidates: Candidates, inputs: Tensor, targets: Tensor) -> Tensor:
        losses = inputs.new_empty(len(candidates))
        units = sum(entry.shape[0] for entry in self.layout.entries if len(entry.shape) > 1)
        memory = min(self.memory_bytes, CACHED_BYTES) if inputs.device.type == "cpu" else self.memory_bytes
        chunk = max(1, memory // (4 * (len(inputs) * units + 2 * self.layout.size)))
        for first in range(0, len(candidates), chunk):
            part = slice(first, first + chunk)
            losses[part] = self.network.loss.apply(self._logits(candidates, part, inputs), targets).mean(-1)
        return losses

    def _logits(self, candidates: Candidates, part: slice, inputs: Tensor) -> Tensor:
        """Logits (n, B, O) of the candidates of `part`."""
        trunk = self.network.trunk
        if not isinstance(candidates, LowRankCandidates):
            return self.network.logits(inputs, self.layout.unflatten(candidates.dense(part)))
        still, moves = self.layout.unflatten(candidates.base), candidates.moves(part)
        pre = trunk.apply(inputs, still) + moves.images(trunk.weight, inputs)
        if trunk.bias is not None:
            pre = pre + moves.dense(trunk.bias).unsqueeze(1)
        others = [linear for role, linear in self.network.parts() if role != "trunk"]
        names = [name for linear in others for name in (linear.weight, linear.bias) if name is not None]
        return self.network.logits_from(pre, candidates.tensors(moves, names))


@dataclass(frozen=True)
class RowMoves:
    """Candidates that move one row of one map: row[n] by offset[n] (d,) over block[n] of the bases (blocks d, I), whose last
    column belongs to the bias where there is one.
    """

    row: Tensor
    block: Tensor
    offset: Tensor
    bases: Tensor

    def rows(self) -> Tensor:
        """What is added to the rows, (n, I)."""
        directions = self.bases.unflatten(0, (-1, self.offset.shape[1]))
        return torch.einsum("nd,ndi->ni", self.offset, directions[self.block])

    def projected(self, signal: Tensor) -> Tensor:
        """What each direction adds to the pre-activation of each sample, (B, blocks d); signal (B, inputs)."""
        return (signal if signal.shape[1] == self.bases.shape[1] else with_bias_input(signal)) @ self.bases.T

    def deltas(self, signal: Tensor) -> Tensor:
        """What is added to the row's pre-activation of each sample, (n, B)."""
        projected = self.projected(signal).unflatten(1, (-1, self.offset.shape[1]))
        return torch.einsum("nd,bnd->nb", self.offset, projected[:, self.block])

    def split(self, size: int) -> "list[RowMoves]":
        """The candidates in pieces of `size`."""
        pieces = zip(self.row.split(size), self.block.split(size), self.offset.split(size), strict=True)
        return [RowMoves(*piece, self.bases) for piece in pieces]


class Patch(Protocol):
    """Losses of candidates that move one row of one map."""

    def losses(self, part: Part, moves: RowMoves) -> Tensor:
        """Mean losses (n,) of moves of the rows of `part`."""
        ...


@dataclass(frozen=True)
class RowPatch:
    """Losses of candidates that move one row of one map, from the trace of the base point."""

    network: RoutedNetwork
    tensors: Tensors
    trace: RoutedTrace
    targets: Tensor
    memory_bytes: int

    def losses(self, part: Part, moves: RowMoves) -> Tensor:
        """Mean losses (n,) of moves of the rows of `part`."""
        widest = max(signal.shape[1] for signal in (self.trace.hidden, self.trace.scores, *self.trace.mixed))
        chunk = max(1, self.memory_bytes // (16 * len(self.targets) * widest))
        changes = torch.cat([self._changes(part, piece) for piece in moves.split(chunk)])
        return (self.trace.base_losses.double().mean() + changes / len(self.targets)).float()

    def _changes(self, part: Part, moves: RowMoves) -> Tensor:
        """What the samples of the batch add to the base loss, (n,), in sum."""
        if part.role == "trunk":
            return self._trunk(moves)
        if part.role == "router":
            return self._router(moves)
        return torch.stack(
            [self._route(route, part.role, moves) for route in self.network.served(part.role, part.linear)]
        ).sum(0)

    def _trunk(self, moves: RowMoves) -> Tensor:
        trace, network = self.trace, self.network
        pre = trace.pre[:, moves.row].T + moves.deltas(trace.inputs)
        difference = activate(network.activation, pre) - trace.hidden[:, moves.row].T
        candidate, sample = difference.nonzero(as_tuple=True)
        step, unit = difference[candidate, sample].unsqueeze(1), moves.row[candidate]
        scores = trace.scores[sample] + step * self.tensors[network.router.weight][:, unit].T
        winner = scores.argmax(-1)
        logits = trace.logits.new_empty(len(sample), trace.logits.shape[-1])
        for number, route in enumerate(network.routes):
            own = (winner == number).nonzero().squeeze(1)
            column = self.tensors[route.inner.weight][:, unit[own]].T
            inner = trace.inner[number][sample[own]] + step[own] * column
            logits[own] = network.route_logits(number, inner, self.tensors)
        return self._sum(moves, candidate, sample, logits)

    def _router(self, moves: RowMoves) -> Tensor:
        trace, network = self.trace, self.network
        scores = trace.scores.repeat(len(moves.row), 1, 1)
        scores[torch.arange(len(moves.row), device=scores.device), :, moves.row] += moves.deltas(trace.hidden)
        winner = scores.argmax(-1)
        mine = winner == moves.row.unsqueeze(1)
        reached = (winner != trace.winner) | (mine & network.gated)
        candidate, sample = reached.nonzero(as_tuple=True)
        logits = trace.logits[winner[reached], sample]
        if network.gated:
            own = mine[reached].nonzero().squeeze(1)
            gain = (self.tensors[network.router.weight][moves.row] + moves.rows()).sigmoid()
            mixed = torch.stack(trace.mixed)[moves.row[candidate[own]], sample[own]]
            logits[own] = network.output.apply(mixed * gain[candidate[own]], self.tensors)
        return self._sum(moves, candidate, sample, logits)

    def _route(self, number: int, role: Role, moves: RowMoves) -> Tensor:
        """A row of one of the maps that the samples of a route pass through after the router."""
        trace, network = self.trace, self.network
        served = (trace.winner == number).nonzero().squeeze(1)
        signal, image = (whole[served] for whole in trace.signals(role, number))
        change = moves.deltas(signal)
        if role == "inner":
            before = trace.active[number][served][:, moves.row].T
            reached = activate(network.route_activation, image[:, moves.row].T + change) != before
        else:
            reached = change != 0
        candidate, place = reached.nonzero(as_tuple=True)
        patched, order = image[place], torch.arange(len(place), device=place.device)
        patched[order, moves.row[candidate]] += change[candidate, place]
        logits = network.logits_after(role, number, patched, self.tensors)
        return self._sum(moves, candidate, served[place], logits)

    def _sum(self, moves: RowMoves, candidate: Tensor, sample: Tensor, logits: Tensor) -> Tensor:
        """What changed logits of some samples of some candidates add to the base losses, (n,), in sum."""
        changed = self.network.loss.apply(logits, self.targets[sample]) - self.trace.base_losses[sample]
        total = torch.zeros(len(moves.row), dtype=torch.float64, device=changed.device)
        return total.index_add_(0, candidate, changed.double())
