"""From one sample's step of one unit to the losses, as numba functions, for LANES candidates at once."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from polystep.evaluation.jit import njit_inner
from polystep.evaluation.kernels import LANES


@dataclass(frozen=True)
class RowPropagation:
    """Sample b of the next layer has the pre-activation following[b] + column x step, with the steps (C, candidates) of the
    unit that moves; beyond[b] is the pre-activation of the layer after it, all of the base point.

    prepare(following, b, column, steps, count, weights, work) looks at all `count` steps of a sample; propagate(following,
    beyond, b, column, steps, place, targets, weights, work, found) fills `found` with the losses of the LANES steps from
    `place`.
    """

    prepare: Any
    propagate: Any
    scratch_size: int = 0


def build_plain_propagation(channels: int, units: int, index: int, forward_to_loss: Any) -> RowPropagation:
    """Computes layer `index` of `units` units and all that follows anew, by forward_to_loss of that layer."""

    @njit_inner
    def prepare(following, b, column, steps, count, weights, work):
        pass

    @njit_inner
    def propagate(following, beyond, b, column, steps, place, targets, weights, work, found):
        pre = work[index][0]
        for channel in range(channels):
            for unit in range(units):
                k = channel * units + unit
                still, weight = following[b, k], column[unit]
                for lane in range(LANES):
                    pre[k * LANES + lane] = still + weight * steps[channel, place + lane]
        forward_to_loss(pre, targets, weights, work, found)

    return RowPropagation(prepare, propagate)


def build_straight_propagation(units: int, width: int, padded: int, index: int, forward_to_loss: Any) -> RowPropagation:
    """For ReLU in layer `index` of `units` units, before a layer of `width`, `padded` with padding; forward_to_loss: of the
    latter.

    All units that are active at the base point have one slope together (width,), which serves every candidate. What a unit
    adds to that where its sign turns is computed one by one, for the units that any candidate of the sample may turn; it is
    exactly 0 for a candidate that does not, so that losses do not depend on which other candidates there are.
    """
    weight_slot = 2 * (index + 1)
    # in the scratch memory of layer `index`: the slope, then the units that may turn
    turning = padded

    @njit_inner(fastmath={"contract"})
    def prepare(following, b, column, steps, count, weights, work):
        scratch, weight = work[index][1], weights[weight_slot]
        reach = np.float32(0)
        for i in range(count):
            reach = max(reach, abs(steps[0, i]))
        found = 0
        for unit in range(units):
            # a float32 holds any number of units exactly
            scratch[turning + 1 + found] = unit
            found += not abs(following[b, unit]) > abs(column[unit]) * reach
        scratch[turning] = found
        for output in range(padded):
            scratch[output] = 0
        for unit in range(units):
            proportion = column[unit] if following[b, unit] > 0 else np.float32(0)
            for output in range(padded):
                scratch[output] += proportion * weight[unit, output]

    @njit_inner(fastmath={"contract"})
    def propagate(following, beyond, b, column, steps, place, targets, weights, work, found):
        scratch, weight, pre = work[index][1], weights[weight_slot], work[index + 1][0]
        for output in range(width):
            still, slope = beyond[b, output], scratch[output]
            for lane in range(LANES):
                pre[output * LANES + lane] = still + slope * steps[0, place + lane]
        turned = work[index][0]
        for i in range(int(scratch[turning])):
            unit = int(scratch[turning + 1 + i])
            still, direction = following[b, unit], column[unit]
            # max(z, 0) is z + max(-z, 0) where the unit was active, 0 + max(z, 0) where it was not
            sign = np.float32(-1) if still > 0 else np.float32(1)
            for lane in range(LANES):
                turned[lane] = max(sign * (still + direction * steps[0, place + lane]), np.float32(0))
            for output in range(width):
                own = weight[unit, output]
                for lane in range(LANES):
                    pre[output * LANES + lane] += own * turned[lane]
        forward_to_loss(pre, targets, weights, work, found)

    return RowPropagation(prepare, propagate, padded + units + 2)
