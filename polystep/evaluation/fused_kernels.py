"""The numba loops of the fused path, built for one network from its activations and its loss.

Sizes are closed over as constants and signals are flat (channel c of unit u at c x units + u), so that the compiler knows
all distances and vectorises the loops over units: this made the output layer of the spiking network 13 times faster.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit, prange

from polystep.evaluation.layered import LayeredNetwork


@dataclass(frozen=True)
class NetworkKernels:
    """hidden_rows and layers have one kernel per layer (hidden_rows: None for the last one)."""

    cells: list[Any]
    hidden_rows: list[Any]
    output_rows: Any
    layers: list[Any]


def build_kernels(network: LayeredNetwork, units: list[int], outputs: int) -> NetworkKernels:
    """Kernels for a network whose layers have `units` units (padded) and `outputs` logits."""
    activations = [layer.activation.compiled() for layer in network.layers]
    channels = [1, *(layer.activation.channels for layer in network.layers)]
    loss = network.loss.compiled()
    last = len(network.layers) - 1
    workspace = _build_workspace(channels, units)
    tail = None
    tails: list[Any] = [None] * (last + 1)
    for index in range(last, -1, -1):
        tail = _build_tail(index, activations, channels, units, loss, outputs, tail)
        tails[index] = tail
    hidden_rows, layers = [], []
    for index in range(last + 1):
        patched = index < last and channels[index] == 1
        if index < last:
            sizes = (channels[index], channels[index + 1], units[index + 1])
            hidden_rows.append(_build_hidden_rows(activations[index], sizes, tails[index + 1], workspace, index + 1))
        if patched:
            sizes = (units[index], channels[index + 1], units[index + 1])
            layers.append(_build_patched_layer(activations[index], sizes, tails[index + 1], workspace, index + 1))
        else:
            layers.append(_build_whole_layer(channels[index], units[index], tails[index], workspace))
    return NetworkKernels(
        cells=[_build_cells(activation.cell) for activation in activations],
        hidden_rows=hidden_rows,
        output_rows=_build_output_rows(activations[last], channels[last], units[last], loss, outputs),
        layers=layers,
    )


def _build_cells(cell: Any) -> Any:
    @njit
    def cells(values):
        """Interval (low, high) of constant output around each value; arrays of the shape of `values`."""
        low = np.empty_like(values)
        high = np.empty_like(values)
        for i in range(values.shape[0]):
            for j in range(values.shape[1]):
                low[i, j], high[i, j] = cell(values[i, j])
        return low, high

    return cells


def _build_workspace(channels: list[int], units: list[int]) -> Any:
    """Scratch memory of one candidate: for every layer its pre-activation and its signal."""
    in_size, out_size = channels[len(units) - 1] * units[-1], channels[len(units)] * units[-1]
    if len(units) == 1:

        @njit
        def workspace():
            return ((np.empty(in_size, np.float32), np.empty(out_size, np.float32)),)
    else:
        head = _build_workspace(channels[:-1], units[:-1])

        @njit
        def workspace():
            return (*head(), (np.empty(in_size, np.float32), np.empty(out_size, np.float32)))

    return workspace


def _build_tail(
    index: int, activations: list[Any], channels: list[int], units: list[int], loss: Any, outputs: int, next_tail: Any
) -> Any:
    """tail(pre, target, weights, work): loss of one sample from the pre-activation of layer `index`, which it may change."""
    activate = activations[index].activate
    width, post_channels = units[index], channels[index + 1]
    if next_tail is None:

        @njit
        def tail(pre, target, weights, work):
            logits = work[index][1]
            activate(pre, logits, width)
            return loss(logits, outputs, target)
    else:
        # numba indexes tuples by constants only
        following_index, weight_slot, bias_slot = index + 1, 2 * index + 2, 2 * index + 3
        following_width = units[following_index]

        @njit
        def tail(pre, target, weights, work):
            signal, following = work[index][1], work[following_index][0]
            activate(pre, signal, width)
            weight, bias = weights[weight_slot], weights[bias_slot]
            for channel in range(post_channels):
                for output in range(following_width):
                    following[channel * following_width + output] = bias[output]
                for unit in range(weight.shape[0]):
                    value = signal[channel * width + unit]
                    if value != 0:
                        for output in range(following_width):
                            following[channel * following_width + output] += value * weight[unit, output]
            return next_tail(following, target, weights, work)

    return tail


def _build_patch(activation: Any, post_channels: int, width: int) -> Any:
    """patch(before, after, signals, column, following): following += change of one unit's signal x its weights."""
    activate = activation.activate

    @njit
    def patch(before, after, signals, column, following):
        old, new = signals
        activate(before, old, 1)
        activate(after, new, 1)
        changed = False
        for channel in range(post_channels):
            difference = new[channel] - old[channel]
            if difference != 0:
                changed = True
                for output in range(width):
                    following[channel * width + output] += difference * column[output]
        return changed

    return patch


def _build_move(channels: int) -> Any:
    """move(...): the row's pre-activations (C, B) after a step along a particle's directions."""

    @njit
    def move(row, offset, first, projected):
        moved = row.copy()
        for k in range(len(offset)):
            step, direction = offset[k], projected[first + k]
            for channel in range(channels):
                for b in range(row.shape[1]):
                    moved[channel, b] += step * direction[channel, b]
        return moved

    return move


def _build_hidden_rows(
    activation: Any, sizes: tuple[int, int, int], tail: Any, workspace: Any, following_index: int
) -> Any:
    """Losses of candidates that move one row of a layer that is not the last.

    z (U, C, B); projected (rank, C, B); low, high (U, B): where one-channel units keep their output; following (B, C' U')
    pre-activation of the next layer.
    """
    in_channels, post_channels, width = sizes
    patch, move = _build_patch(activation, post_channels, width), _build_move(in_channels)
    one_channel, weight_slot, following_size = in_channels == 1, 2 * following_index, post_channels * width

    @njit(parallel=True)
    def hidden_rows(row, block, offset, z, projected, low, high, following, weights, targets, base_losses):
        samples, dimension = len(targets), offset.shape[1]
        base = base_losses.mean()
        losses = np.empty(len(row), np.float32)
        for n in prange(len(row)):
            unit = row[n]
            moved = move(z[unit], offset[n], block[n] * dimension, projected)
            maybe = np.empty(samples, np.int32)
            count = 0
            for b in range(samples):
                maybe[count] = b
                if one_channel:
                    count += not ((low[unit, b] <= moved[0, b]) & (moved[0, b] < high[unit, b]))
                else:
                    count += 1
            work = workspace()
            patched = work[following_index][0]
            before, after = np.empty(in_channels, np.float32), np.empty(in_channels, np.float32)
            signals = (np.empty(post_channels, np.float32), np.empty(post_channels, np.float32))
            column = weights[weight_slot][unit]
            total = 0.0
            for i in range(count):
                b = maybe[i]
                for channel in range(in_channels):
                    before[channel] = z[unit, channel, b]
                    after[channel] = moved[channel, b]
                for k in range(following_size):
                    patched[k] = following[b, k]
                if patch(before, after, signals, column, patched):
                    total += tail(patched, targets[b], weights, work) - base_losses[b]
            losses[n] = base + total / samples
        return losses

    return hidden_rows


def _build_output_rows(activation: Any, in_channels: int, units: int, loss: Any, outputs: int) -> Any:
    """Losses of candidates that move one row of the last layer; z (U, C, B), projected (rank, C, B), logits (B, U)."""
    activate = activation.activate
    move = _build_move(in_channels)

    @njit(parallel=True)
    def output_rows(row, block, offset, z, projected, logits, targets, base_losses):
        samples, dimension = len(targets), offset.shape[1]
        base = base_losses.mean()
        losses = np.empty(len(row), np.float32)
        for n in prange(len(row)):
            unit = row[n]
            moved = move(z[unit], offset[n], block[n] * dimension, projected)
            pre, post = np.empty(in_channels, np.float32), np.empty(1, np.float32)
            patched = np.empty(units, np.float32)
            total = 0.0
            for b in range(samples):
                for channel in range(in_channels):
                    pre[channel] = moved[channel, b]
                activate(pre, post, 1)
                if post[0] != logits[b, unit]:
                    for output in range(units):
                        patched[output] = logits[b, output]
                    patched[unit] = post[0]
                    total += loss(patched, outputs, targets[b]) - base_losses[b]
            losses[n] = base + total / samples
        return losses

    return output_rows


def _build_images(channels: int, units: int) -> Any:
    """images(...): how one sample's pre-activation answers to each coordinate of a particle, flat (d, C, U)."""

    @njit
    def images(particle, columns, signal, image):
        runs, run_input, run_start, slot, value = columns
        image[:] = 0
        for run in range(runs[particle], runs[particle + 1]):
            for channel in range(channels):
                level = signal[channel, run_input[run]]
                if level != 0:
                    for entry in range(run_start[run], run_start[run + 1]):
                        # slot = coordinate x channels x units + unit
                        image[slot[entry] + channel * units] += level * value[entry]

    return images


def _build_whole_layer(channels: int, units: int, tail: Any, workspace: Any) -> Any:
    """Losses of candidates that move one layer anyhow: every sample is computed again from that layer on.

    particle (R,) and first (R + 1,): candidates first[r] .. first[r+1] move particle r. z (B, C U).
    """
    images = _build_images(channels, units)
    size = channels * units

    @njit(parallel=True)
    def layer(particle, first, offset, columns, signal, z, low, high, following, weights, targets, base_losses):
        samples, dimension = len(targets), offset.shape[1]
        losses = np.empty(len(offset), np.float32)
        for r in prange(len(particle)):
            work = workspace()
            image, moved = np.empty(dimension * size, np.float32), np.empty(size, np.float32)
            totals = np.zeros(first[r + 1] - first[r])
            for b in range(samples):
                images(particle[r], columns, signal[b], image)
                for v in range(len(totals)):
                    for i in range(size):
                        moved[i] = z[b, i]
                    for k in range(dimension):
                        step = offset[first[r] + v, k]
                        for i in range(size):
                            moved[i] += step * image[k * size + i]
                    totals[v] += tail(moved, targets[b], weights, work)
            for v in range(len(totals)):
                losses[first[r] + v] = totals[v] / samples
        return losses

    return layer


def _build_patched_layer(
    activation: Any, sizes: tuple[int, int, int], tail: Any, workspace: Any, following_index: int
) -> Any:
    """As the whole-layer kernel, for one-channel layers before the last: only units that leave their cell are patched."""
    units, post_channels, width = sizes
    images = _build_images(1, units)
    patch = _build_patch(activation, post_channels, width)
    weight_slot, following_size = 2 * following_index, post_channels * width

    @njit(parallel=True)
    def layer(particle, first, offset, columns, signal, z, low, high, following, weights, targets, base_losses):
        samples, dimension = len(targets), offset.shape[1]
        base = base_losses.mean()
        losses = np.empty(len(offset), np.float32)
        for r in prange(len(particle)):
            work = workspace()
            patched = work[following_index][0]
            weight = weights[weight_slot]
            image, moved = np.empty(dimension * units, np.float32), np.empty(units, np.float32)
            maybe = np.empty(units, np.int32)
            before, after = np.empty(1, np.float32), np.empty(1, np.float32)
            signals = (np.empty(post_channels, np.float32), np.empty(post_channels, np.float32))
            totals = np.zeros(first[r + 1] - first[r])
            for b in range(samples):
                images(particle[r], columns, signal[b], image)
                for v in range(len(totals)):
                    for unit in range(units):
                        moved[unit] = z[b, unit]
                    for k in range(dimension):
                        step = offset[first[r] + v, k]
                        for unit in range(units):
                            moved[unit] += step * image[k * units + unit]
                    count = 0
                    # padded units have no weights
                    for unit in range(weight.shape[0]):
                        maybe[count] = unit
                        count += not ((low[b, unit] <= moved[unit]) & (moved[unit] < high[b, unit]))
                    if count == 0:
                        continue
                    for k in range(following_size):
                        patched[k] = following[b, k]
                    changed = False
                    for i in range(count):
                        unit = maybe[i]
                        before[0], after[0] = z[b, unit], moved[unit]
                        changed |= patch(before, after, signals, weight[unit], patched)
                    if changed:
                        totals[v] += tail(patched, targets[b], weights, work) - base_losses[b]
            for v in range(len(totals)):
                losses[first[r] + v] = base + totals[v] / samples
        return losses

    return layer
