"""The numba loops for candidates that move a whole layer."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit, prange

from polystep.evaluation.kernels import LANES
from polystep.evaluation.layer_transition import TabulatedTransition
from polystep.evaluation.network_functions import NetworkFunctions


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
            columns = LANES * functions.padded[index + 1]
            states[index] = build_states(transition, units[index], columns)
            patched_layers[index] = build_patched_layer(
                units[index], columns, transition, to_loss[index + 1], workspace, index + 1
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

    particle (R,): candidates first[r] .. first[r+1] move particle[r]; columns: `SparseColumns`; signal (inputs + 1, B).
    """
    deltas, move = _build_deltas(units), _build_move(units)

    @njit(parallel=True)
    def layer(particle, first, offset, columns, signal, z, weights, targets, samples):
        losses = np.empty(len(offset), np.float32)
        for r in prange(len(particle)):
            work = workspace()
            delta = np.empty(offset.shape[1] * units * LANES, np.float32)
            moved, found = np.empty(units * LANES, np.float32), np.empty(LANES, np.float32)
            totals = np.zeros(first[r + 1] - first[r])
            for start in range(0, samples, LANES):
                deltas(particle[r], columns, signal, start, delta)
                for v in range(len(totals)):
                    move(z, start, offset[first[r] + v], delta, moved)
                    forward_to_loss(moved, targets[start : start + LANES], weights, work, found)
                    for lane in range(min(LANES, samples - start)):
                        totals[v] += found[lane]
            for v in range(len(totals)):
                losses[first[r] + v] = totals[v] / samples
        return losses

    return layer


def build_states(transition: TabulatedTransition, units: int, columns: int) -> Any:
    """states(z, weight): the transition's states of LANES samples each, (blocks, rows, columns); z (U, 1, B)."""
    begin, rows = transition.begin, transition.rows

    @njit(parallel=True)
    def states(z, weight):
        found = np.empty((z.shape[2] // LANES, rows, columns), np.float32)
        for block in prange(len(found)):
            pre = np.empty(units * LANES, np.float32)
            for unit in range(units):
                for lane in range(LANES):
                    pre[unit * LANES + lane] = z[unit, 0, block * LANES + lane]
            begin(pre, weight, found[block])
        return found

    return states


def build_patched_layer(
    units: int,
    columns_per_state: int,
    transition: TabulatedTransition,
    forward_to_loss: Any,
    workspace: Any,
    following_index: int,
) -> Any:
    """As `build_sparse_layer`, before a tabulated activation: only units that leave their plateau are computed on.

    low, high (U, B): the plateaus; states: see `build_states`.
    """
    patch, finish, rows = transition.patch, transition.finish, transition.rows
    weight_slot, bias_slot = 2 * following_index, 2 * following_index + 1
    deltas, move = _build_deltas(units), _build_move(units)

    @njit
    def leave(moved, low, high, start, left, maybe):
        """Fill `maybe` with the places unit x LANES + lane that leave their plateau; returns how many do."""
        for unit in range(units):
            for lane in range(LANES):
                value = moved[unit * LANES + lane]
                left[unit * LANES + lane] = not (
                    (low[unit, start + lane] <= value) & (value < high[unit, start + lane])
                )
        found = 0
        for place in range(units * LANES):
            maybe[found] = place
            found += left[place]
        return found

    @njit(parallel=True)
    def layer(particle, first, offset, columns, signal, z, low, high, states, weights, targets, base_losses, base):
        samples = len(base_losses)
        losses = np.empty(len(offset), np.float32)
        for r in prange(len(particle)):
            work = workspace()
            scratch, following = work[following_index - 1][1], work[following_index][0]
            weight, bias = weights[weight_slot], weights[bias_slot]
            delta = np.empty(offset.shape[1] * units * LANES, np.float32)
            moved, found = np.empty(units * LANES, np.float32), np.empty(LANES, np.float32)
            left, maybe = np.empty(units * LANES, np.uint8), np.empty(units * LANES + 1, np.int32)
            state = np.empty((rows, columns_per_state), np.float32)
            changed = np.empty(LANES, np.bool_)
            totals = np.zeros(first[r + 1] - first[r])
            for start in range(0, samples, LANES):
                deltas(particle[r], columns, signal, start, delta)
                for v in range(len(totals)):
                    move(z, start, offset[first[r] + v], delta, moved)
                    count = leave(moved, low, high, start, left, maybe)
                    if count == 0:
                        continue
                    changed[:] = False
                    state[:] = states[start // LANES]
                    for i in range(count):
                        unit, lane = maybe[i] // LANES, maybe[i] % LANES
                        before, after = z[unit, 0, start + lane], moved[maybe[i]]
                        changed[lane] |= patch(before, after, weight, unit, state, lane)
                    finish(state, bias, scratch, following)
                    forward_to_loss(following, targets[start : start + LANES], weights, work, found)
                    for lane in range(min(LANES, samples - start)):
                        if changed[lane]:
                            totals[v] += found[lane] - base_losses[start + lane]
            for v in range(len(totals)):
                losses[first[r] + v] = base + totals[v] / samples
        return losses

    return layer


def _build_deltas(units: int) -> Any:
    @njit
    def deltas(particle, columns, signal, start, delta):
        """How the pre-activations (U, LANES) of LANES samples answer to each coordinate of a particle."""
        runs, run_input, run_start, slot, value = columns
        delta[:] = 0
        for run in range(runs[particle], runs[particle + 1]):
            level = signal[run_input[run], start : start + LANES]
            for entry in range(run_start[run], run_start[run + 1]):
                # slot = coordinate x units + unit
                place = slot[entry] * LANES
                for lane in range(LANES):
                    delta[place + lane] += value[entry] * level[lane]

    return deltas


def _build_move(units: int) -> Any:
    size = units * LANES

    @njit
    def move(z, start, offset, delta, moved):
        """moved (U, LANES): the pre-activations of LANES samples after a step."""
        for unit in range(units):
            for lane in range(LANES):
                moved[unit * LANES + lane] = z[unit, 0, start + lane]
        for k in range(len(offset)):
            step = offset[k]
            for i in range(size):
                moved[i] += step * delta[k * size + i]

    return move
