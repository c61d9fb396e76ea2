"""The numba loops of the fused path, built for one network from its activations and its loss.

Sizes are closed over as constants and signals are flat (channel c of unit u at c x units + u), so that the compiler knows
all distances and vectorises the loops over units: this made the output layer of the spiking network 13 times faster.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit, prange

from polystep.evaluation.layer_kernels import (
    build_patched_layer,
    build_states,
    build_whole_layer,
    build_whole_network,
)
from polystep.evaluation.layered import LayeredNetwork
from polystep.evaluation.passages import Passage, build_passage, build_patch


@dataclass(frozen=True)
class NetworkKernels:
    """What moves one row, one layer or everything. hidden_rows, patched_layers and states: one kernel per layer but the last
    (None where a layer has several channels, so that it is computed again as a whole); whole_layers: one per layer.
    """

    cells: list[Any]
    hidden_rows: list[Any]
    output_rows: Any
    states: list[Any]
    patched_layers: list[Any]
    whole_layers: list[Any]
    whole_network: Any


def build_kernels(network: LayeredNetwork, units: list[int], outputs: int) -> NetworkKernels:
    """Kernels for a network whose layers have `units` units (padded) and `outputs` logits."""
    activations = [layer.activation.compiled() for layer in network.layers]
    channels = [1, *(layer.activation.channels for layer in network.layers)]
    loss = network.loss.compiled()
    last = len(network.layers) - 1
    passages = [build_passage(activations[i], channels[i + 1], units[i], units[i + 1]) for i in range(last)]
    scratch = [passage.scratch_size for passage in passages] + [channels[-1] * units[-1]]
    workspace = _build_workspace([c * u for c, u in zip(channels[:-1], units, strict=True)], scratch)
    tail = None
    tails: list[Any] = [None] * (last + 1)
    for index in range(last, -1, -1):
        following = None if index == last else passages[index]
        tail = _build_tail(index, activations[index], units[index], loss, outputs, following, tail)
        tails[index] = tail
    hidden_rows, states, patched_layers = [], [], []
    for index, passage in enumerate(passages):
        sizes = (channels[index], channels[index + 1], units[index + 1])
        hidden_rows.append(_build_hidden_rows(activations[index], sizes, tails[index + 1], workspace, index + 1))
        if channels[index] == 1:
            states.append(build_states(passage, units[index + 1], index))
            patched = build_patched_layer(units[index], passage, sizes[1:], tails[index + 1], workspace, index + 1)
            patched_layers.append(patched)
        else:
            states.append(None)
            patched_layers.append(None)
    return NetworkKernels(
        cells=[_build_cells(activation.cell) for activation in activations],
        hidden_rows=hidden_rows,
        output_rows=_build_output_rows(activations[last], channels[last], units[last], loss, outputs),
        states=states,
        patched_layers=patched_layers,
        whole_layers=[build_whole_layer(channels[i], units[i], tails[i], workspace) for i in range(last + 1)],
        whole_network=build_whole_network(units[0], last, tails[0], workspace),
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


def _build_workspace(pre_sizes: list[int], scratch_sizes: list[int]) -> Any:
    """Scratch memory of one candidate: for every layer its pre-activation and what carrying it on needs."""
    pre_size, scratch_size = pre_sizes[-1], scratch_sizes[-1]
    if len(scratch_sizes) == 1:

        @njit
        def workspace():
            return ((np.empty(pre_size, np.float32), np.empty(scratch_size, np.float32)),)
    else:
        head = _build_workspace(pre_sizes[:-1], scratch_sizes[:-1])

        @njit
        def workspace():
            return (*head(), (np.empty(pre_size, np.float32), np.empty(scratch_size, np.float32)))

    return workspace


def _build_tail(
    index: int, activation: Any, width: int, loss: Any, outputs: int, passage: Passage | None, next_tail: Any
) -> Any:
    """tail(pre, target, weights, work): loss of one sample from the pre-activation of layer `index`, which it may change."""
    if passage is None:
        activate = activation.activate

        @njit
        def tail(pre, target, weights, work):
            logits = work[index][1]
            activate(pre, logits, width)
            return loss(logits, outputs, target)
    else:
        # numba indexes tuples by constants only
        following_index, weight_slot, bias_slot = index + 1, 2 * index + 2, 2 * index + 3
        advance = passage.advance

        @njit
        def tail(pre, target, weights, work):
            following = work[following_index][0]
            advance(pre, weights[weight_slot], weights[bias_slot], work[index][1], following)
            return next_tail(following, target, weights, work)

    return tail


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
    patch, move = build_patch(activation.activate, post_channels, width), _build_move(in_channels)
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
