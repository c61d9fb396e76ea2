"""Hybrid candidates of routed networks in torch: a particle moves one map as a whole, and what lies before it stays."""

from dataclasses import dataclass

import torch
from torch import Tensor

from polystep.evaluation.routing import Part, RoutedNetwork, RoutedTrace, Tensors, activate, parts_by_tensors
from polystep.layout import Entry
from polystep.subspace import HybridSubspace


@dataclass(frozen=True)
class TensorColumns:
    """What the coordinates of a subspace from number `first` on do to one tensor.

    projection: (elements, coordinates), dense or sparse; compressed: a sparse projection of a weight as a CSR matrix
    (coordinates x rows, inputs).
    """

    entry: Entry
    first: int
    projection: Tensor
    compressed: Tensor | None

    @property
    def stop(self) -> int:
        """One more than the number of its last coordinate."""
        return self.first + self.projection.shape[1]

    def change(self, start: int, stop: int) -> Tensor:
        """What coordinates start .. stop of the subspace add to the tensor, (stop - start, *shape)."""
        chosen = torch.arange(start - self.first, stop - self.first, device=self.projection.device)
        return self.projection.index_select(1, chosen).to_dense().T.reshape(-1, *self.entry.shape)

    def images(self, start: int, stop: int, signal: Tensor) -> Tensor:
        """What they add to the images of signals (B, I), (stop - start, B, rows)."""
        rows = self.entry.shape[0]
        if len(self.entry.shape) == 1:
            return self.change(start, stop).unsqueeze(1)
        if self.compressed is None:
            moved = self.change(start, stop).flatten(0, 1) @ signal.T
        else:
            moved = _rows(self.compressed, (start - self.first) * rows, (stop - self.first) * rows) @ signal.T
        return moved.reshape(stop - start, rows, len(signal)).mT


def tensor_columns(entry: Entry, first: int, projection: Tensor) -> TensorColumns:
    """The columns of one tensor of a subspace."""
    if not projection.is_sparse or len(entry.shape) == 1:
        return TensorColumns(entry, first, projection, None)
    rows, inputs, sparse = entry.shape[0], entry.size // entry.shape[0], projection.coalesce()
    element, coordinate = sparse.indices()
    index = torch.stack([coordinate * rows + element // inputs, element % inputs])
    size = (projection.shape[1] * rows, inputs)
    moved = torch.sparse_coo_tensor(index, sparse.values(), size, check_invariants=False)
    return TensorColumns(entry, first, projection, moved.coalesce().to_sparse_csr())


def _rows(matrix: Tensor, start: int, stop: int) -> Tensor:
    """Rows start .. stop of a CSR matrix."""
    borders = matrix.crow_indices()[start : stop + 1]
    own = slice(int(borders[0]), int(borders[-1]))
    parts = borders - borders[0], matrix.col_indices()[own], matrix.values()[own]
    return torch.sparse_csr_tensor(*parts, (stop - start, matrix.shape[1]), check_invariants=False)


@dataclass(frozen=True)
class PartMoves:
    """Candidates that move one map by offset (n, d) along the coordinates of one particle, which start at number `first`."""

    part: Part
    columns: tuple[TensorColumns, ...]
    first: int
    offset: Tensor

    def changes(self, columns: TensorColumns) -> Tensor:
        """What is added to a tensor, (n, *shape)."""
        own, start, stop = self._own(columns)
        return torch.einsum("nk,k...->n...", own, columns.change(start, stop))

    def images(self, signal: Tensor) -> Tensor:
        """What is added to the images of signals (B, I), (n, B, rows)."""
        images = []
        for columns in self.columns:
            own, start, stop = self._own(columns)
            images.append(torch.einsum("nk,kbu->nbu", own, columns.images(start, stop, signal)))
        return images[0] if len(images) == 1 else images[0] + images[1]

    def _own(self, columns: TensorColumns) -> tuple[Tensor, int, int]:
        """The part of the offset that concerns a tensor, and the coordinates that it stands for."""
        start, stop = max(self.first, columns.first), min(self.first + self.offset.shape[1], columns.stop)
        return self.offset[:, start - self.first : stop - self.first], start, stop


class PartColumns:
    """The columns of one draw of a subspace, and which map each particle moves."""

    def __init__(self, subspace: HybridSubspace, network: RoutedNetwork):
        self._subspace, self._draw = subspace, subspace.draw
        self._columns = [tensor_columns(*tensor) for tensor in subspace.projections() if tensor[0].size]
        self._parts = {
            name: part for names, part in parts_by_tensors(network, subspace.layout).items() for name in names if name
        }

    def belongs_to(self, subspace: HybridSubspace) -> bool:
        """Whether these are the columns of its present draw."""
        return self._subspace is subspace and self._draw == subspace.draw

    def moves(self, particle: int, offset: Tensor) -> PartMoves | None:
        """Candidates that move a particle by offset (n, d); None where it moves several maps, or none of the network."""
        first = particle * self._subspace.particle_dimension
        stop = first + self._subspace.particle_dimension
        touched = tuple(columns for columns in self._columns if columns.first < stop and first < columns.stop)
        parts = {self._parts.get(columns.entry.name) for columns in touched}
        part = parts.pop()
        return None if parts or part is None else PartMoves(part, touched, first, offset)


@dataclass(frozen=True)
class PartPatch:
    """Losses of candidates that move one map, from the trace of the base point."""

    network: RoutedNetwork
    tensors: Tensors
    trace: RoutedTrace
    targets: Tensor

    def losses(self, moves: PartMoves) -> Tensor:
        """Mean losses (n,)."""
        if moves.part.role == "trunk":
            found = self._trunk(moves)
        elif moves.part.role == "router":
            found = self._router(moves)
        else:
            found = self._route(moves)
        return found.mean(1)

    def _trunk(self, moves: PartMoves) -> Tensor:
        network = self.network
        hidden = activate(network.activation, self.trace.pre + moves.images(self.trace.inputs)).flatten(0, 1)
        winner = network.router.apply(hidden, self.tensors).argmax(-1)
        logits = hidden.new_empty(len(hidden), self.trace.logits.shape[-1])
        for number, route in enumerate(network.routes):
            own = (winner == number).nonzero().squeeze(1)
            inner = route.inner.apply(hidden[own], self.tensors)
            logits[own] = network.route_logits(number, inner, self.tensors)
        return network.loss.apply(logits.unflatten(0, (-1, len(self.targets))), self.targets)

    def _router(self, moves: PartMoves) -> Tensor:
        network, trace = self.network, self.trace
        winner = (trace.scores + moves.images(trace.hidden)).argmax(-1)
        sample = torch.arange(len(self.targets), device=winner.device)
        weight = next((columns for columns in moves.columns if len(columns.entry.shape) > 1), None)
        if not network.gated or weight is None:
            return trace.losses[winner, sample]
        gain = (self.tensors[network.router.weight] + moves.changes(weight)).sigmoid()
        candidate = torch.arange(len(winner), device=winner.device).unsqueeze(1)
        taken = torch.stack(trace.mixed)[winner, sample] * gain[candidate, winner]
        return network.loss.apply(network.output.apply(taken, self.tensors), self.targets)

    def _route(self, moves: PartMoves) -> Tensor:
        """A map that the samples of some routes pass through after the router."""
        network, trace, role = self.network, self.trace, moves.part.role
        losses = trace.base_losses.repeat(len(moves.offset), 1)
        for number in network.served(role, moves.part.linear):
            served = (trace.winner == number).nonzero().squeeze(1)
            signal, image = (whole[served] for whole in trace.passage(role, number))
            logits = network.logits_after(role, number, image + moves.images(signal), self.tensors)
            losses[:, served] = network.loss.apply(logits, self.targets[served])
        return losses
