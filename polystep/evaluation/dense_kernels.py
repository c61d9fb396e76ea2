"""The numba loop for candidates that move the whole network."""

from functools import cache
from typing import Any

import numpy as np
from numba import prange

from polystep.evaluation.jit import njit, njit_inner
from polystep.evaluation.kernels import LANES
from polystep.evaluation.network_functions import NetworkFunctions


def build_dense(functions: NetworkFunctions) -> Any:
    """Losses of candidates that move everything.

    The first pre-activation of candidate n is base (U, B) + scale[n] x delta[source[n]] with delta (K, U, B); `weights`
    holds the tensors of every layer, stacked over candidates (those of the first layer are not read).
    """
    units, forward_to_loss = functions.units[0], functions.forward_to_loss[0]
    workspace, take = functions.workspace(), build_take(2 * functions.last + 2)

    @njit(parallel=True)
    def network(base, delta, source, scale, weights, targets, samples):
        losses = np.empty(len(source), np.float32)
        for n in prange(len(source)):
            work = workspace()
            own = take(weights, n)
            pre, found = np.empty(units * LANES, np.float32), np.empty(LANES, np.float32)
            total = 0.0
            for start in range(0, samples, LANES):
                for unit in range(units):
                    for lane in range(LANES):
                        step = scale[n] * delta[source[n], unit, start + lane]
                        pre[unit * LANES + lane] = base[unit, start + lane] + step
                forward_to_loss(pre, targets[start : start + LANES], own, work, found)
                for lane in range(min(LANES, samples - start)):
                    total += found[lane]
            losses[n] = total / samples
        return losses

    return network


@cache
def build_take(length: int) -> Any:
    """take(stacks, n): entry n of every array of a tuple of `length` arrays."""
    position = length - 1
    if length == 1:

        @njit_inner
        def take(stacks, n):
            return (stacks[position][n],)
    else:
        head = build_take(length - 1)

        @njit_inner
        def take(stacks, n):
            return (*head(stacks, n), stacks[position][n])

    return take
