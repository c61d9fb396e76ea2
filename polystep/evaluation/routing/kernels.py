"""The numba loops of routed networks, built for one network from its activations and its loss.

After the activation of a route everything is linear, so the tables hold the products of the maps that follow: a moved row
there shifts the logits of a sample along one column, and a route without an activation turns a moved trunk row into such a
shift, too. Losses are taken of LANES samples side by side.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import prange

from polystep.evaluation.hybrid_kernels import build_layer, build_project, dense_deltas, sparse_deltas
from polystep.evaluation.jit import njit, njit_inner
from polystep.evaluation.kernels import LANES, identity
from polystep.evaluation.routing.network import RoutedNetwork
from polystep.evaluation.routing.trunk_to_loss import (
    build_linear_read_out,
    build_read_out,
    build_route_to_loss,
    build_trunk_to_loss,
)


@dataclass(frozen=True)
class RoutingKernels:
    """Losses of candidates that move one row of the trunk, of the router, of the inner maps of routes, or of a map after; and
    of those that move the whole trunk along sparse columns, or an inner or outer map or the output along
    dense ones.
    """

    trunk: Any
    inner: Any
    mixed: Any
    output: Any
    trunk_rows: Any
    router_rows: Any
    inner_rows: Any
    later_rows: Any


def build_routing_kernels(network: RoutedNetwork, units: int, inner_units: int, outputs: int) -> RoutingKernels:
    """Kernels for a network with `units` of the trunk, `inner_units` of each route, and `outputs` logits."""
    trunk, inner = network.activation.compiled().activate, network.route_activation.compiled().activate
    loss, routes = network.loss.compiled(outputs), len(network.routes)
    flush = _build_flush(loss)
    follow = _build_shift(outputs) if network.is_linear else _build_follow(inner, outputs)
    inner_rows = _build_route_rows(inner, loss, outputs)
    read_out = (
        build_linear_read_out(units, outputs)
        if network.is_linear
        else build_read_out(inner, units, inner_units, outputs)
    )
    to_loss, workspace = build_trunk_to_loss(trunk, read_out, loss, (units, routes, outputs))
    return RoutingKernels(
        trunk=build_layer(1, units, to_loss, workspace, sparse_deltas, build_project(units)),
        inner=_build_map(inner, loss, inner_units, outputs),
        mixed=_build_map(identity, loss, inner_units, outputs),
        output=_build_map(identity, loss, outputs, outputs),
        trunk_rows=_build_trunk_rows(trunk, follow, flush, (routes, outputs)),
        router_rows=_build_gated_rows(flush, (routes, outputs)) if network.gated else _build_router_rows(routes),
        inner_rows=inner_rows,
        later_rows=inner_rows if network.is_linear else _build_route_rows(identity, loss, outputs),
    )


def _build_map(activate: Any, loss: Any, units: int, outputs: int) -> Any:
    """Losses of candidates that move a whole map of `units` units after the router."""
    return build_layer(
        1, units, *build_route_to_loss(activate, loss, units, outputs), dense_deltas, build_project(units)
    )


@njit_inner
def _deltas(offset, first, projected, deltas):
    """What a row's pre-activation of each sample changes by, for a step along a particle's directions."""
    deltas[:] = 0
    for k in range(len(offset)):
        step, direction = offset[k], projected[first + k]
        for b in range(len(deltas)):
            deltas[b] += step * direction[b]


@njit_inner(fastmath={"reassoc", "contract"})
def _product(one, other):
    """Inner product; that its terms may be added in any order is what lets the compiler vectorise it."""
    total = np.float32(0)
    for i in range(len(one)):
        total += one[i] * other[i]
    return total


@njit_inner
def _winner(scores, routes):
    """The first of the largest scores."""
    best = 0
    for route in range(1, routes):
        if scores[route] > scores[best]:
            best = route
    return best


def _build_flush(loss: Any) -> Any:
    @njit_inner
    def flush(logits, targets, scratch, found, filled):
        """Sum of the losses of the first `filled` lanes."""
        loss(logits, targets, scratch, found)
        total = 0.0
        for lane in range(filled):
            total += found[lane]
        return total

    return flush


def _build_route_rows(activate: Any, loss: Any, outputs: int) -> Any:
    """Rows of a map after the router, for the B samples that they serve.

    first (G + 1,): candidates first[g] .. first[g+1] move the same row. projected (rank, B); z (rows, B): pre-activations of
    the map; columns (R, rows, outputs) and route (B,): how the logits answer to its activation; logits (outputs, B). B is
    padded to whole LANES; base_losses (own samples,). base: loss of the point, a mean over `samples`.
    """

    @njit(parallel=True)
    def route_rows(
        first, row, block, offset, projected, z, columns, route, logits, targets, base_losses, base, samples
    ):
        width, dimension = z.shape[1], offset.shape[1]
        losses = np.empty(len(row), np.float32)
        for g in prange(len(first) - 1):
            unit = row[first[g]]
            moved, before, step = np.empty(width, np.float32), np.empty(width, np.float32), np.empty(width, np.float32)
            activate(z[unit], before, width)
            column = np.empty((outputs, width), np.float32)
            for b in range(width):
                for output in range(outputs):
                    column[output, b] = columns[route[b], unit, output]
            patched, scratch = np.empty(outputs * LANES, np.float32), np.empty(outputs * LANES, np.float32)
            found = np.empty(LANES, np.float32)
            for n in range(first[g], first[g + 1]):
                _deltas(offset[n], block[n] * dimension, projected, moved)
                for b in range(width):
                    moved[b] += z[unit, b]
                activate(moved, step, width)
                for b in range(width):
                    step[b] -= before[b]
                total = 0.0
                for start in range(0, len(base_losses), LANES):
                    for output in range(outputs):
                        for lane in range(LANES):
                            b = start + lane
                            patched[output * LANES + lane] = logits[output, b] + step[b] * column[output, b]
                    loss(patched, targets[start : start + LANES], scratch, found)
                    for lane in range(min(LANES, len(base_losses) - start)):
                        if step[start + lane] != 0:
                            total += found[lane] - base_losses[start + lane]
                losses[n] = base + total / samples
        return losses

    return route_rows


def _build_shift(outputs: int) -> Any:
    @njit_inner
    def follow(b, route, unit, step, tables, work, patched, lane):
        """Logits of a sample on a route without an activation, where a unit of the trunk changes by `step`."""
        logits, columns = tables
        for output in range(outputs):
            patched[output * LANES + lane] = logits[b, route, output] + step * columns[route, unit, output]

    return follow


def _build_follow(activate: Any, outputs: int) -> Any:
    @njit_inner
    def follow(b, route, unit, step, tables, work, patched, lane):
        """Logits of a sample on a route, where a unit of the trunk changes by `step`."""
        logits, inner, active, columns, readout = tables
        pre, post = work
        units = len(pre)
        for u in range(units):
            pre[u] = inner[b, route, u] + step * columns[route, unit, u]
        activate(pre, post, units)
        for u in range(units):
            post[u] -= active[b, route, u]
        for output in range(outputs):
            patched[output * LANES + lane] = logits[b, route, output] + _product(post, readout[route, output])

    return follow


def _build_trunk_rows(activate: Any, follow: Any, flush: Any, sizes: tuple[int, int]) -> Any:
    """Rows of the trunk.

    first, row, block, offset: as above. projected (rank, B); z (H, B); scores (B, R); router (H, R); tables: what `follow`
    needs, the second ends in the number of its scratch.
    """
    routes, outputs = sizes

    @njit(parallel=True)
    def trunk_rows(first, row, block, offset, projected, z, scores, router, tables, targets, base_losses, base):
        samples, dimension, units = len(targets), offset.shape[1], tables[1].shape[2]
        losses = np.empty(len(row), np.float32)
        for g in prange(len(first) - 1):
            unit = row[first[g]]
            moved, before, step = (
                np.empty(samples, np.float32),
                np.empty(samples, np.float32),
                np.empty(samples, np.float32),
            )
            activate(z[unit], before, samples)
            work = (np.empty(units, np.float32), np.empty(units, np.float32))
            rivals, changed = np.empty(routes, np.float32), np.empty(samples + 1, np.int32)
            patched, scratch = np.empty(outputs * LANES, np.float32), np.empty(outputs * LANES, np.float32)
            target, found = np.zeros(LANES, np.int64), np.empty(LANES, np.float32)
            for n in range(first[g], first[g + 1]):
                _deltas(offset[n], block[n] * dimension, projected, moved)
                for b in range(samples):
                    moved[b] += z[unit, b]
                activate(moved, step, samples)
                count = 0
                for b in range(samples):
                    step[b] -= before[b]
                    changed[count] = b
                    count += step[b] != 0
                total, lane = 0.0, 0
                for i in range(count):
                    b = changed[i]
                    for route in range(routes):
                        rivals[route] = scores[b, route] + step[b] * router[unit, route]
                    follow(b, _winner(rivals, routes), unit, step[b], tables, work, patched, lane)
                    target[lane] = targets[b]
                    total -= base_losses[b]
                    lane += 1
                    if lane == LANES:
                        total += flush(patched, target, scratch, found, lane)
                        lane = 0
                total += flush(patched, target, scratch, found, lane)
                losses[n] = base + total / samples
        return losses

    return trunk_rows


def _build_router_rows(routes: int) -> Any:
    """Rows of a router without gains: a sample has the loss of the route that it takes then.

    projected (rank, B); scores (B, R); winner (B,); route_losses (B, R).
    """

    @njit(parallel=True)
    def router_rows(row, block, offset, projected, scores, winner, route_losses, base):
        samples, dimension = len(winner), offset.shape[1]
        losses = np.empty(len(row), np.float32)
        for n in prange(len(row)):
            deltas, rivals = np.empty(samples, np.float32), np.empty(routes, np.float32)
            _deltas(offset[n], block[n] * dimension, projected, deltas)
            total = 0.0
            for b in range(samples):
                for route in range(routes):
                    rivals[route] = scores[b, route]
                rivals[row[n]] += deltas[b]
                total += route_losses[b, _winner(rivals, routes)] - route_losses[b, winner[b]]
            losses[n] = base + total / samples
        return losses

    return router_rows


def _build_gated_rows(flush: Any, sizes: tuple[int, int]) -> Any:
    """As `_build_router_rows`, where the row also multiplies what the samples on its route bring.

    gain (N, U): what the factors of the moved rows change by; mixed (R, B, U); output (outputs, U); logits (B, R, outputs).
    """
    routes, outputs = sizes

    @njit(parallel=True)
    def router_rows(
        row, block, offset, projected, scores, winner, route_losses, base, gain, mixed, output, logits, targets
    ):
        samples, dimension = len(winner), offset.shape[1]
        losses = np.empty(len(row), np.float32)
        for n in prange(len(row)):
            deltas, rivals = np.empty(samples, np.float32), np.empty(routes, np.float32)
            _deltas(offset[n], block[n] * dimension, projected, deltas)
            readout = np.empty(output.shape, np.float32)
            for o in range(outputs):
                for u in range(output.shape[1]):
                    readout[o, u] = gain[n, u] * output[o, u]
            patched, scratch = np.empty(outputs * LANES, np.float32), np.empty(outputs * LANES, np.float32)
            target, found = np.zeros(LANES, np.int64), np.empty(LANES, np.float32)
            total, lane = 0.0, 0
            for b in range(samples):
                for route in range(routes):
                    rivals[route] = scores[b, route]
                rivals[row[n]] += deltas[b]
                route = _winner(rivals, routes)
                total -= route_losses[b, winner[b]]
                if route != row[n]:
                    total += route_losses[b, route]
                    continue
                for o in range(outputs):
                    patched[o * LANES + lane] = logits[b, route, o] + _product(mixed[route, b], readout[o])
                target[lane] = targets[b]
                lane += 1
                if lane == LANES:
                    total += flush(patched, target, scratch, found, lane)
                    lane = 0
            total += flush(patched, target, scratch, found, lane)
            losses[n] = base + total / samples
        return losses

    return router_rows
