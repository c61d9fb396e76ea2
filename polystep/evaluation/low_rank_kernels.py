"""The numba loops for candidates that move every weight matrix by one of low rank."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import prange

from polystep.evaluation.dense_kernels import build_take
from polystep.evaluation.jit import njit
from polystep.evaluation.kernels import LANES
from polystep.evaluation.layer_transition import build_product
from polystep.evaluation.network_functions import NetworkFunctions

TOGETHER = 8
"""Projections that are computed at once, so that a sample that is loaded serves all of them."""


@dataclass(frozen=True)
class LowRankKernels:
    """See `build_low_rank`."""

    project: Any
    network: Any


def build_low_rank(functions: NetworkFunctions, inputs: int) -> LowRankKernels:
    """Kernels for a network of `inputs` inputs.

    project(vectors, samples): products of vectors (G, inputs, TOGETHER) and samples (blocks, inputs x LANES), shape
    (G, blocks, TOGETHER x LANES). Each is summed in the same order, whatever the others are.

    network(base, projected, source, left, bias, weights, targets, samples): losses of candidates with the first pre-activation
    base (U, B) + bias[n] + sum_r left[n, :, r] x projection source[n] rank + r; left (N, U, rank), bias (N, U). `weights`
    holds the tensors of every layer, stacked over candidates (those of the first layer are not read).
    """
    product = build_product(1, inputs, TOGETHER)
    units, forward_to_loss = functions.units[0], functions.forward_to_loss[0]
    workspace, take = functions.workspace(), build_take(2 * functions.last + 2)

    @njit(parallel=True)
    def project(vectors, samples):
        found = np.empty((len(vectors), len(samples), TOGETHER * LANES), np.float32)
        nothing = np.zeros(TOGETHER, np.float32)
        for group in prange(len(vectors)):
            for block in range(len(samples)):
                product(samples[block], vectors[group], nothing, found[group, block])
        return found

    @njit(parallel=True, fastmath={"contract"})
    def network(base, projected, source, left, bias, weights, targets, samples):
        losses = np.empty(len(source), np.float32)
        rank = left.shape[2]
        for n in prange(len(source)):
            work = workspace()
            own = take(weights, n)
            pre, found = np.empty(units * LANES, np.float32), np.empty(LANES, np.float32)
            total = 0.0
            for block in range(len(projected[0])):
                start = block * LANES
                for unit in range(units):
                    for lane in range(LANES):
                        pre[unit * LANES + lane] = base[unit, start + lane] + bias[n, unit]
                for vector in range(source[n] * rank, (source[n] + 1) * rank):
                    group, place = vector // TOGETHER, vector % TOGETHER * LANES
                    for unit in range(units):
                        answer = left[n, unit, vector - source[n] * rank]
                        for lane in range(LANES):
                            pre[unit * LANES + lane] += answer * projected[group, block, place + lane]
                forward_to_loss(pre, targets[start : start + LANES], own, work, found)
                for lane in range(min(LANES, samples - start)):
                    total += found[lane]
            losses[n] = total / samples
        return losses

    return LowRankKernels(project, network)
