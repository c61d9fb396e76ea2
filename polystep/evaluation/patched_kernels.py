"""The numba loops for candidates that move a whole layer before an activation that most units pass as at the base point.

Only units that leave their plateau, or whose sign turns before a ReLU, are looked at one by one: each adds its weight row to
the next pre-activation of a sample. That is kept sample by sample, (LANES, units), so that this is a few vector instructions.
"""

from typing import Any

import numpy as np
from numba import prange

from polystep.evaluation.directions import ROWS
from polystep.evaluation.jit import njit, njit_inner
from polystep.evaluation.kernels import LANES, padded_rows
from polystep.evaluation.layer_transition import TabulatedTransition
from polystep.evaluation.vectors import add_scaled, copy_vector, multiply

SHIFT = LANES.bit_length() - 1
"""place >> SHIFT is place // LANES, without a look at the sign."""


def build_states(transition: TabulatedTransition, units: int, width: int) -> Any:
    """states(z, weight): the transition's states of LANES samples each, (blocks, rows, LANES, width), and the rows of the
    units, (blocks, U LANES); z (blocks, U LANES).
    """
    begin, row_of, rows = transition.begin, transition.row, transition.rows

    @njit(parallel=True)
    def states(z, weight):
        found = np.empty((len(z), rows, LANES, width), np.float32)
        row = np.empty(z.shape, np.int32)
        for block in prange(len(z)):
            for place in range(units * LANES):
                row[block, place] = row_of(z[block, place])
            begin(z[block], weight, found[block])
        return found, row

    return states


def build_patched_layer(
    transition: TabulatedTransition,
    units: int,
    width: int,
    to_loss: Any,
    following_index: int,
    workspace: Any,
    deltas: Any,
    project: Any,
) -> Any:
    """As `hybrid_kernels.build_layer`, for one channel before a tabulated activation and a next layer of `width` units.

    low, high (blocks, U LANES): the plateaus; states, rows: see `build_states`. to_loss: from the next layer, by sample.
    """
    patch, finish, row_of, sums = transition.patch, transition.finish, transition.row, transition.rows
    weight_slot, bias_slot, size = 2 * following_index, 2 * following_index + 1, units * LANES

    @njit_inner
    def leave(z, side, steps, low, high, moved, left, which):
        """Fill `which` with the places unit x LANES + lane that leave their plateau; returns how many do."""
        for place in range(size):
            value = z[place] + side * steps[place]
            moved[place] = value
            left[place] = not ((low[place] <= value) & (value < high[place]))
        return _compact(left, which)

    @njit_inner
    def patch_all(which, count, moved, before, after, weight, state, changed):
        for i in range(count):
            after[i] = row_of(moved[which[i]])
        changed[:] = False
        for i in range(count):
            place = which[i]
            if before[place] != after[i]:
                lane = place & (LANES - 1)
                patch(before[place], after[i], weight, place >> SHIFT, state, lane)
                changed[lane] = True

    @njit(parallel=True)
    def layer(directions, columns, signal, z, low, high, states, rows, weights, targets, base_losses, base):
        first, direction, sign, first_direction, directions_of, offset = directions
        samples = len(base_losses)
        losses = np.empty(len(direction), np.float32)
        for r in prange(len(first) - 1):
            work = workspace()
            scratch = work[following_index - 1][1]
            weight, bias = weights[weight_slot], weights[bias_slot]
            delta = np.empty(padded_rows(units * offset.shape[1]) * LANES, np.float32)
            steps = np.empty((padded_rows(directions_of[r]), size), np.float32)
            moved, found = np.empty(size, np.float32), np.empty(LANES, np.float32)
            left, which, after = np.empty(size, np.uint8), np.empty(size + 1, np.int32), np.empty(size, np.int32)
            state, changed = np.empty((sums, LANES, width), np.float32), np.empty(LANES, np.bool_)
            totals = np.zeros(first[r + 1] - first[r])
            for block in range(len(z)):
                start = block * LANES
                deltas(r, columns, signal[block, 0], delta)
                project(offset, first_direction[r], delta, steps, 0)
                for v in range(len(totals)):
                    n = first[r] + v
                    own = steps[direction[n] - first_direction[r]]
                    count = leave(z[block], sign[n], own, low[block], high[block], moved, left, which)
                    if count == 0:
                        continue
                    for place in range(0, sums * LANES * width, LANES):
                        copy_vector(state, place, states[block], place)
                    patch_all(which, count, moved, rows[block], after, weight, state, changed)
                    finish(state, bias, scratch)
                    to_loss(scratch, targets[start : start + LANES], weights, work, found)
                    for lane in range(min(LANES, samples - start)):
                        if changed[lane]:
                            totals[v] += found[lane] - base_losses[start + lane]
            for v in range(len(totals)):
                losses[first[r] + v] = base + totals[v] / samples
        return losses

    return layer


def build_bent_layer(
    units: int, width: int, to_loss: Any, following_index: int, workspace: Any, deltas: Any, project: Any
) -> Any:
    """As `build_patched_layer`, before a ReLU.

    The units that are active at the base point pass their steps on, in one product for a direction and its opposite. What a
    unit adds to that where its sign turns is exactly 0 for all others. following (blocks, LANES width): the next
    pre-activation of the base point by sample.
    """
    weight_slot, size, following_size, zero = 2 * following_index, units * LANES, width * LANES, np.float32(0)

    @njit_inner
    def pass_on(z, steps, weight, active, linear):
        """linear (LANES, width): what the active units pass on."""
        for place in range(size):
            active[place] = steps[place] if z[place] > 0 else zero
        linear[:] = 0
        for lane in range(0, LANES, ROWS):
            for output in range(0, width, LANES):
                multiply(linear, lane * width + output, width, active, lane, 1, LANES, weight, output, width, units)

    @njit_inner
    def turn(z, side, steps, excess, left, which):
        """Fill `which` with the places unit x LANES + lane whose sign turns and `excess`; returns how many do."""
        for place in range(size):
            value = z[place] + side * steps[place]
            # max(z, 0) is z + max(-z, 0) where the unit was active, 0 + max(z, 0) where it was not
            beyond = -value if z[place] > 0 else value
            excess[place] = beyond if beyond > 0 else zero
            left[place] = beyond > 0
        return _compact(left, which)

    @njit(parallel=True)
    def layer(directions, columns, signal, z, following, weights, targets, samples):
        first, direction, sign, first_direction, directions_of, offset = directions
        losses = np.empty(len(direction), np.float32)
        for r in prange(len(first) - 1):
            work = workspace()
            weight = weights[weight_slot]
            delta = np.empty(padded_rows(units * offset.shape[1]) * LANES, np.float32)
            steps = np.empty((padded_rows(directions_of[r]), size), np.float32)
            linear = np.empty((directions_of[r], following_size), np.float32)
            excess, found = np.empty(size, np.float32), np.empty(LANES, np.float32)
            left, which = np.empty(size, np.uint8), np.empty(size + 1, np.int32)
            moved = np.empty(following_size, np.float32)
            totals = np.zeros(first[r + 1] - first[r])
            for block in range(len(z)):
                start = block * LANES
                deltas(r, columns, signal[block, 0], delta)
                project(offset, first_direction[r], delta, steps, 0)
                for own in range(directions_of[r]):
                    pass_on(z[block], steps[own], weight, excess, linear[own])
                for v in range(len(totals)):
                    n = first[r] + v
                    own, side = direction[n] - first_direction[r], sign[n]
                    count = turn(z[block], side, steps[own], excess, left, which)
                    for place in range(0, following_size, LANES):
                        copy_vector(moved, place, following, block * following_size + place)
                        add_scaled(moved, place, linear, own * following_size + place, side)
                    for i in range(count):
                        unit, lane = which[i] >> SHIFT, which[i] & (LANES - 1)
                        for output in range(0, width, LANES):
                            add_scaled(moved, lane * width + output, weight, unit * width + output, excess[which[i]])
                    to_loss(moved, targets[start : start + LANES], weights, work, found)
                    for lane in range(min(LANES, samples - start)):
                        totals[v] += found[lane]
            for v in range(len(totals)):
                losses[first[r] + v] = totals[v] / samples
        return losses

    return layer


@njit_inner
def _compact(left, which):
    """Fill `which` with the places that left; returns how many did. Without branches, which would be unforeseeable."""
    found = 0
    for place in range(len(left)):
        which[found] = place
        found += left[place]
    return found
