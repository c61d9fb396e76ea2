"""Incremental evaluation of routed networks on the CPU as fused numba loops over candidates and samples."""

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from polystep.evaluation.compilation import CompilationClock
from polystep.evaluation.directions import dense_rows, directions_of
from polystep.evaluation.kernels import LANES
from polystep.evaluation.layered import with_bias_input
from polystep.evaluation.routing.hybrid import PartMoves, PartPatch
from polystep.evaluation.routing.incremental import Patch, RoutedEvaluator, RowMoves
from polystep.evaluation.routing.kernels import RoutingKernels, build_routing_kernels
from polystep.evaluation.routing.network import Part, RoutedNetwork, RoutedTrace, Tensors
from polystep.evaluation.routing.tables import Tables, to_array
from polystep.evaluation.simd_blocks import block_major, pad_samples
from polystep.layout import ParameterLayout

KernelCall = tuple[Any, tuple[Any, ...]]
"""A kernel and its arguments."""


class FusedRoutedEvaluator(RoutedEvaluator):
    """Candidates that move a row, or the trunk along sparse columns, are evaluated by compiled loops on the CPU; all others,
    and those on other devices, as `RoutedEvaluator` does.

    Losses equal those of `RoutedEvaluator` to float tolerance. Kernels compile on first use.
    """

    def __init__(self, network: RoutedNetwork, layout: ParameterLayout, memory_bytes: int = 256 * 2**20):
        """`memory_bytes`: bound for the largest intermediates of a chunk of what no kernel takes."""
        super().__init__(network, layout, memory_bytes)
        self._clock = CompilationClock()
        self._kernels: RoutingKernels | None = None

    @property
    def compilation_seconds(self) -> float:
        """Seconds spent so far on compiling kernels."""
        return self._clock.seconds

    def _patch(self, tensors: Tensors, trace: RoutedTrace, targets: Tensor) -> Patch:
        if targets.device.type != "cpu":
            return super()._patch(tensors, trace, targets)
        return FusedRowPatch(Tables(self.network, tensors, trace, targets), self.kernels, self._clock)

    def _part_losses(self, moves: PartMoves, patch: PartPatch) -> Tensor:
        role = moves.part.role
        if role == "router" or patch.targets.device.type != "cpu" or (role == "trunk" and not moves.columns.are_sparse):
            return super()._part_losses(moves, patch)
        tables = Tables(self.network, patch.tensors, patch.trace, patch.targets)
        return self._trunk_losses(moves, tables) if role == "trunk" else self._route_losses(moves, tables)

    def _trunk_losses(self, moves: PartMoves, tables: Tables) -> Tensor:
        directions, trace = directions_of(moves.particle, moves.offset.contiguous()), tables.trace
        columns = directions.particle, *moves.columns.sparse.as_tuple()
        signal = block_major(with_bias_input(trace.inputs).T.unsqueeze(1)).numpy()
        z = block_major(trace.pre.T.unsqueeze(1)).flatten(1).numpy()
        rest = tables.after_trunk, pad_samples(tables.targets.long()).numpy(), len(tables.targets)
        return torch.from_numpy(self._clock.call(self.kernels.trunk, directions.as_tuple(), columns, signal, z, *rest))

    def _route_losses(self, moves: PartMoves, tables: Tables) -> Tensor:
        """Losses of candidates that move a map that the samples of some routes pass through after the router."""
        role, trace, network = moves.part.role, tables.trace, self.network
        sample = torch.isin(trace.winner, torch.tensor(network.served(role, moves.part.linear))).nonzero().squeeze(1)
        if not len(sample):
            return torch.full((len(moves.particle),), tables.base)
        route = trace.winner[sample]
        signals, outputs = (
            torch.stack(whole)[route, sample]
            for whole in zip(*(trace.signals(role, number) for number in range(len(network.routes))), strict=True)
        )
        z = block_major(outputs.T.unsqueeze(1)).flatten(1).numpy()
        signal = block_major(with_bias_input(signals).T.unsqueeze(1)).numpy()
        targets = F.pad(
            torch.stack([tables.targets[sample].long(), route], dim=1), (0, 0, 0, -len(sample) % LANES)
        ).numpy()
        kernel = {"inner": self.kernels.inner, "outer": self.kernels.mixed, "output": self.kernels.output}[role]
        weights = tables.after_map(role)
        particles, count = torch.unique_consecutive(moves.particle, return_counts=True)
        chunk = max(
            1, self.memory_bytes // (8 * moves.columns.units * (moves.columns.inputs + 1) * moves.offset.shape[1])
        )
        found: list[Tensor] = []
        for own, lengths in zip(particles.split(chunk), count.split(chunk), strict=True):
            start = sum(len(losses) for losses in found)
            some = slice(start, start + int(lengths.sum()))
            change = moves.columns.dense(own).unflatten(0, (len(own), -1))
            directions = directions_of(moves.particle[some], moves.offset[some].contiguous())
            moved = directions.as_tuple(), dense_rows(change), signal, z
            found.append(torch.from_numpy(self._clock.call(kernel, *moved, weights, targets, len(sample))))
        # of the samples that the map serves; the others keep their losses
        share, still = len(sample) / len(tables.targets), float(trace.base_losses[sample].double().mean())
        return tables.base + share * (torch.cat(found) - still)

    @property
    def kernels(self) -> RoutingKernels:
        """The kernels of this network, built on first use."""
        if self._kernels is None:
            inner = self.network.routes[0].inner.weight
            units, inner_units = (self._rows(weight) for weight in (self.network.trunk.weight, inner))
            self._kernels = build_routing_kernels(self.network, units, inner_units, self._outputs)
        return self._kernels


@dataclass(frozen=True)
class FusedRowPatch:
    """Losses of candidates that move one row of one map, by the kernels."""

    tables: Tables
    kernels: RoutingKernels
    clock: CompilationClock

    def losses(self, part: Part, moves: RowMoves) -> Tensor:
        """Mean losses (n,) of moves of the rows of `part`."""
        find = {"trunk": self._trunk, "router": self._router}.get(part.role, partial(self._route, part))
        kernel, arguments = find(moves)
        return torch.from_numpy(self.clock.call(kernel, *arguments))

    def _trunk(self, moves: RowMoves) -> KernelCall:
        tables, trace = self.tables, self.tables.trace
        routing = to_array(trace.scores), to_array(tables.tensors[tables.network.router.weight].T), tables.follow
        rest = to_array(trace.pre.T), *routing, tables.targets.numpy(), trace.base_losses.numpy(), tables.base
        return self.kernels.trunk_rows, (_borders(moves), *_moved(moves, trace.inputs), *rest)

    def _router(self, moves: RowMoves) -> KernelCall:
        tables, trace, network = self.tables, self.tables.trace, self.tables.network
        routing = to_array(trace.scores), trace.winner.numpy(), to_array(trace.losses.T), tables.base
        if not network.gated:
            return self.kernels.router_rows, (*_moved(moves, trace.hidden), *routing)
        rows = tables.tensors[network.router.weight][moves.row]
        gain = (rows + moves.rows()).sigmoid() - rows.sigmoid()
        output = to_array(tables.tensors[network.output.weight])
        rest = to_array(gain), to_array(torch.stack(trace.mixed)), output, tables.logits, tables.targets.numpy()
        return self.kernels.router_rows, (*_moved(moves, trace.hidden), *routing, *rest)

    def _route(self, part: Part, moves: RowMoves) -> KernelCall:
        """Rows of a map that the samples of some routes pass through after the router."""
        tables, trace, network = self.tables, self.tables.trace, self.tables.network
        served = torch.isin(trace.winner, torch.tensor(network.served(part.role, part.linear)))
        sample = served.nonzero().squeeze(1)
        # whole lanes; what the padding computes is not read
        padded = F.pad(sample, (0, -len(sample) % LANES))
        route, routes = trace.winner[padded], len(network.routes)
        answer = torch.eye(trace.logits.shape[2]).expand(routes, -1, -1)
        signals, images, columns = {
            "inner": (trace.hidden.expand(routes, -1, -1), torch.stack(trace.inner), tables.after_activation),
            "outer": (torch.stack(trace.active), torch.stack(trace.mixed), tables.after_route),
            "output": (torch.stack(trace.taken), trace.logits, answer),
        }[part.role]
        logits = to_array(trace.logits[route, padded].T)
        base = trace.base_losses[sample].numpy(), tables.base, len(served)
        rest = (
            to_array(images[route, padded].T),
            to_array(columns),
            route.numpy(),
            logits,
            tables.targets[padded].numpy(),
        )
        kernel = self.kernels.inner_rows if part.role == "inner" else self.kernels.later_rows
        return kernel, (_borders(moves), *_moved(moves, signals[route, padded]), *rest, *base)


def _moved(moves: RowMoves, signal: Tensor) -> tuple[NDArray[Any], ...]:
    """Row, block, offset (N, d) and projected signals (rank, B)."""
    return moves.row.numpy(), moves.block.numpy(), moves.offset.numpy(), to_array(moves.projected(signal).T)


def _borders(moves: RowMoves) -> NDArray[np.int64]:
    """Where candidates of another row begin, and the end."""
    _, count = torch.unique_consecutive(moves.row, return_counts=True)
    borders: NDArray[np.int64] = F.pad(count.cumsum(0), (1, 0)).numpy()
    return borders
