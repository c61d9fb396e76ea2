"""The numba loops of the fused path, built for one network from its activations and its loss.

Sizes are closed over as constants and signals are flat, LANES samples side by side (channel c of unit u at c x units + u), so
that the compiler knows all distances and every inner loop is a vector operation.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit

from polystep.evaluation.carriages import build_plain_carriage, build_straight_carriage
from polystep.evaluation.kernels import LANES, relu
from polystep.evaluation.layer_kernels import (
    build_patched_layer,
    build_sparse_layer,
    build_states,
    build_whole_layer,
    build_whole_network,
)
from polystep.evaluation.layered import LayeredNetwork
from polystep.evaluation.passages import TabulatedPassage, build_passage
from polystep.evaluation.row_kernels import build_hidden_rows, build_output_rows


@dataclass(frozen=True)
class NetworkKernels:
    """What moves one row, one layer or everything. whole_layers: one kernel per layer; hidden_rows: per layer but the last;
    sparse_layers: None where a layer has several channels; states and patched_layers: None unless tabulated.
    """

    cells: list[Any]
    hidden_rows: list[Any]
    output_rows: Any
    states: list[Any]
    patched_layers: list[Any]
    sparse_layers: list[Any]
    whole_layers: list[Any]
    whole_network: Any


def build_kernels(network: LayeredNetwork, units: list[int], padded: list[int]) -> NetworkKernels:
    """Kernels for a network whose layers have `units` units, `padded` with padding."""
    activations = [layer.activation.compiled() for layer in network.layers]
    channels = [1, *(layer.activation.channels for layer in network.layers)]
    loss, outputs, last = network.loss.compiled(units[-1]), units[-1], len(network.layers) - 1
    passages = [
        build_passage(activations[i], channels[i + 1], units[i], units[i + 1], padded[i + 1]) for i in range(last)
    ]
    tails = [_build_last_tail(last, activations[last].activate, loss, outputs)]
    for index in range(last - 1, -1, -1):
        tails.insert(0, _build_tail(index, passages[index].advance, tails[0]))
    carriages = []
    for index in range(1, last + 1):
        if index < last and channels[index] == 1 and activations[index].activate is relu:
            carriage = build_straight_carriage(
                units[index], units[index + 1], padded[index + 1], index, tails[index + 1]
            )
        else:
            carriage = build_plain_carriage(channels[index], units[index], index, tails[index])
        carriages.append(carriage)
    pre_sizes = [c * u * LANES for c, u in zip(channels[:-1], units, strict=True)]
    # the last layer needs its logits and as much for the loss
    scratch_sizes = [*(passage.scratch_size for passage in passages), 2 * outputs * LANES]
    for index, carriage in enumerate(carriages, start=1):
        scratch_sizes[index] = max(scratch_sizes[index], carriage.scratch_size)
    workspace = _build_workspace(pre_sizes, scratch_sizes)
    states: list[Any] = [None] * (last + 1)
    patched_layers, sparse_layers = list(states), list(states)
    for index in range(last + 1):
        passage = passages[index] if index < last else None
        if channels[index] == 1 and isinstance(passage, TabulatedPassage):
            columns = LANES * padded[index + 1]
            states[index] = build_states(passage, units[index], columns)
            patched_layers[index] = build_patched_layer(
                units[index], columns, passage, tails[index + 1], workspace, index + 1
            )
        elif channels[index] == 1:
            sparse_layers[index] = build_sparse_layer(units[index], tails[index], workspace)
    return NetworkKernels(
        cells=[_build_cells(activation.cell) for activation in activations],
        hidden_rows=[
            build_hidden_rows(activations[i].activate, (channels[i], channels[i + 1]), carriages[i], workspace, i + 1)
            for i in range(last)
        ],
        output_rows=build_output_rows(activations[last].activate, channels[last], outputs, loss),
        states=states,
        patched_layers=patched_layers,
        sparse_layers=sparse_layers,
        whole_layers=[build_whole_layer(channels[i], units[i], tails[i], workspace) for i in range(last + 1)],
        whole_network=build_whole_network(units[0], last, tails[0], workspace),
    )


def _build_cells(cell: Any) -> Any:
    @njit
    def cells(z):
        """Interval (low, high) of constant output around each value of z (U, 1, B): two arrays (U, B)."""
        low, high = np.empty((z.shape[0], z.shape[2]), np.float32), np.empty((z.shape[0], z.shape[2]), np.float32)
        for unit in range(z.shape[0]):
            for b in range(z.shape[2]):
                low[unit, b], high[unit, b] = cell(z[unit, 0, b])
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


def _build_last_tail(index: int, activate: Any, loss: Any, outputs: int) -> Any:
    """tail(pre, targets, weights, work, found): losses (LANES,) from the pre-activation of layer `index`."""
    size = outputs * LANES

    @njit
    def tail(pre, targets, weights, work, found):
        scratch = work[index][1]
        logits = scratch[:size]
        activate(pre, logits, size)
        loss(logits, targets, scratch[size:], found)

    return tail


def _build_tail(index: int, advance: Any, next_tail: Any) -> Any:
    # numba indexes tuples by constants only
    following_index, weight_slot, bias_slot = index + 1, 2 * index + 2, 2 * index + 3

    @njit
    def tail(pre, targets, weights, work, found):
        following = work[following_index][0]
        advance(pre, weights[weight_slot], weights[bias_slot], work[index][1], following)
        next_tail(following, targets, weights, work, found)

    return tail
