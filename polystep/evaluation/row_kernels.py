"""The numba loops for candidates that move one row of one layer, so that one unit changes."""

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numba import prange

from polystep.evaluation.jit import njit, njit_inner
from polystep.evaluation.kernels import LANES, relu
from polystep.evaluation.network_functions import NetworkFunctions
from polystep.evaluation.row_propagation import RowPropagation, build_plain_propagation, build_straight_propagation


@dataclass(frozen=True)
class RowKernels:
    """hidden_rows: by layer, but for the last one; output_rows: that."""

    hidden_rows: list[Any]
    output_rows: Any


def build_row_kernels(functions: NetworkFunctions) -> RowKernels:
    """Kernels for one network."""
    activations, channels, last = functions.activations, functions.channels, functions.last
    propagations = [_build_propagation(functions, index) for index in range(1, last + 1)]
    workspace = functions.workspace([0, *(propagation.scratch_size for propagation in propagations)])
    hidden_rows = [
        build_hidden_rows(activations[i].activate, (channels[i], channels[i + 1]), propagations[i], workspace, i + 1)
        for i in range(last)
    ]
    output = build_output_rows(activations[last].activate, channels[last], functions.units[last], functions.loss)
    return RowKernels(hidden_rows, output)


def _build_propagation(functions: NetworkFunctions, index: int) -> RowPropagation:
    """From the step of a unit before layer `index` to the losses."""
    units, to_loss = functions.units, functions.forward_to_loss
    straight = functions.channels[index] == 1 and functions.activations[index].activate is relu
    if index == functions.last or not straight:
        return build_plain_propagation(functions.channels[index], units[index], index, to_loss[index])
    following = index + 1
    return build_straight_propagation(
        units[index], units[following], functions.padded[following], index, to_loss[following]
    )


def build_hidden_rows(
    activate: Any, channels: tuple[int, int], propagation: RowPropagation, workspace: Any, following_index: int
) -> Any:
    """Losses of candidates that move a row of a layer that is not the last.

    first (R + 1,): candidates first[r] .. first[r+1] move the same row, so where a sample changes they start from the same
    signals and fill the lanes. z (U, C, B); projected (rank, C, B); low, high (U, B): where one-channel units keep their
    output; following, beyond (samples, C' U'): pre-activations of the next layer, number `following_index`, and the one after
    it (there is none: anything). `channels`: C and C'.
    """
    in_channels, out_channels = channels
    one_channel, weight_slot = in_channels == 1, 2 * following_index
    move, prepare, propagate = _build_move(in_channels), propagation.prepare, propagation.propagate

    @njit_inner
    def leaving(moved, b, low, high, which):
        """Fill `which` with the candidates that leave the plateau of sample b; returns how many do."""
        count = 0
        for v in range(len(moved)):
            which[count] = v
            count += not ((low <= moved[v, 0, b]) & (moved[v, 0, b] < high)) if one_channel else 1
        return count

    @njit_inner
    def steps_of(z, moved, b, count, which, after, new, old, steps):
        """Fill `steps` (C', candidates) with the changes of the unit's signal, and `which` with those that are not zero."""
        for channel in range(in_channels):
            after[channel] = z[channel, b]
        activate(after, old, 1)
        for channel in range(in_channels):
            for i in range(count):
                after[channel * count + i] = moved[which[i], channel, b]
        activate(after, new, count)
        found = 0
        for i in range(count):
            changed = False
            for channel in range(out_channels):
                step = new[channel * count + i] - old[channel]
                steps[channel, found] = step
                changed |= step != 0
            which[found] = which[i]
            found += changed
        return found

    @njit_inner
    def group_losses(
        start,
        stop,
        row,
        block,
        offset,
        z,
        projected,
        low,
        high,
        following,
        beyond,
        weights,
        targets,
        base_losses,
        losses,
    ):
        """Fill `losses` of candidates start .. stop, which move the same row."""
        unit, group, samples = row[start], stop - start, len(base_losses)
        moved = np.empty((group, in_channels, z.shape[2]), np.float32)
        for v in range(group):
            n = start + v
            move(z[unit], offset[n], block[n] * offset.shape[1], projected, moved[v])
        which, totals = np.empty(group + 1, np.int64), np.zeros(group)
        after, old = np.empty(in_channels * group, np.float32), np.empty(out_channels, np.float32)
        new = np.empty(out_channels * group, np.float32)
        # lanes that no candidate fills propagate whatever is left there
        steps = np.zeros((out_channels, group + LANES), np.float32)
        target, found = np.empty(LANES, np.int64), np.empty(LANES, np.float32)
        work = workspace()
        column = weights[weight_slot][unit]
        for b in range(samples):
            count = leaving(moved, b, low[unit, b], high[unit, b], which)
            if count > 0:
                count = steps_of(z[unit], moved, b, count, which, after, new, old, steps)
                prepare(following, b, column, steps, count, weights, work)
                for lane in range(LANES):
                    target[lane] = targets[b]
            for place in range(0, count, LANES):
                propagate(following, beyond, b, column, steps, place, target, weights, work, found)
                for lane in range(min(LANES, count - place)):
                    totals[which[place + lane]] += found[lane] - base_losses[b]
        mean = base_losses.mean()
        for v in range(group):
            losses[start + v] = mean + totals[v] / samples

    # array code is kept out of the parallel loops: there it would take several times as long to compile
    @njit(parallel=True)
    def hidden_rows(
        first, row, block, offset, z, projected, low, high, following, beyond, weights, targets, base_losses
    ):
        losses = np.empty(len(row), np.float32)
        for r in prange(len(first) - 1):
            moves = (first[r], first[r + 1], row, block, offset, z, projected, low, high)
            group_losses(*moves, following, beyond, weights, targets, base_losses, losses)
        return losses

    return hidden_rows


def build_output_rows(activate: Any, channels: int, outputs: int, loss: Any) -> Any:
    """Losses of candidates that move a row of the last layer; logits (outputs, 1, B), else as in `build_hidden_rows`."""
    move = _build_move(channels)

    @njit_inner
    def loss_of(unit, first, offset, z, projected, logits, targets, base_losses):
        samples = len(base_losses)
        moved = np.empty((channels, z.shape[2]), np.float32)
        move(z[unit], offset, first, projected, moved)
        pre, post = np.empty(channels * LANES, np.float32), np.empty(LANES, np.float32)
        patched, scratch = np.empty(outputs * LANES, np.float32), np.empty(outputs * LANES, np.float32)
        found, total = np.empty(LANES, np.float32), 0.0
        for start in range(0, samples, LANES):
            for channel in range(channels):
                for lane in range(LANES):
                    pre[channel * LANES + lane] = moved[channel, start + lane]
            activate(pre, post, LANES)
            count, changed = min(LANES, samples - start), False
            for lane in range(count):
                changed |= post[lane] != logits[unit, 0, start + lane]
            if not changed:
                continue
            for output in range(outputs):
                for lane in range(LANES):
                    patched[output * LANES + lane] = logits[output, 0, start + lane]
            for lane in range(LANES):
                patched[unit * LANES + lane] = post[lane]
            loss(patched, targets[start : start + LANES], scratch, found)
            for lane in range(count):
                if post[lane] != logits[unit, 0, start + lane]:
                    total += found[lane] - base_losses[start + lane]
        return base_losses.mean() + total / samples

    @njit(parallel=True)
    def output_rows(row, block, offset, z, projected, logits, targets, base_losses):
        losses = np.empty(len(row), np.float32)
        for n in prange(len(row)):
            moves = (row[n], block[n] * offset.shape[1], offset[n], z, projected)
            losses[n] = loss_of(*moves, logits, targets, base_losses)
        return losses

    return output_rows


@cache
def _build_move(channels: int) -> Any:
    @njit_inner
    def move(row, offset, first, projected, moved):
        """moved (C, B): the row's pre-activations after a step along a particle's directions."""
        for channel in range(channels):
            for b in range(row.shape[1]):
                moved[channel, b] = row[channel, b]
            for k in range(len(offset)):
                step = offset[k]
                for b in range(row.shape[1]):
                    moved[channel, b] += step * projected[first + k, channel, b]

    return move
