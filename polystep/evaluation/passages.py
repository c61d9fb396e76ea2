"""Passages: numba functions that carry a signal through an activation and the weights after it, whole or changed in one unit.

A passage keeps a state per sample that a change of one unit patches. Most activations need the next pre-activation itself
as that state. Where an activation has few outputs (its `table`), the state is the sum of weight rows per output, so a patch
moves one weight row from one sum to another, however many channels the output has.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit

from polystep.evaluation.layered import CompiledActivation


@dataclass(frozen=True)
class Passage:
    """advance(pre, weight, bias, scratch, following): next pre-activation, flat (C, U), of one sample.

    For several samples side by side, each on U columns: begin(pre, weight, bias, scratch, state, first) fills the state
    (state_rows, columns) of the sample whose columns start at `first`; patch(before, after, scratch, weight, unit, state,
    first) changes one unit's pre-activation from one number to another, False: nothing changed; finish(state, bias,
    following) gives the next pre-activations (C, columns) of all of them, with the bias repeated for each.

    weight (inputs, U) and bias (U,) are those of the next layer. Whole arrays and indices are passed because views cost
    more than the arithmetic.
    """

    advance: Any
    begin: Any
    patch: Any
    finish: Any
    scratch_size: int
    state_rows: int


def build_passage(activation: CompiledActivation, channels: int, units: int, width: int) -> Passage:
    """From a layer of `units` units and `channels` output channels to one of `width` units (both padded)."""
    if activation.table is None:
        return _build_direct(activation, channels, units, width)
    return _build_tabulated(activation, activation.table, width)


def build_patch(activate: Any, channels: int, width: int) -> Any:
    """patch(before, after, signals, column, following): following += change of one unit's signal x its weights."""

    @njit
    def patch(before, after, signals, column, following):
        old, new = signals
        activate(before, old, 1)
        activate(after, new, 1)
        changed = False
        for channel in range(channels):
            difference = new[channel] - old[channel]
            if difference != 0:
                changed = True
                for output in range(width):
                    following[channel * width + output] += difference * column[output]
        return changed

    return patch


def _build_direct(activation: CompiledActivation, channels: int, units: int, width: int) -> Passage:
    activate = activation.activate

    @njit
    def begin(pre, weight, bias, scratch, state, first):
        activate(pre, scratch, units)
        for channel in range(channels):
            for output in range(width):
                state[channel, first + output] = bias[output]
            for unit in range(weight.shape[0]):
                value = scratch[channel * units + unit]
                if value != 0:
                    for output in range(width):
                        state[channel, first + output] += value * weight[unit, output]

    @njit
    def advance(pre, weight, bias, scratch, following):
        begin(pre, weight, bias, scratch, following.reshape(channels, width), 0)

    @njit
    def patch(before, after, scratch, weight, unit, state, first):
        scratch[0] = before
        activate(scratch[0:1], scratch[1 : 1 + channels], 1)
        scratch[1 + channels] = after
        activate(scratch[1 + channels : 2 + channels], scratch[2 + channels : 2 + 2 * channels], 1)
        changed = False
        for channel in range(channels):
            difference = scratch[2 + channels + channel] - scratch[1 + channel]
            if difference != 0:
                changed = True
                for output in range(width):
                    state[channel, first + output] += difference * weight[unit, output]
        return changed

    @njit
    def finish(state, bias, following):
        following[:] = state

    return Passage(advance, begin, patch, finish, max(channels * units, 2 + 2 * channels), channels)


def _build_tabulated(activation: CompiledActivation, table: Any, width: int) -> Passage:
    row_of, (rows, channels) = activation.row, table.shape
    # the entries of the table that are not zero, by channel
    entry_row = np.concatenate([np.flatnonzero(table[:, channel]) for channel in range(channels)])
    entry_start = np.concatenate([[0], np.count_nonzero(table, axis=0).cumsum()])
    entry_value = np.concatenate([table[table[:, channel] != 0, channel] for channel in range(channels)])

    @njit
    def begin(pre, weight, bias, scratch, state, first):
        for row in range(rows):
            for output in range(width):
                state[row, first + output] = 0
        for unit in range(weight.shape[0]):
            row = row_of(pre[unit])
            for output in range(width):
                state[row, first + output] += weight[unit, output]

    @njit
    def patch(before, after, scratch, weight, unit, state, first):
        old, new = row_of(before), row_of(after)
        if old == new:
            return False
        for output in range(width):
            state[old, first + output] -= weight[unit, output]
        for output in range(width):
            state[new, first + output] += weight[unit, output]
        return True

    @njit
    def finish(state, bias, following):
        for channel in range(channels):
            for column in range(len(bias)):
                following[channel, column] = bias[column]
            for entry in range(entry_start[channel], entry_start[channel + 1]):
                row, value = entry_row[entry], entry_value[entry]
                for column in range(len(bias)):
                    following[channel, column] += value * state[row, column]

    @njit
    def advance(pre, weight, bias, scratch, following):
        state = scratch.reshape(rows, width)
        begin(pre, weight, bias, scratch, state, 0)
        finish(state, bias, following.reshape(channels, width))

    return Passage(advance, begin, patch, finish, rows * width, rows)
