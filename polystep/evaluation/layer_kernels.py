"""The numba loops for candidates that move a whole layer, or the whole network."""

from typing import Any

import numpy as np
from numba import njit, prange

from polystep.evaluation.passages import Passage

LANES = 8
"""Samples that a patched layer works on at once: a vector register, and few enough for the fast cache."""


def build_states(passage: Passage, width: int, index: int) -> Any:
    """states(z, weights): the passage's states of LANES samples each, (blocks, state rows, LANES U'); z (B, U) of layer
    `index`, B a multiple of LANES; U' = `width`, the units of the next layer.
    """
    weight_slot, bias_slot = 2 * index + 2, 2 * index + 3
    begin, state_rows, scratch_size = passage.begin, passage.state_rows, passage.scratch_size

    @njit(parallel=True)
    def states(z, weights):
        found = np.empty((len(z) // LANES, state_rows, LANES * width), np.float32)
        for block in prange(len(found)):
            scratch = np.empty(scratch_size, np.float32)
            for lane in range(LANES):
                pre = z[block * LANES + lane]
                begin(pre, weights[weight_slot], weights[bias_slot], scratch, found[block], lane * width)
        return found

    return states


def build_patched_layer(
    units: int, passage: Passage, sizes: tuple[int, int], tail: Any, workspace: Any, following_index: int
) -> Any:
    """Losses of candidates that move a one-channel layer before the last anyhow: units that leave their cell are patched.

    particle (R,) and first (R + 1,): candidates first[r] .. first[r+1] move particle r. Unit-major, with samples padded to
    whole LANES: signal (inputs + 1, B), z, low and high (U, B). states: see `build_states`. sizes: channels and units of the
    next pre-activation.
    """
    patch, finish, state_rows = passage.patch, passage.finish, passage.state_rows
    channels, width = sizes
    weight_slot, bias_slot = 2 * following_index, 2 * following_index + 1
    size = units * LANES

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

    @njit
    def leave(moved, low, high, start, count, left, maybe):
        """Fill `maybe` with the places unit x LANES + lane that leave their cell; returns how many do."""
        for unit in range(count):
            for lane in range(LANES):
                value = moved[unit * LANES + lane]
                left[unit * LANES + lane] = not (
                    (low[unit, start + lane] <= value) & (value < high[unit, start + lane])
                )
        found = 0
        for place in range(count * LANES):
            maybe[found] = place
            found += left[place]
        return found

    @njit(parallel=True)
    def layer(particle, first, offset, columns, signal, z, low, high, states, weights, targets, base_losses):
        samples, dimension = len(targets), offset.shape[1]
        base = base_losses.mean()
        losses = np.empty(len(offset), np.float32)
        for r in prange(len(particle)):
            work = workspace()
            scratch, following = work[following_index - 1][1], work[following_index][0]
            weight, bias = weights[weight_slot], weights[bias_slot]
            image, moved = np.empty(dimension * size, np.float32), np.empty(size, np.float32)
            left, maybe = np.empty(size, np.uint8), np.empty(size + 1, np.int32)
            state = np.empty((state_rows, LANES * width), np.float32)
            followings = np.empty((channels, LANES * width), np.float32)
            biases = np.empty(LANES * width, np.float32)
            for i in range(LANES * width):
                biases[i] = bias[i % width]
            changed = np.empty(LANES, np.bool_)
            totals = np.zeros(first[r + 1] - first[r])
            for start in range(0, samples, LANES):
                images(particle[r], columns, signal, start, image)
                for v in range(len(totals)):
                    for unit in range(units):
                        for lane in range(LANES):
                            moved[unit * LANES + lane] = z[unit, start + lane]
                    for k in range(dimension):
                        step = offset[first[r] + v, k]
                        for i in range(size):
                            moved[i] += step * image[k * size + i]
                    # padded units have no weights
                    count = leave(moved, low, high, start, weight.shape[0], left, maybe)
                    if count == 0:
                        continue
                    changed[:] = False
                    state[:] = states[start // LANES]
                    for i in range(count):
                        unit, lane = maybe[i] // LANES, maybe[i] % LANES
                        before, after = z[unit, start + lane], moved[maybe[i]]
                        changed[lane] |= patch(before, after, scratch, weight, unit, state, lane * width)
                    finish(state, biases, followings)
                    for lane in range(min(LANES, samples - start)):
                        if changed[lane]:
                            for channel in range(channels):
                                for output in range(width):
                                    following[channel * width + output] = followings[channel, lane * width + output]
                            b = start + lane
                            totals[v] += tail(following, targets[b], weights, work) - base_losses[b]
            for v in range(len(totals)):
                losses[first[r] + v] = base + totals[v] / samples
        return losses

    return layer


def build_whole_layer(channels: int, units: int, tail: Any, workspace: Any) -> Any:
    """Losses of candidates that move one layer anyhow: every sample is computed again from that layer on.

    first (R + 1,): candidates first[r] .. first[r+1] move particle r. image (B, C, R, d, U): how the pre-activation answers to
    each coordinate. z (B, C U).
    """

    @njit(parallel=True)
    def layer(first, offset, image, z, weights, targets):
        samples, dimension = len(targets), offset.shape[1]
        losses = np.empty(len(offset), np.float32)
        for r in prange(len(first) - 1):
            work = workspace()
            moved = np.empty(channels * units, np.float32)
            totals = np.zeros(first[r + 1] - first[r])
            for b in range(samples):
                for v in range(len(totals)):
                    for channel in range(channels):
                        for unit in range(units):
                            moved[channel * units + unit] = z[b, channel * units + unit]
                        for k in range(dimension):
                            step = offset[first[r] + v, k]
                            for unit in range(units):
                                moved[channel * units + unit] += step * image[b, channel, r, k, unit]
                    totals[v] += tail(moved, targets[b], weights, work)
            for v in range(len(totals)):
                losses[first[r] + v] = totals[v] / samples
        return losses

    return layer


def build_whole_network(units: int, last: int, tail: Any, workspace: Any) -> Any:
    """Losses of candidates that move everything.

    The first pre-activation of candidate n is base (B, U) + scale[n] x image[:, source[n]] with image (B, K, U); `weights`
    holds the tensors of every layer, stacked over candidates (those of the first layer are not read).
    """
    take = _build_take(2 * last + 2)

    @njit(parallel=True)
    def network(base, image, source, scale, weights, targets):
        samples = len(targets)
        losses = np.empty(len(source), np.float32)
        for n in prange(len(source)):
            work = workspace()
            own = take(weights, n)
            pre = np.empty(units, np.float32)
            total = 0.0
            for b in range(samples):
                for unit in range(units):
                    pre[unit] = base[b, unit] + scale[n] * image[b, source[n], unit]
                total += tail(pre, targets[b], own, work)
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
