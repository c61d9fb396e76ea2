"""The numba loops for candidates that move a whole layer along fixed directions."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit, prange

from polystep.evaluation.directions import COORDINATES
from polystep.evaluation.kernels import LANES
from polystep.evaluation.layer_transition import TabulatedTransition
from polystep.evaluation.network_functions import NetworkFunctions
from polystep.evaluation.vectors import add_scaled, combine, copy_vector

SHIFT = LANES.bit_length() - 1
"""place >> SHIFT is place // LANES, without a look at the sign."""


@dataclass(frozen=True)
class PublishedKernels:
    """Kernels by layer. states and patched_layers: None unless the layer has one channel and its activation is tabulated;
    sparse_layers: None where those are not, or the layer has several channels.
    """

    states: list[Any]
    patched_layers: list[Any]
    sparse_layers: list[Any]
    whole_layers: list[Any]


def build_published_kernels(functions: NetworkFunctions) -> PublishedKernels:
    """Kernels for one network."""
    units, channels, to_loss = functions.units, functions.channels, functions.forward_to_loss
    workspace, layers = functions.workspace(), range(functions.last + 1)
    states: list[Any] = [None for _ in layers]
    patched_layers, sparse_layers = list(states), list(states)
    for index in layers:
        transition = functions.transitions[index] if index < functions.last else None
        if channels[index] == 1 and isinstance(transition, TabulatedTransition):
            width = functions.padded[index + 1]
            states[index] = build_states(transition, units[index], width)
            patched_layers[index] = build_patched_layer(
                units[index], width, transition, functions.by_sample_to_loss(index + 1), workspace, index + 1
            )
        elif channels[index] == 1:
            sparse_layers[index] = build_sparse_layer(units[index], to_loss[index], workspace)
    whole_layers = [build_whole_layer(channels[i], units[i], to_loss[i], workspace) for i in layers]
    return PublishedKernels(states, patched_layers, sparse_layers, whole_layers)


def build_whole_layer(channels: int, units: int, forward_to_loss: Any, workspace: Any) -> Any:
    """Losses of candidates that move one layer anyhow: every sample is computed again from that layer on.

    first (R + 1,): candidates first[r] .. first[r+1] move particle r. Samples padded to whole LANES: z (U, C, B); delta
    (R, d, U, C, B): how the pre-activation answers to each coordinate; targets (B,), of which `samples` count.
    """

    @njit(parallel=True)
    def layer(first, offset, delta, z, weights, targets, samples):
        dimension = offset.shape[1]
        losses = np.empty(len(offset), np.float32)
        for r in prange(len(first) - 1):
            work = workspace()
            moved, found = np.empty(channels * units * LANES, np.float32), np.empty(LANES, np.float32)
            for n in range(first[r], first[r + 1]):
                total = 0.0
                for start in range(0, samples, LANES):
                    for unit in range(units):
                        for channel in range(channels):
                            place = (channel * units + unit) * LANES
                            for lane in range(LANES):
                                moved[place + lane] = z[unit, channel, start + lane]
                            for k in range(dimension):
                                step = offset[n, k]
                                for lane in range(LANES):
                                    moved[place + lane] += step * delta[r, k, unit, channel, start + lane]
                    forward_to_loss(moved, targets[start : start + LANES], weights, work, found)
                    for lane in range(min(LANES, samples - start)):
                        total += found[lane]
                losses[n] = total / samples
        return losses

    return layer


def build_sparse_layer(units: int, forward_to_loss: Any, workspace: Any) -> Any:
    """As `build_whole_layer`, for a one-channel layer and columns with few entries.

    directions: `Directions`; columns: `SparseColumns`; signal (blocks, (inputs + 1) LANES); z (blocks, U LANES).
    """
    project = _build_project(units)
    size = units * LANES

    @njit(parallel=True)
    def layer(directions, columns, signal, z, weights, targets, samples):
        particle, first, direction, sign, first_direction, offset = directions
        losses = np.empty(len(direction), np.float32)
        for r in prange(len(particle)):
            work = workspace()
            delta = np.empty((units * offset.shape[1], LANES), np.float32)
            steps = np.empty((first_direction[r + 1] - first_direction[r], size), np.float32)
            moved, found = np.empty(size, np.float32), np.empty(LANES, np.float32)
            totals = np.zeros(first[r + 1] - first[r])
            for block in range(len(z)):
                start = block * LANES
                _deltas(particle[r], columns, signal[block], delta)
                project(offset, first_direction[r], delta, steps)
                for v in range(len(totals)):
                    n = first[r] + v
                    own, side = direction[n] - first_direction[r], sign[n]
                    for place in range(size):
                        moved[place] = z[block, place] + side * steps[own, place]
                    forward_to_loss(moved, targets[start : start + LANES], weights, work, found)
                    for lane in range(min(LANES, samples - start)):
                        totals[v] += found[lane]
            for v in range(len(totals)):
                losses[first[r] + v] = totals[v] / samples
        return losses

    return layer


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
    units: int,
    width: int,
    transition: TabulatedTransition,
    to_loss: Any,
    workspace: Any,
    following_index: int,
) -> Any:
    """As `build_sparse_layer`, before a tabulated activation: only units that leave their plateau are computed on.

    low, high (blocks, U LANES): the plateaus; states, rows: see `build_states`.
    """
    patch, finish, row_of, sums = transition.patch, transition.finish, transition.row, transition.rows
    weight_slot, bias_slot = 2 * following_index, 2 * following_index + 1
    project = _build_project(units)
    size = units * LANES

    @njit
    def leave(z, side, steps, low, high, moved, left, which):
        """Fill `which` with the places unit x LANES + lane that leave their plateau; returns how many do."""
        for place in range(size):
            value = z[place] + side * steps[place]
            moved[place] = value
            left[place] = not ((low[place] <= value) & (value < high[place]))
        found = 0
        for place in range(size):
            which[found] = place
            found += left[place]
        return found

    @njit
    def copy(source, target):
        for place in range(0, sums * LANES * width, LANES):
            copy_vector(target, place, source, place)

    @njit
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
        particle, first, direction, sign, first_direction, offset = directions
        samples = len(base_losses)
        losses = np.empty(len(direction), np.float32)
        for r in prange(len(particle)):
            work = workspace()
            scratch = work[following_index - 1][1]
            weight, bias = weights[weight_slot], weights[bias_slot]
            delta = np.empty((units * offset.shape[1], LANES), np.float32)
            steps = np.empty((first_direction[r + 1] - first_direction[r], size), np.float32)
            moved, found = np.empty(size, np.float32), np.empty(LANES, np.float32)
            left, which, after = np.empty(size, np.uint8), np.empty(size + 1, np.int32), np.empty(size, np.int32)
            state, changed = np.empty((sums, LANES, width), np.float32), np.empty(LANES, np.bool_)
            totals = np.zeros(first[r + 1] - first[r])
            for block in range(len(z)):
                start = block * LANES
                _deltas(particle[r], columns, signal[block], delta)
                project(offset, first_direction[r], delta, steps)
                for v in range(len(totals)):
                    n = first[r] + v
                    own = steps[direction[n] - first_direction[r]]
                    count = leave(z[block], sign[n], own, low[block], high[block], moved, left, which)
                    if count == 0:
                        continue
                    copy(states[block], state)
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


@njit
def _deltas(particle, columns, signal, delta):
    """Fill delta (U d, LANES): how the pre-activations of LANES samples answer to each coordinate of a particle."""
    runs, run_input, run_start, slot, value = columns
    delta[:] = 0
    for run in range(runs[particle], runs[particle + 1]):
        level = run_input[run] * LANES
        for entry in range(run_start[run], run_start[run + 1]):
            # slot = unit x d + coordinate
            add_scaled(delta, slot[entry] * LANES, signal, level, value[entry])


def _build_project(units: int) -> Any:
    size = units * LANES

    @njit
    def project(offset, first, delta, steps):
        """Fill steps (directions, U LANES) with what each direction from `first` adds to the pre-activations."""
        width = offset.shape[1]
        steps[:] = 0
        for unit in range(units):
            for direction in range(len(steps)):
                to, own = direction * size + unit * LANES, (first + direction) * width
                for k in range(0, width, COORDINATES):
                    combine(steps, to, offset, own + k, delta, (unit * width + k) * LANES)

    return project
