"""Hybrid candidates of routed networks in torch: a particle moves one map as a whole, and what lies before it stays."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from polystep.evaluation.columns import SEVERAL_LAYERS, LayerColumns, SubspaceColumns
from polystep.evaluation.layered import with_bias_input
from polystep.evaluation.routing.network import Part, RoutedNetwork, RoutedTrace, Tensors, activate, parts_by_tensors
from polystep.low_rank import product_by_terms
from polystep.subspace import HybridSubspace


class PartColumns(SubspaceColumns):
    """The columns by map of a routed network: `parts[i]` has `layers[i]`. Particles of tensors that have no part of their own
    count as moving several.
    """

    def __init__(self, subspace: HybridSubspace, network: RoutedNetwork):
        parts = parts_by_tensors(network, subspace.layout)
        super().__init__(subspace, list(parts))
        self.parts = list(parts.values())
        patched = {name for names in parts for name in names}
        for entry, first, projection in subspace.projections():
            if entry.name not in patched:
                last = first + projection.shape[1] - 1
                self.layer_of_particle[
                    first // subspace.particle_dimension : last // subspace.particle_dimension + 1
                ] = SEVERAL_LAYERS


@dataclass(frozen=True)
class PartMoves:
    """Candidates that move one map: particle[n] by offset[n] (d,)."""

    part: Part
    columns: LayerColumns
    particle: Tensor
    offset: Tensor

    def grouped(self, candidates: int) -> "Iterator[ParticleMoves]":
        """The candidates in order, of particles that have equally many each, about so many at once; at least those
        of one particle.
        """
        particle, count = torch.unique_consecutive(self.particle, return_counts=True)
        alike, particles = torch.unique_consecutive(count, return_counts=True)
        first = start = 0
        for each, total in zip(alike.tolist(), particles.tolist(), strict=True):
            for some in particle[first : first + total].split(max(1, candidates // each)):
                offset = self.offset[start : start + len(some) * each].unflatten(0, (len(some), each))
                yield ParticleMoves(self.columns.dense(some).unflatten(0, (len(some), -1)), offset)
                start += len(some) * each
            first += total


@dataclass(frozen=True)
class ParticleMoves:
    """Candidates that move one map by offset (R, V, d) along the directions of R particles, change (R, d, rows, inputs + 1)."""

    change: Tensor
    offset: Tensor

    def weights(self) -> Tensor:
        """What is added to the weight, (R V, rows, inputs)."""
        return self._combined(self.change[..., :-1])

    def deltas(self, signal: Tensor) -> Tensor:
        """What is added to the pre-activations of signals (B, I), (R V, B, rows)."""
        deltas = with_bias_input(signal) @ self.change.flatten(0, 2).T
        return self._combined(deltas.unflatten(1, self.change.shape[:3]).movedim(0, 2))

    def _combined(self, directions: Tensor) -> Tensor:
        """Sums over d of offset[r, n, d] directions[r, d], (R V, ...)."""
        combined = product_by_terms(self.offset, directions.flatten(2)).flatten(0, 1)
        whole: Tensor = combined.unflatten(1, directions.shape[2:])
        return whole


@dataclass(frozen=True)
class PartPatch:
    """Losses of candidates that move one map, from the trace of the base point. at_once: how many are computed together, all of
    one particle at least.
    """

    network: RoutedNetwork
    tensors: Tensors
    trace: RoutedTrace
    targets: Tensor
    at_once: int

    def losses(self, moves: PartMoves) -> Tensor:
        """Mean losses (n,)."""
        find = {"trunk": self._trunk, "router": self._router}.get(moves.part.role, partial(self._route, moves.part))
        return torch.cat([find(own).mean(1) for own in moves.grouped(self.at_once)])

    def _trunk(self, moves: ParticleMoves) -> Tensor:
        network = self.network
        hidden = activate(network.activation, self.trace.pre + moves.deltas(self.trace.inputs)).flatten(0, 1)
        winner = network.router.apply(hidden, self.tensors).argmax(-1)
        logits = hidden.new_empty(len(hidden), self.trace.logits.shape[-1])
        for number, route in enumerate(network.routes):
            own = (winner == number).nonzero().squeeze(1)
            inner = route.inner.apply(hidden[own], self.tensors)
            logits[own] = network.route_logits(number, inner, self.tensors)
        return network.loss.apply(logits.unflatten(0, (-1, len(self.targets))), self.targets)

    def _router(self, moves: ParticleMoves) -> Tensor:
        network, trace = self.network, self.trace
        winner = (trace.scores + moves.deltas(trace.hidden)).argmax(-1)
        sample = torch.arange(len(self.targets), device=winner.device)
        if not network.gated:
            return trace.losses[winner, sample]
        gain = (self.tensors[network.router.weight] + moves.weights()).sigmoid()
        candidate = torch.arange(len(winner), device=winner.device).unsqueeze(1)
        taken = torch.stack(trace.mixed)[winner, sample] * gain[candidate, winner]
        return network.loss.apply(network.output.apply(taken, self.tensors), self.targets)

    def _route(self, part: Part, moves: ParticleMoves) -> Tensor:
        """A map that the samples of some routes pass through after the router."""
        network, trace, role = self.network, self.trace, part.role
        losses = trace.base_losses.repeat(moves.offset.shape[0] * moves.offset.shape[1], 1)
        for number in network.served(role, part.linear):
            served = (trace.winner == number).nonzero().squeeze(1)
            signal, image = (whole[served] for whole in trace.signals(role, number))
            logits = network.logits_after(role, number, image + moves.deltas(signal), self.tensors)
            losses[:, served] = network.loss.apply(logits, self.targets[served])
        return losses
