"""numba forms of the shared activations and losses.

Lanes: kernels work on LANES samples side by side, flat, with lane l of number k at k LANES + l, so that every inner loop is a
vector operation however many units or logits there are.
"""

import math
from functools import cache
from typing import Any

import numpy as np

from polystep.evaluation.directions import whole_rows
from polystep.evaluation.jit import njit
from polystep.evaluation.layered import CompiledActivation
from polystep.evaluation.vectors import LANES as LANES
from polystep.evaluation.vectors import count_reached

padded_rows: Any = njit(whole_rows)
MINUS_INFINITY = np.float32(-np.inf)


@njit
def identity(pre, post, units):
    """post = pre"""
    for unit in range(units):
        post[unit] = pre[unit]


@njit
def identity_plateau(z):
    """Every change of z changes the output."""
    return z, z


@njit
def relu(pre, post, units):
    """post = max(pre, 0)"""
    for unit in range(units):
        post[unit] = max(pre[unit], np.float32(0.0))


@njit
def relu_plateau(z):
    """All negative inputs give 0."""
    if z < 0:
        return MINUS_INFINITY, np.float32(0.0)
    return z, z


@cache
def build_turn(units: int, padded: int) -> Any:
    """turn(by_sample, by_unit): numbers (LANES, padded) of samples, one after the other, as (units, LANES)."""

    @njit
    def turn(by_sample, by_unit):
        for unit in range(units):
            for lane in range(LANES):
                by_unit[unit * LANES + lane] = by_sample[lane * padded + unit]

    return turn


@cache
def elementwise(scalar: Any) -> CompiledActivation:
    """The activation post = scalar(pre) of a function that numba can compile; one for all modules that share the function."""
    function = njit(scalar)

    @njit
    def activate(pre, post, units):
        for unit in range(units):
            post[unit] = function(pre[unit])

    return CompiledActivation(activate, identity_plateau)


def step_function(thresholds: Any, values: Any) -> CompiledActivation:
    """post = values[thresholds at or below pre]; float32 thresholds (R - 1,), ascending, and values (R,). NaN stays NaN."""
    steps = len(thresholds)
    table = np.append(values, np.float32(np.nan)).reshape(-1, 1)
    # nothing reaches a NaN
    padded = np.full(-(-steps // LANES) * LANES, np.nan, np.float32)
    padded[:steps] = thresholds
    low, high = np.append(MINUS_INFINITY, thresholds), np.append(thresholds, -MINUS_INFINITY)

    @njit
    def activate(pre, post, units):
        for unit in range(units):
            z, value = pre[unit], values[0]
            # selections are vector instructions, a table is not
            for j in range(steps):
                value = values[j + 1] if z >= thresholds[j] else value
            post[unit] = value if z == z else z

    @njit
    def row_of(z):
        if z != z:
            return steps + 1
        row = 0
        for j in range(0, len(padded), LANES):
            row += count_reached(z, padded, j)
        return row

    @njit
    def plateau(z):
        # no interval holds a NaN
        row = row_of(z)
        return (low[row], high[row]) if row <= steps else (z, z)

    return CompiledActivation(activate, plateau, table, row_of)


# exp(x) = 2^n exp(r) with n the whole number next to x / log 2 and a polynomial for exp(r) (Cephes, expf). Plain arithmetic
# without branches, which compilers turn into vector instructions; the library's exp is called number by number.
_LOG2_E, _LOG2_HIGH, _LOG2_LOW = np.float32(1.44269504), np.float32(0.693359375), np.float32(-2.12194440e-4)
_C2, _C3, _C4 = np.float32(5.0000001201e-1), np.float32(1.6666665459e-1), np.float32(4.1665795894e-2)
_C5, _C6, _C7 = np.float32(8.3334519073e-3), np.float32(1.3981999507e-3), np.float32(1.9875691500e-4)
_LOWEST, _ROUNDER, _ONE = np.float32(-87), np.float32(1.5 * 2**23), np.float32(1)
_EXPONENT_BIAS, _EXPONENT_STEP = np.float32(127), np.float32(2**23)


@njit
def exponential(x):
    """exp(x) of a float32 x <= 0 to one unit in the last place; exp(-87) below -87."""
    x = _LOWEST if x < _LOWEST else x
    # adding and subtracting 1.5 2^23 rounds to a whole number
    n = (x * _LOG2_E + _ROUNDER) - _ROUNDER
    r = x - n * _LOG2_HIGH - n * _LOG2_LOW
    tail = ((((_C7 * r + _C6) * r + _C5) * r + _C4) * r + _C3) * r + _C2
    power = np.int32((n + _EXPONENT_BIAS) * _EXPONENT_STEP).view(np.float32)
    return (tail * r * r + r + _ONE) * power


@cache
def cross_entropy(outputs: int) -> Any:
    """log sum exp(logits) - logits[target], stable, in the form of `SampleLoss.compiled`."""
    size = outputs * LANES

    @njit
    def losses(logits, targets, scratch, found):
        for lane in range(LANES):
            found[lane] = logits[lane]
        for output in range(1, outputs):
            for lane in range(LANES):
                value = logits[output * LANES + lane]
                found[lane] = value if value > found[lane] else found[lane]
        for output in range(outputs):
            for lane in range(LANES):
                scratch[output * LANES + lane] = logits[output * LANES + lane] - found[lane]
        for i in range(size):
            scratch[i] = exponential(scratch[i])
        for output in range(1, outputs):
            for lane in range(LANES):
                scratch[lane] += scratch[output * LANES + lane]
        for lane in range(LANES):
            found[lane] += math.log(scratch[lane]) - logits[targets[lane] * LANES + lane]

    return losses
