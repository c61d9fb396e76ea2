"""Carriages: numba functions that carry one sample's step of one unit to the losses, for LANES candidates at once."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit

from polystep.evaluation.kernels import LANES


@dataclass(frozen=True)
class Carriage:
    """Sample b of the next layer has the pre-activation following[b] + column x step, with the steps (C, candidates) of the
    unit that moves; beyond[b] is the pre-activation of the layer after it, all of the base point.

    prepare(following, b, column, steps, count, weights, work) looks at all `count` steps of a sample; carry(following, beyond,
    b, column, steps, place, targets, weights, work, found) fills `found` with the losses of the LANES steps from `place`.
    """

    prepare: Any
    carry: Any
    scratch_size: int = 0


def build_plain_carriage(channels: int, units: int, index: int, tail: Any) -> Carriage:
    """Computes layer `index` of `units` units and all that follows anew, by tails[index]."""

    @njit
    def prepare(following, b, column, steps, count, weights, work):
        pass

    @njit
    def carry(following, beyond, b, column, steps, place, targets, weights, work, found):
        pre = work[index][0]
        for channel in range(channels):
            for unit in range(units):
                k = channel * units + unit
                still, weight = following[b, k], column[unit]
                for lane in range(LANES):
                    pre[k * LANES + lane] = still + weight * steps[channel, place + lane]
        tail(pre, targets, weights, work, found)

    return Carriage(prepare, carry)


def build_straight_carriage(units: int, width: int, padded: int, index: int, tail: Any) -> Carriage:
    """For ReLU in layer `index` of `units` units, before a layer of `width`, `padded` with padding; tail: tails[index + 1].

    A unit whose sign no step of the sample can turn contributes in proportion to the step, so all of those together have one
    slope (width,), which serves all candidates; only the others are computed one by one.
    """
    weight_slot = 2 * (index + 1)
    # in the scratch memory of layer `index`: the slope, the proportions, and the units that may turn
    proportions, turning = padded, padded + units

    @njit(fastmath={"contract"})
    def prepare(following, b, column, steps, count, weights, work):
        scratch, weight = work[index][1], weights[weight_slot]
        reach = np.float32(0)
        for i in range(count):
            reach = max(reach, abs(steps[0, i]))
        for unit in range(units):
            pre = following[b, unit]
            keeps = abs(pre) > abs(column[unit]) * reach
            scratch[proportions + unit] = column[unit] if keeps and pre > 0 else np.float32(0)
        found = 0
        for unit in range(units):
            # a float32 holds any number of units exactly
            scratch[turning + 1 + found] = unit
            found += not abs(following[b, unit]) > abs(column[unit]) * reach
        scratch[turning] = found
        for output in range(padded):
            scratch[output] = 0
        for unit in range(units):
            proportion = scratch[proportions + unit]
            for output in range(padded):
                scratch[output] += proportion * weight[unit, output]

    @njit(fastmath={"contract"})
    def carry(following, beyond, b, column, steps, place, targets, weights, work, found):
        scratch, weight, pre = work[index][1], weights[weight_slot], work[index + 1][0]
        for output in range(width):
            still, slope = beyond[b, output], scratch[output]
            for lane in range(LANES):
                pre[output * LANES + lane] = still + slope * steps[0, place + lane]
        change = work[index][0]
        for i in range(int(scratch[turning])):
            unit = int(scratch[turning + 1 + i])
            still, direction = following[b, unit], column[unit]
            before = max(still, np.float32(0))
            for lane in range(LANES):
                change[lane] = max(still + direction * steps[0, place + lane], np.float32(0)) - before
            for output in range(width):
                own = weight[unit, output]
                for lane in range(LANES):
                    pre[output * LANES + lane] += own * change[lane]
        tail(pre, targets, weights, work, found)

    return Carriage(prepare, carry, padded + 2 * units + 2)
