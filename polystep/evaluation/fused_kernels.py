"""The numba loops of the fused path, built for one network from its activations and its loss.

Sizes are closed over as constants, so that the compiler unrolls and vectorises the loops over units.
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
    shapes = tuple((channels[i], channels[i + 1], units[i]) for i in range(len(units)))
    if len(shapes) == 1:
        (in0, out0, u0), = shapes

        @njit
        def workspace():
            return ((np.empty((in0, u0), np.float32), np.empty((out0, u0), np.float32)),)
    else:
        head = _build_workspace(channels[:-1], units[:-1])
        last_in, last_out, last_units = shapes[-1]

        @njit
        def workspace():
            return (*head(), (np.empty((last_in, last_units), np.float32), np.empty((last_out, last_units), np.float32)))

    return workspace


def _build_tail(index: int, activations: list[Any], channels: list[int], units: list[int], loss: Any, outputs: int,
                following_tail: Any) -> Any:
    """tail(pre, target, weights, work): loss of one sample from the pre-activation (C, U) of layer `index`."""
    activate = activations[index].activate
    width, post_channels = units[index], channels[index + 1]
    if following_tail is None:

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
                    following[channel, output] = bias[output]
                for unit in range(weight.shape[0]):
                    value = signal[channel, unit]
                    if value != 0:
                        for output in range(following_width):
                            following[channel, output] += value * weight[unit, output]
            return following_tail(following, target, weights, work)

    return tail


def _build_patch(activation: Any, sizes: tuple[int, int, int]) -> Any:
    """patch(before, after, signals, column, following): following += change of one unit's signal x its weights."""
    activate = activation.activate
    _, post_channels, width = sizes

    @njit
    def patch(before, after, signals, column, following):
        old, new = signals
        activate(before, old, 1)
        activate(after, new, 1)
        changed = False
        for channel in range(post_channels):
            difference = new[channel, 0] - old[channel, 0]
            if difference != 0:
                changed = True
                for output in range(width):
                    following[channel, output] += difference * column[output]
        return changed

    return patch


def _build_hidden_rows(activation: Any, sizes: tuple[int, int, int], tail: Any, workspace: Any, following_index: int) -> Any:
    """Losses of candidates that move one row of a layer that is not the last.

    z (U, C, B); projected (rank, C, B); low, high (U, B): where one-channel units keep their output; following (B, C', U')
    pre-activation of the next layer.
    """
    in_channels, post_channels, width = sizes
    patch = _build_patch(activation, sizes)
    one_channel, weight_slot = in_channels == 1, 2 * following_index

    @njit(parallel=True)
    def hidden_rows(row, block, offset, z, projected, low, high, following, weights, targets, base_losses):
        samples, dimension = len(targets), offset.shape[1]
        base = base_losses.mean()
        losses = np.empty(len(row), np.float32)
        for n in prange(len(row)):
            unit = row[n]
            moved = z[unit].copy()
            for k in range(dimension):
                step, direction = offset[n, k], projected[block[n] * dimension + k]
                for channel in range(in_channels):
                    for b in range(samples):
                        moved[channel, b] += step * direction[channel, b]
            maybe = np.empty(samples, np.int32)
            count = 0
            for b in range(samples):
                maybe[count] = b
                if one_channel:
                    count += not (low[unit, b] <= moved[0, b] < high[unit, b])
                else:
                    count += 1
            work = workspace()
            before, after = np.empty((in_channels, 1), np.float32), np.empty((in_channels, 1), np.float32)
            signals = (np.empty((post_channels, 1), np.float32), np.empty((post_channels, 1), np.float32))
            column = weights[weight_slot][unit]
            total = 0.0
            patched = work[following_index][0]
            for i in range(count):
                b = maybe[i]
                for channel in range(in_channels):
                    before[channel, 0] = z[unit, channel, b]
                    after[channel, 0] = moved[channel, b]
                for channel in range(post_channels):
                    for output in range(width):
                        patched[channel, output] = following[b, channel, output]
                if patch(before, after, signals, column, patched):
                    total += tail(patched, targets[b], weights, work) - base_losses[b]
            losses[n] = base + total / samples
        return losses

    return hidden_rows


def _build_output_rows(activation: Any, in_channels: int, units: int, loss: Any, outputs: int) -> Any:
    """Losses of candidates that move one row of the last layer; z (U, C, B), projected (rank, C, B), logits (B, U)."""
    activate = activation.activate

    @njit(parallel=True)
    def output_rows(row, block, offset, z, projected, logits, targets, base_losses):
        samples, dimension = len(targets), offset.shape[1]
        base = base_losses.mean()
        losses = np.empty(len(row), np.float32)
        for n in prange(len(row)):
            unit = row[n]
            moved = z[unit].copy()
            for k in range(dimension):
                step, direction = offset[n, k], projected[block[n] * dimension + k]
                for channel in range(in_channels):
                    for b in range(samples):
                        moved[channel, b] += step * direction[channel, b]
            pre, post = np.empty((in_channels, 1), np.float32), np.empty((1, 1), np.float32)
            patched = np.empty((1, units), np.float32)
            total = 0.0
            for b in range(samples):
                for channel in range(in_channels):
                    pre[channel, 0] = moved[channel, b]
                activate(pre, post, 1)
                if post[0, 0] != logits[b, unit]:
                    for output in range(units):
                        patched[0, output] = logits[b, output]
                    patched[0, unit] = post[0, 0]
                    total += loss(patched, outputs, targets[b]) - base_losses[b]
            losses[n] = base + total / samples
        return losses

    return output_rows


def _build_images(channels: int, units: int) -> Any:
    """images(...): how one sample's pre-activation (C, U) answers to each coordinate of a particle, (d, C, U)."""

    @njit
    def images(particle, columns, signal, image):
        runs, run_input, run_start, slot, value = columns
        image[:] = 0
        flat = image.reshape((image.shape[0] * channels * units,))
        for run in range(runs[particle], runs[particle + 1]):
            for channel in range(channels):
                level = signal[channel, run_input[run]]
                if level != 0:
                    for entry in range(run_start[run], run_start[run + 1]):
                        # slot = coordinate x channels x units + unit
                        flat[slot[entry] + channel * units] += level * value[entry]

    return images


def _build_whole_layer(channels: int, units: int, tail: Any, workspace: Any) -> Any:
    """Losses of candidates that move one layer anyhow: every sample is computed again from that layer on.

    particle (R,) and first (R + 1,): candidates first[r] .. first[r+1] move particle r. z (B, C, U).
    """
    images = _build_images(channels, units)

    @njit(parallel=True)
    def layer(particle, first, offset, columns, signal, z, low, high, following, weights, targets, base_losses):
        samples, dimension = len(targets), offset.shape[1]
        losses = np.empty(len(offset), np.float32)
        for r in prange(len(particle)):
            work = workspace()
            image = np.empty((dimension, channels, units), np.float32)
            moved = np.empty((channels, units), np.float32)
            totals = np.zeros(first[r + 1] - first[r])
            for b in range(samples):
                images(particle[r], columns, signal[b], image)
                for v in range(len(totals)):
                    for channel in range(channels):
                        for unit in range(units):
                            moved[channel, unit] = z[b, channel, unit]
                        for k in range(dimension):
                            step = offset[first[r] + v, k]
                            for unit in range(units):
                                moved[channel, unit] += step * image[k, channel, unit]
                    totals[v] += tail(moved, targets[b], weights, work)
            for v in range(len(totals)):
                losses[first[r] + v] = totals[v] / samples
        return losses

    return layer


def _build_patched_layer(activation: Any, sizes: tuple[int, int, int], tail: Any, workspace: Any,
                         following_index: int) -> Any:
    """As the whole-layer kernel, for one-channel layers before the last: only units that leave their cell are patched."""
    units, post_channels, width = sizes
    weight_slot = 2 * following_index
    images = _build_images(1, units)
    patch = _build_patch(activation, sizes)

    @njit(parallel=True)
    def layer(particle, first, offset, columns, signal, z, low, high, following, weights, targets, base_losses):
        samples, dimension = len(targets), offset.shape[1]
        base = base_losses.mean()
        losses = np.empty(len(offset), np.float32)
        for r in prange(len(particle)):
            work = workspace()
            patched = work[following_index][0]
            weight = weights[weight_slot]
            image = np.empty((dimension, 1, units), np.float32)
            moved = np.empty(units, np.float32)
            maybe = np.empty(units, np.int32)
            before, after = np.empty((1, 1), np.float32), np.empty((1, 1), np.float32)
            signals = (np.empty((post_channels, 1), np.float32), np.empty((post_channels, 1), np.float32))
            totals = np.zeros(first[r + 1] - first[r])
            for b in range(samples):
                images(particle[r], columns, signal[b], image)
                for v in range(len(totals)):
                    for unit in range(units):
                        moved[unit] = z[b, 0, unit]
                    for k in range(dimension):
                        step = offset[first[r] + v, k]
                        for unit in range(units):
                            moved[unit] += step * image[k, 0, unit]
                    count = 0
                    for unit in range(units):
                        maybe[count] = unit
                        count += not (low[b, unit] <= moved[unit] < high[b, unit])
                    if count == 0:
                        continue
                    for channel in range(post_channels):
                        for output in range(width):
                            patched[channel, output] = following[b, channel, output]
                    changed = False
                    for i in range(count):
                        unit = maybe[i]
                        # padded units have no weights
                        if unit < weight.shape[0]:
                            before[0, 0], after[0, 0] = z[b, 0, unit], moved[unit]
                            changed |= patch(before, after, signals, weight[unit], patched)
                    if changed:
                        totals[v] += tail(patched, targets[b], weights, work) - base_losses[b]
            for v in range(len(totals)):
                losses[first[r] + v] = base + totals[v] / samples
        return losses

    return layer
