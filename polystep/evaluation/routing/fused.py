"""Incremental evaluation of routed networks on the CPU as fused numba loops over candidates and samples."""

from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from polystep.evaluation.compilation import CompilationClock
from polystep.evaluation.directions import directions_of
from polystep.evaluation.kernels import LANES
from polystep.evaluation.layered import with_bias_input
from polystep.evaluation.routing.hybrid import PartMoves, PartPatch
from polystep.evaluation.routing.incremental import Patch, RoutedEvaluator, RowMoves
from polystep.evaluation.routing.kernels import RoutingKernels, build_routing_kernels
from polystep.evaluation.routing.network import Part, RoutedNetwork, RoutedTrace, Tensors
from polystep.evaluation.simd_blocks import block_major, pad_samples
from polystep.layout import ParameterLayout

FloatArray = NDArray[np.float32]
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
        if moves.part.role != "trunk" or not moves.columns.are_sparse or patch.targets.device.type != "cpu":
            return super()._part_losses(moves, patch)
        trace = patch.trace
        directions = directions_of(moves.particle, moves.offset.contiguous())
        signal = block_major(with_bias_input(trace.inputs).T.unsqueeze(1))
        columns = directions.particle, *moves.columns.sparse.as_tuple()
        moved = directions.as_tuple(), columns, signal.numpy()
        weights = Tables(self.network, patch.tensors, trace, patch.targets).after_trunk
        rest = weights, pad_samples(patch.targets.long()).numpy(), len(patch.targets)
        z = block_major(trace.pre.T.unsqueeze(1)).flatten(1).numpy()
        return torch.from_numpy(self._clock.call(self.kernels.trunk, *moved, z, *rest))

    @property
    def kernels(self) -> RoutingKernels:
        """The kernels of this network, built on first use."""
        if self._kernels is None:
            inner = self.network.routes[0].inner.weight
            units, inner_units = (self._rows(weight) for weight in (self.network.trunk.weight, inner))
            self._kernels = build_routing_kernels(self.network, units, inner_units, self._outputs)
        return self._kernels


@dataclass(frozen=True)
class Tables:
    """What follows from the base point for the kernels, made when first needed."""

    network: RoutedNetwork
    tensors: Tensors
    trace: RoutedTrace
    targets: Tensor

    @cached_property
    def after_route(self) -> Tensor:
        """How the logits on each route answer to the units of u, (R, U, O)."""
        output = self.tensors[self.network.output.weight].T
        gains = [self.network.gain(route, self.tensors).reshape(-1, 1) for route in range(len(self.network.routes))]
        return torch.stack([gain * output for gain in gains])

    @cached_property
    def after_activation(self) -> Tensor:
        """How the logits on each route answer to the units of its activation, (R, U, O)."""
        return torch.stack(
            [
                after if route.outer is None else self.tensors[route.outer.weight].T @ after
                for route, after in zip(self.network.routes, self.after_route, strict=True)
            ]
        )

    @cached_property
    def logits(self) -> FloatArray:
        """Logits of each sample on each route, (B, R, O)."""
        return _array(self.trace.logits.transpose(0, 1))

    @cached_property
    def follow(self) -> tuple[FloatArray, ...]:
        """What follows a change of a unit of the trunk: logits (B, R, O) and, without an activation, how they answer to
        it (R, H, O); else images of the inner maps before and after the activation (B, R, U), how they answer to it
        (R, H, U), and how the logits answer to the activation (R, O, U).
        """
        columns = torch.stack([self.tensors[route.inner.weight].T for route in self.network.routes])
        if self.network.is_linear:
            return self.logits, _array(columns @ self.after_activation)
        signals = (torch.stack(signal, 1) for signal in (self.trace.inner, self.trace.active))
        return self.logits, *(_array(signal) for signal in signals), _array(columns), _array(self.after_activation.mT)

    @cached_property
    def after_trunk(self) -> tuple[FloatArray, ...]:
        """What leads from the trunk to the logits: router (H, R) and its bias (R,); then, without an activation on the routes,
        the logits' answer to the trunk (R, H, O) and the logits where it is silent (R, O); else the images of the inner maps
        (R, H, U) and (R, U), and the logits' answer to the activation (R, U, O) and the logits where that is silent (R, O).
        """
        network, tensors = self.network, self.tensors
        router = tensors[network.router.weight]
        bias = router.new_zeros(len(router)) if network.router.bias is None else tensors[network.router.bias]
        columns = torch.stack([tensors[route.inner.weight].T for route in network.routes])
        # the images of the inner maps of a silent trunk
        silence = tensors[network.trunk.weight].new_zeros(1, columns.shape[1])
        inner = [route.inner.apply(silence, tensors) for route in network.routes]
        if network.is_linear:
            logits = [network.route_logits(number, image, tensors) for number, image in enumerate(inner)]
            parts = [columns @ self.after_activation, torch.cat(logits)]
            return tuple(_array(part) for part in (router.T, bias, *parts))
        nothing = inner[0].new_zeros(inner[0].shape)
        outer = [nothing if route.outer is None else route.outer.apply(nothing, tensors) for route in network.routes]
        logits = [network.logits_after("outer", number, image, tensors) for number, image in enumerate(outer)]
        parts = [columns, torch.cat(inner), self.after_activation, torch.cat(logits)]
        return tuple(_array(part) for part in (router.T, bias, *parts))

    @cached_property
    def base(self) -> float:
        """Loss of the point."""
        return float(self.trace.base_losses.double().mean())


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
        routing = _array(trace.scores), _array(tables.tensors[tables.network.router.weight].T), tables.follow
        rest = _array(trace.pre.T), *routing, tables.targets.numpy(), trace.base_losses.numpy(), tables.base
        return self.kernels.trunk_rows, (_borders(moves), *_moved(moves, trace.inputs), *rest)

    def _router(self, moves: RowMoves) -> KernelCall:
        tables, trace, network = self.tables, self.tables.trace, self.tables.network
        routing = _array(trace.scores), trace.winner.numpy(), _array(trace.losses.T), tables.base
        if not network.gated:
            return self.kernels.router_rows, (*_moved(moves, trace.hidden), *routing)
        rows = tables.tensors[network.router.weight][moves.row]
        gain = (rows + moves.rows()).sigmoid() - rows.sigmoid()
        output = _array(tables.tensors[network.output.weight])
        rest = _array(gain), _array(torch.stack(trace.mixed)), output, tables.logits, tables.targets.numpy()
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
        logits = _array(trace.logits[route, padded].T)
        base = trace.base_losses[sample].numpy(), tables.base, len(served)
        rest = _array(images[route, padded].T), _array(columns), route.numpy(), logits, tables.targets[padded].numpy()
        kernel = self.kernels.inner_rows if part.role == "inner" else self.kernels.later_rows
        return kernel, (_borders(moves), *_moved(moves, signals[route, padded]), *rest, *base)


def _moved(moves: RowMoves, signal: Tensor) -> tuple[NDArray[Any], ...]:
    """Row, block, offset (N, d) and projected signals (rank, B)."""
    return moves.row.numpy(), moves.block.numpy(), moves.offset.numpy(), _array(moves.projected(signal).T)


def _borders(moves: RowMoves) -> NDArray[np.int64]:
    """Where candidates of another row begin, and the end."""
    _, count = torch.unique_consecutive(moves.row, return_counts=True)
    borders: NDArray[np.int64] = F.pad(count.cumsum(0), (1, 0)).numpy()
    return borders


def _array(tensor: Tensor) -> FloatArray:
    array: FloatArray = tensor.contiguous().numpy()
    return array
