"""The numba loops for candidates that move a whole layer, or the whole network."""

from typing import Any

import numpy as np
from numba import njit, prange

from polystep.evaluation.kernels import LANES
from polystep.evaluation.passages import TabulatedPassage


def build_whole_layer(channels: int, units: int, tail: Any, workspace: Any) -> Any:
    """Losses of candidates that move one layer anyhow: every sample is computed again from that layer on.

    first (R + 1,): candidates first[r] .. first[r+1] move particle r. Samples padded to whole LANES: z (U, C, B); image
    (R, d, U, C, B): how the pre-activation answers to each coordinate; targets (B,), of which `samples` count.
    """

    @njit(parallel=True)
    def layer(first, offset, image, z, weights, targets, samples):
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
                                    moved[place + lane] += step * image[r, k, unit, channel, start + lane]
                    tail(moved, targets[start : start + LANES], weights, work, found)
                    for lane in range(min(LANES, samples - start)):
                        total += found[lane]
                losses[n] = total / samples
        return losses

    return layer


def build_sparse_layer(units: int, tail: Any, workspace: Any) -> Any:
    """As `build_whole_layer`, for a one-channel layer and columns with few entries.

    particle (R,): candidates first[r] .. first[r+1] move particle[r]; columns: `SparseColumns`; signal (inputs + 1, B).
    """
    images, move = _build_images(units), _build_move(units)

    @njit(parallel=True)
    def layer(particle, first, offset, columns, signal, z, weights, targets, samples):
        losses = np.empty(len(offset), np.float32)
        for r in prange(len(particle)):
            work = workspace()
            image = np.empty(offset.shape[1] * units * LANES, np.float32)
            moved, found = np.empty(units * LANES, np.float32), np.empty(LANES, np.float32)
            totals = np.zeros(first[r + 1] - first[r])
            for start in range(0, samples, LANES):
                images(particle[r], columns, signal, start, image)
                for v in range(len(totals)):
                    move(z, start, offset[first[r] + v], image, moved)
                    tail(moved, targets[start : start + LANES], weights, work, found)
                    for lane in range(min(LANES, samples - start)):
                        totals[v] += found[lane]
            for v in range(len(totals)):
                losses[first[r] + v] = totals[v] / samples
        return losses

    return layer


def build_states(passage: TabulatedPassage, units: int, columns: int) -> Any:
    """states(z, weight): the passage's states of LANES samples each, (blocks, rows, columns); z (U, 1, B)."""
    begin, rows = passage.begin, passage.rows

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
    units: int, columns_per_state: int, passage: TabulatedPassage, tail: Any, workspace: Any, following_index: int
) -> Any:
    """As `build_sparse_layer`, before a tabulated activation: only units that leave their cell are carried on.

    low, high (U, B): the cells; states: see `build_states`.
    """
    patch, finish, rows = passage.patch, passage.finish, passage.rows
    weight_slot, bias_slot = 2 * following_index, 2 * following_index + 1
    images, move = _build_images(units), _build_move(units)

    @njit
    def leave(moved, low, high, start, left, maybe):
        """Fill `maybe` with the places unit x LANES + lane that leave their cell; returns how many do."""
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
            image = np.empty(offset.shape[1] * units * LANES, np.float32)
            moved, found = np.empty(units * LANES, np.float32), np.empty(LANES, np.float32)
            left, maybe = np.empty(units * LANES, np.uint8), np.empty(units * LANES + 1, np.int32)
            state = np.empty((rows, columns_per_state), np.float32)
            changed = np.empty(LANES, np.bool_)
            totals = np.zeros(first[r + 1] - first[r])
            for start in range(0, samples, LANES):
                images(particle[r], columns, signal, start, image)
                for v in range(len(totals)):
                    move(z, start, offset[first[r] + v], image, moved)
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
                    tail(following, targets[start : start + LANES], weights, work, found)
                    for lane in range(min(LANES, samples - start)):
                        if changed[lane]:
                            totals[v] += found[lane] - base_losses[start + lane]
            for v in range(len(totals)):
                losses[first[r] + v] = base + totals[v] / samples
        return losses

    return layer


def _build_images(units: int) -> Any:
    @njit
    def images(particle, columns, signal, start, image):
        """How the pre-activations (U, LANES) of LANES samples answer to each coordinate of a particle."""
        runs, run_input, run_start, slot, value = columns
        image[:] = 0
        for run in range(runs[particle], runs[particle + 1]):
            level = signal[run_input[run], start : start + LANES]
            for entry in range(run_start[run], run_start[run + 1]):
                # slot = coordinate x units + unit
                place = slot[entry] * LANES
                for lane in range(LANES):
                    image[place + lane] += value[entry] * level[lane]

    return images


def _build_move(units: int) -> Any:
    size = units * LANES

    @njit
    def move(z, start, offset, image, moved):
        """moved (U, LANES): the pre-activations of LANES samples after a step."""
        for unit in range(units):
            for lane in range(LANES):
                moved[unit * LANES + lane] = z[unit, 0, start + lane]
        for k in range(len(offset)):
            step = offset[k]
            for i in range(size):
                moved[i] += step * image[k * size + i]

    return move


def build_whole_network(units: int, last: int, tail: Any, workspace: Any) -> Any:
    """Losses of candidates that move everything.

    The first pre-activation of candidate n is base (U, B) + scale[n] x image[source[n]] with image (K, U, B); `weights`
    holds the tensors of every layer, stacked over candidates (those of the first layer are not read).
    """
    take = _build_take(2 * last + 2)

    @njit(parallel=True)
    def network(base, image, source, scale, weights, targets, samples):
        losses = np.empty(len(source), np.float32)
        for n in prange(len(source)):
            work = workspace()
            own = take(weights, n)
            pre, found = np.empty(units * LANES, np.float32), np.empty(LANES, np.float32)
            total = 0.0
            for start in range(0, samples, LANES):
                for unit in range(units):
                    for lane in range(LANES):
                        step = scale[n] * image[source[n], unit, start + lane]
                        pre[unit * LANES + lane] = base[unit, start + lane] + step
                tail(pre, targets[start : start + LANES], own, work, found)
                for lane in range(min(LANES, samples - start)):
                    total += found[lane]
            losses[n] = total / samples
        return losses

    return network


def _build_take(length: int) -> Any:
    """take(stacks, n): entry n of every array of a tuple of `length` arrays."""
    position = length - 1
    if length == 1:

        @njit
        def take(stacks, n):
            return (stacks[position][n],)
    else:
        head = _build_take(length - 1)

        @njit
        def take(stacks, n):
            return (*head(stacks, n), stacks[position][n])

    return take
