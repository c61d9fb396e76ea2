"""The numba loops for candidates that move one row of one layer of a convolutional network, so that one map changes.

Changes are carried from layer to layer: a layer's pre-activation is that of the base point plus what the changes of its input
add, and what did not change is skipped. To the kernel every layer is a convolution: a linear one has a window as large as the
whole map, and what it gives is one map of as many positions as it has units.

Kernels are compiled for the activations and the loss alone; sizes are data (`plan`). Signals are flat and in blocks of LANES
samples side by side: lane l of position p of map m is at (m positions + p) LANES + l. Maps are passed as views that start with
them: where an index may be negative, as far as the compiler knows, loops are not vectorised.
"""

from typing import Any

import numpy as np
from numba import prange

from polystep.evaluation.convolution.map_kernels import NEVER_NEGATIVE, build_operate
from polystep.evaluation.jit import njit, njit_inner
from polystep.evaluation.kernels import LANES

TILE = 4
"""Numbers of a window and units that one pass of the inner loop takes; weights are padded to multiples of it."""


@njit_inner
def spread(layer, change, touched, channels, first, weights, padded, window, added):
    """Fill `added` (positions, padded units, LANES) with what the changes of `channels` maps, from input map `first` on, add to
    the pre-activation of a layer. Scratch memory: padded, zero around the map, and window, longer than needed by a TILE.
    """
    rows, columns, taps, units = layer.rows, layer.columns, layer.taps, layer.padded_units
    row_length, height = (layer.width + 2 * layer.beside) * LANES, layer.height
    end = layer.down * row_length
    added[: rows * columns * units * LANES] = 0
    padded[: (height + 2 * layer.above) * row_length] = 0
    window[end : end + TILE * LANES] = 0
    for channel in range(channels):
        if touched[channel]:
            length = layer.width * LANES
            for row in range(height):
                inside = padded[(layer.above + row) * row_length + layer.beside * LANES :]
                own = change[(channel * height + row) * length :]
                for i in range(length):
                    inside[i] = own[i]
            start = layer.weight + (first + channel) * taps * units
            weight = weights[start : start + taps * units].reshape(taps, units)
            for row in range(rows):
                stand(padded[row * layer.step_down * row_length :], row_length, layer.down, window)
                for column in range(columns):
                    own = window[column * layer.step_across * layer.down * LANES :]
                    add(own, weight, added[(row * columns + column) * units * LANES :])


@njit_inner
def stand(strip, row_length, down, window):
    """Copy `down` rows of a map column by column, so that every window is one stretch of memory."""
    for y in range(down):
        row = strip[y * row_length : (y + 1) * row_length]
        for x in range(row_length // LANES):
            place = ((x * down + y) * LANES) & NEVER_NEGATIVE
            for lane in range(LANES):
                window[place + lane] = row[x * LANES + lane]


@njit_inner(fastmath={"contract"})
def add(window, weight, added):
    """added[o LANES + lane] += sum_t weight[t, o] window[t LANES + lane]."""
    # four numbers of the window and four units at once, so that a number that is loaded serves four sums
    for t in range(0, weight.shape[0], TILE):
        found, here = False, (t * LANES) & NEVER_NEGATIVE
        for i in range(TILE * LANES):
            found |= window[here + i] != 0
        if found:
            for o in range(0, weight.shape[1], TILE):
                a0, a1, a2, a3 = weight[t, o], weight[t, o + 1], weight[t, o + 2], weight[t, o + 3]
                b0, b1, b2, b3 = weight[t + 1, o], weight[t + 1, o + 1], weight[t + 1, o + 2], weight[t + 1, o + 3]
                c0, c1, c2, c3 = weight[t + 2, o], weight[t + 2, o + 1], weight[t + 2, o + 2], weight[t + 2, o + 3]
                d0, d1, d2, d3 = weight[t + 3, o], weight[t + 3, o + 1], weight[t + 3, o + 2], weight[t + 3, o + 3]
                there = (o * LANES) & NEVER_NEGATIVE
                for lane in range(LANES):
                    a, b = window[here + lane], window[here + LANES + lane]
                    c, d = window[here + 2 * LANES + lane], window[here + 3 * LANES + lane]
                    sum0 = added[there + lane] + a0 * a + b0 * b + c0 * c + d0 * d
                    sum1 = added[there + LANES + lane] + a1 * a + b1 * b + c1 * c + d1 * d
                    sum2 = added[there + 2 * LANES + lane] + a2 * a + b2 * b + c2 * c + d2 * d
                    sum3 = added[there + 3 * LANES + lane] + a3 * a + b3 * b + c3 * c + d3 * d
                    added[there + lane] = sum0
                    added[there + LANES + lane] = sum1
                    added[there + 2 * LANES + lane] = sum2
                    added[there + 3 * LANES + lane] = sum3


@njit_inner
def add_unit(layer, change, unit, weights, added):
    """As `spread`, where the inputs are the units of a linear layer and one of them has changed."""
    weight = weights[layer.weight + unit * layer.padded_units :]
    for o in range(layer.units):
        own, here = weight[o], (o * LANES) & NEVER_NEGATIVE
        for lane in range(LANES):
            added[here + lane] = own * change[lane]


@njit_inner
def combine(layer, number, base, added, moved):
    """Map `number` of the pre-activation: that of the base point plus what was added."""
    positions = layer.positions
    still = base[layer.pre + number * positions * LANES :]
    # units of a linear layer are the positions of its map
    step = layer.padded_units if layer.maps > 1 or layer.units == 1 else 1
    for p in range(positions):
        here, there = (p * LANES) & NEVER_NEGATIVE, ((p * step + number) * LANES) & NEVER_NEGATIVE
        for lane in range(LANES):
            moved[here + lane] = added[there + lane]
    for i in range(positions * LANES):
        moved[i] += still[i]


@njit_inner
def subtract(result, still, length, change):
    """change = result - still; returns whether any of it is not zero."""
    touched = False
    for i in range(length):
        step = result[i] - still[i]
        change[i] = step
        touched |= step != 0
    return touched


@njit_inner
def scratch(sizes):
    """Scratch memory of a thread, of the sizes in `Plan.sizes`."""
    change, maps, added, single, padded, window = sizes
    moved, spare = np.empty(single, np.float32), np.empty(single, np.float32)
    more = np.empty(padded, np.float32), np.empty(window, np.float32)
    return np.empty(change, np.float32), np.empty(maps, np.bool_), np.empty(added, np.float32), moved, spare, *more


def build_rows(activations: list[Any], loss: Any) -> Any:
    """The kernel of candidates that move a row, for networks with these numba functions of activations and loss."""
    operate = build_operate(activations)

    @njit_inner
    def finish(number, base, layers, operations, weights, target, work, found):
        """Losses (LANES,) where `added` is what is added to the pre-activation of layer `number`."""
        change, touched, added, moved, spare, padded, window = work
        while True:
            layer = layers[number]
            for m in range(layer.maps):
                combine(layer, m, base, added, moved)
                result, free = operate(operations, layer.first, layer.stop, layer.positions, moved, spare)
                if number + 1 == len(layers):
                    loss(result, target, free, found)
                    return
                length = layer.results * LANES
                place = m * length
                touched[m] = subtract(result, base[layer.signal + place :], length, change[place:])
            number += 1
            spread(layers[number], change, touched, layer.maps, 0, weights, padded, window, added)

    @njit_inner
    def block_changes(
        start, index, row, first, offset, projected, base, layers, operations, weights, targets, losses, sizes, total
    ):
        """Fill `total` (N,) with the changes of one block; all arrays but targets and losses (B,) are those of the block."""
        work = scratch(sizes)
        change, touched, added, moved, spare, padded, window = work
        found, changed = np.empty(LANES, np.float32), np.empty(LANES, np.bool_)
        target = targets[start : start + LANES]
        for n in range(len(row)):
            layer = layers[index[n]]
            # a row of a linear layer is one position of its map
            is_unit = layer.maps == 1 and layer.units > 1
            positions, results = (1, 1) if is_unit else (layer.positions, layer.results)
            still = base[layer.pre + row[n] * positions * LANES :]
            for i in range(positions * LANES):
                moved[i] = still[i]
            for k in range(offset.shape[1]):
                step, image = offset[n, k], projected[first[n] + k * positions * LANES :]
                for i in range(positions * LANES):
                    moved[i] += step * image[i]
            result = operate(operations, layer.first, layer.stop, positions, moved, spare)[0]
            before = base[layer.signal + row[n] * results * LANES :]
            if not subtract(result, before, results * LANES, change):
                continue
            changed[:] = False
            for p in range(results):
                for lane in range(LANES):
                    changed[lane] |= change[p * LANES + lane] != 0
            if index[n] + 1 == len(layers):
                logits = base[layer.signal : layer.signal + layer.units * LANES]
                for i in range(layer.units * LANES):
                    spare[i] = logits[i]
                for lane in range(LANES):
                    spare[row[n] * LANES + lane] += change[lane]
                loss(spare, target, moved, found)
            else:
                following = layers[index[n] + 1]
                if is_unit:
                    add_unit(following, change, row[n], weights, added)
                else:
                    touched[0] = True
                    spread(following, change, touched, 1, row[n], weights, padded, window, added)
                finish(index[n] + 1, base, layers, operations, weights, target, work, found)
            for lane in range(min(LANES, len(losses) - start)):
                if changed[lane]:
                    total[n] += found[lane] - losses[start + lane]

    @njit(parallel=True)
    def rows(index, row, first, offset, projected, base, layers, operations, weights, targets, losses, sizes):
        """Changes (blocks, N) of the sum of the losses of each block, where candidate n moves row[n] of layer index[n]: to the
        pre-activation it adds offset[n, k] times the image that starts at first[n] + k positions LANES in projected
        (blocks, numbers), for each k.

        base (blocks, numbers), layers, operations, weights, sizes: see `Plan`. targets, padded to whole blocks; losses (B,).
        """
        totals = np.zeros((len(base), len(row)))
        for block in prange(len(base)):
            moves = block * LANES, index, row, first, offset, projected[block], base[block]
            block_changes(*moves, layers, operations, weights, targets, losses, sizes, totals[block])
        return totals

    return rows
