"""From the pre-activation of a layer to that of the next, as numba functions, for LANES samples at once.

Where an activation has few outputs (its `table`), most units keep theirs when a candidate moves, and only the others need a
patch. With several channels each, the weight rows are first summed per output, so that a unit costs one sum and not one per
channel; a patch then moves a weight row from one sum to another.
"""

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from polystep.evaluation.jit import njit_inner
from polystep.evaluation.kernels import LANES
from polystep.evaluation.layered import CompiledActivation
from polystep.evaluation.vectors import add_scaled, copy_vector


@dataclass(frozen=True)
class LayerTransition:
    """forward(pre, weight, bias, scratch, following): next pre-activation (C', U', lanes) from pre (C, U, lanes), both flat.

    weight (inputs, U') and bias (U') are those of the next layer, units padded. Whole arrays and indices are passed because
    views cost more than the arithmetic.
    """

    forward: Any
    scratch_size: int


@dataclass(frozen=True)
class TabulatedTransition(LayerTransition):
    """In addition, for patches: a state of sums (rows, lanes, padded units) of weight rows, by output of the activation, or
    over all units where it has one channel (rows = 1).

    row(z): of the output; begin(pre, weight, state) fills the state; patch(before, after, weight, unit, state, lane) replaces
    the row of a unit of a lane; finish(state, bias, following) gives the next pre-activation by sample, (C', lanes,
    padded units).
    """

    row: Any
    begin: Any
    patch: Any
    finish: Any
    rows: int


def build_transition(
    activation: CompiledActivation, channels: int, units: int, width: int, padded: int
) -> LayerTransition | TabulatedTransition:
    """From a layer of `units` units and `channels` output channels to one of `width` units, `padded` with padding."""
    if activation.table is None:
        return _build_direct(activation.activate, channels, units, width)
    if channels == 1:
        return _build_stepped(activation, units, width, padded)
    return _build_tabulated(activation, activation.table, units, width, padded)


def _build_direct(activate: Any, channels: int, units: int, width: int) -> LayerTransition:
    product = build_product(channels, units, width)

    @njit_inner
    def forward(pre, weight, bias, scratch, following):
        activate(pre, scratch, units * LANES)
        product(scratch, weight, bias, following)

    return LayerTransition(forward, channels * units * LANES)


@cache
def build_product(channels: int, units: int, width: int) -> Any:
    """product(post, weight, bias, following): following = bias + post weight, for every channel and lane."""
    build = _build_tiled_product if units % 8 == width % 4 == 0 else _build_plain_product
    return build(channels, units, width)


def _build_plain_product(channels: int, units: int, width: int) -> Any:
    # eight weights at once, so that the sums are loaded and stored rarely
    whole = units // 8 * 8

    @njit_inner(fastmath={"contract"})
    def product(post, weight, bias, following):
        for channel in range(channels):
            source, target = channel * units, channel * width
            for output in range(width):
                for lane in range(LANES):
                    following[(target + output) * LANES + lane] = bias[output]
            for unit in range(0, whole, 8):
                first = (source + unit) * LANES
                for output in range(width):
                    w0, w1 = weight[unit, output], weight[unit + 1, output]
                    w2, w3 = weight[unit + 2, output], weight[unit + 3, output]
                    w4, w5 = weight[unit + 4, output], weight[unit + 5, output]
                    w6, w7 = weight[unit + 6, output], weight[unit + 7, output]
                    place = (target + output) * LANES
                    for lane in range(LANES):
                        here = first + lane
                        following[place + lane] += (
                            w0 * post[here]
                            + w1 * post[here + LANES]
                            + w2 * post[here + 2 * LANES]
                            + w3 * post[here + 3 * LANES]
                            + w4 * post[here + 4 * LANES]
                            + w5 * post[here + 5 * LANES]
                            + w6 * post[here + 6 * LANES]
                            + w7 * post[here + 7 * LANES]
                        )
            for unit in range(whole, units):
                for output in range(width):
                    for lane in range(LANES):
                        step = weight[unit, output] * post[(source + unit) * LANES + lane]
                        following[(target + output) * LANES + lane] += step

    return product


def _build_tiled_product(channels: int, units: int, width: int) -> Any:
    @njit_inner(fastmath={"contract"})
    def product(post, weight, bias, following):
        for channel in range(channels):
            source, target = channel * units * LANES, channel * width * LANES
            for output in range(width):
                for lane in range(LANES):
                    following[target + output * LANES + lane] = bias[output]
            # eight units and four outputs at once, so that a number that is loaded serves four sums
            for u in range(0, units, 8):
                for o in range(0, width, 4):
                    here, there = source + u * LANES, target + o * LANES
                    for lane in range(LANES):
                        p0, p1 = post[here + lane], post[here + LANES + lane]
                        p2, p3 = post[here + 2 * LANES + lane], post[here + 3 * LANES + lane]
                        p4, p5 = post[here + 4 * LANES + lane], post[here + 5 * LANES + lane]
                        p6, p7 = post[here + 6 * LANES + lane], post[here + 7 * LANES + lane]
                        following[there + lane] += (
                            weight[u, o] * p0
                            + weight[u + 1, o] * p1
                            + weight[u + 2, o] * p2
                            + weight[u + 3, o] * p3
                            + weight[u + 4, o] * p4
                            + weight[u + 5, o] * p5
                            + weight[u + 6, o] * p6
                            + weight[u + 7, o] * p7
                        )
                        following[there + LANES + lane] += (
                            weight[u, o + 1] * p0
                            + weight[u + 1, o + 1] * p1
                            + weight[u + 2, o + 1] * p2
                            + weight[u + 3, o + 1] * p3
                            + weight[u + 4, o + 1] * p4
                            + weight[u + 5, o + 1] * p5
                            + weight[u + 6, o + 1] * p6
                            + weight[u + 7, o + 1] * p7
                        )
                        following[there + 2 * LANES + lane] += (
                            weight[u, o + 2] * p0
                            + weight[u + 1, o + 2] * p1
                            + weight[u + 2, o + 2] * p2
                            + weight[u + 3, o + 2] * p3
                            + weight[u + 4, o + 2] * p4
                            + weight[u + 5, o + 2] * p5
                            + weight[u + 6, o + 2] * p6
                            + weight[u + 7, o + 2] * p7
                        )
                        following[there + 3 * LANES + lane] += (
                            weight[u, o + 3] * p0
                            + weight[u + 1, o + 3] * p1
                            + weight[u + 2, o + 3] * p2
                            + weight[u + 3, o + 3] * p3
                            + weight[u + 4, o + 3] * p4
                            + weight[u + 5, o + 3] * p5
                            + weight[u + 6, o + 3] * p6
                            + weight[u + 7, o + 3] * p7
                        )

    return product


def _build_stepped(activation: CompiledActivation, units: int, width: int, padded: int) -> TabulatedTransition:
    direct = _build_direct(activation.activate, 1, units, width)
    row_of, values = activation.row, np.ascontiguousarray(activation.table[:, 0])

    @njit_inner
    def begin(pre, weight, state):
        state[:] = 0
        for unit in range(units):
            for lane in range(LANES):
                value = values[row_of(pre[unit * LANES + lane])]
                for output in range(0, padded, LANES):
                    add_scaled(state, lane * padded + output, weight, unit * padded + output, value)

    @njit_inner
    def patch(before, after, weight, unit, state, lane):
        step = values[after] - values[before]
        for output in range(0, padded, LANES):
            add_scaled(state, lane * padded + output, weight, unit * padded + output, step)

    @njit_inner
    def finish(state, bias, following):
        for lane in range(LANES):
            for output in range(0, padded, LANES):
                copy_vector(following, lane * padded + output, bias, output)
                add_scaled(following, lane * padded + output, state, lane * padded + output, np.float32(1))

    scratch_size = max(direct.scratch_size, LANES * padded)
    return TabulatedTransition(direct.forward, scratch_size, row_of, begin, patch, finish, 1)


def _build_tabulated(
    activation: CompiledActivation, table: Any, units: int, width: int, padded: int
) -> TabulatedTransition:
    row_of, (rows, channels) = activation.row, table.shape
    # the entries of the table that are not zero, by channel
    entry_row = np.concatenate([np.flatnonzero(table[:, channel]) for channel in range(channels)])
    entry_start = np.concatenate([[0], np.count_nonzero(table, axis=0).cumsum()])
    entry_value = np.concatenate([table[table[:, channel] != 0, channel] for channel in range(channels)])
    columns = LANES * padded
    one = np.float32(1)

    @njit_inner
    def begin(pre, weight, state):
        state[:] = 0
        for unit in range(units):
            for lane in range(LANES):
                row = row_of(pre[unit * LANES + lane])
                for output in range(0, padded, LANES):
                    add_scaled(state, row * columns + lane * padded + output, weight, unit * padded + output, one)

    @njit_inner
    def patch(before, after, weight, unit, state, lane):
        for output in range(0, padded, LANES):
            place, source = lane * padded + output, unit * padded + output
            add_scaled(state, before * columns + place, weight, source, -one)
            add_scaled(state, after * columns + place, weight, source, one)

    @njit_inner
    def finish(state, bias, following):
        for channel in range(channels):
            for lane in range(LANES):
                for output in range(0, padded, LANES):
                    copy_vector(following, channel * columns + lane * padded + output, bias, output)
            for entry in range(entry_start[channel], entry_start[channel + 1]):
                row, value = entry_row[entry], entry_value[entry]
                for column in range(0, columns, LANES):
                    add_scaled(following, channel * columns + column, state, row * columns + column, value)

    @njit_inner
    def forward(pre, weight, bias, scratch, following):
        state = scratch[channels * columns : (channels + rows) * columns].reshape(rows, LANES, padded)
        begin(pre, weight, state)
        finish(state, bias, scratch)
        for channel in range(channels):
            for output in range(width):
                for lane in range(LANES):
                    following[(channel * width + output) * LANES + lane] = scratch[
                        channel * columns + lane * padded + output
                    ]

    return TabulatedTransition(forward, (rows + channels) * columns, row_of, begin, patch, finish, rows)
