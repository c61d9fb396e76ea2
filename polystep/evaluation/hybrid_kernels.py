"""The numba loops for candidates that move a whole layer along fixed directions.

All kernels go through blocks of LANES samples. What the directions of a particle add to the pre-activations of a block, its
steps, is computed once, for all of its candidates. How it answers to each coordinate of the particle comes from `sparse_deltas`
or `dense_deltas`.
"""

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numba import prange

from polystep.evaluation.directions import ROWS
from polystep.evaluation.jit import njit, njit_inner
from polystep.evaluation.kernels import LANES, padded_rows, relu
from polystep.evaluation.layer_transition import TabulatedTransition
from polystep.evaluation.network_functions import NetworkFunctions
from polystep.evaluation.patched_kernels import build_bent_layer, build_patched_layer, build_states
from polystep.evaluation.vectors import add_scaled, copy_vector, multiply


@dataclass(frozen=True)
class HybridKernels:
    """Kernels by layer, for columns that are sparse and for dense ones (None: has several channels, so it is never sparse).
    states: None unless the layer is tabulated; bent: whether the kernels take what a ReLU follows.
    """

    sparse: list[Any]
    dense: list[Any]
    states: list[Any]
    bent: list[bool]


def build_hybrid_kernels(functions: NetworkFunctions) -> HybridKernels:
    """Kernels for one network."""
    kernels = HybridKernels([], [], [], [])
    workspace = functions.workspace()
    for index, units in enumerate(functions.units):
        one_channel, states, bent = functions.channels[index] == 1, None, False
        build: Any = build_layer
        sizes: tuple[Any, ...] = (functions.channels[index], units, functions.forward_to_loss[index])
        if one_channel and index < functions.last:
            transition, following = functions.transitions[index], index + 1
            rest = (functions.padded[following], functions.by_sample_to_loss(following), following)
            if isinstance(transition, TabulatedTransition):
                build, sizes = build_patched_layer, (transition, units, *rest)
                states = build_states(transition, units, functions.padded[following])
            elif functions.activations[index].activate is relu and following < functions.last:
                build, sizes, bent = build_bent_layer, (units, *rest), True
        project = build_project(units)
        kernels.sparse.append(build(*sizes, workspace, sparse_deltas, project) if one_channel else None)
        kernels.dense.append(build(*sizes, workspace, dense_deltas, project))
        kernels.states.append(states)
        kernels.bent.append(bent)
    return kernels


def build_layer(channels: int, units: int, forward_to_loss: Any, workspace: Any, deltas: Any, project: Any) -> Any:
    """Losses of candidates that move one layer anyhow: every sample is computed again from that layer on.

    directions: `Directions`; columns: for `deltas`; signal (blocks, C, (inputs + 1) LANES); z (blocks, C U LANES); targets
    (B,), of which `samples` count.
    """
    size = channels * units * LANES

    @njit(parallel=True)
    def layer(directions, columns, signal, z, weights, targets, samples):
        first, direction, sign, first_direction, count, offset = directions
        losses = np.empty(len(direction), np.float32)
        for r in prange(len(first) - 1):
            work = workspace()
            delta = np.empty(padded_rows(units * offset.shape[1]) * LANES, np.float32)
            steps = np.empty((padded_rows(count[r]), size), np.float32)
            moved, found = np.empty(size, np.float32), np.empty(LANES, np.float32)
            totals = np.zeros(first[r + 1] - first[r])
            for block in range(len(z)):
                start = block * LANES
                for channel in range(channels):
                    deltas(r, columns, signal[block, channel], delta)
                    project(offset, first_direction[r], delta, steps, channel)
                for v in range(len(totals)):
                    n = first[r] + v
                    own, side = direction[n] - first_direction[r], sign[n]
                    for place in range(0, size, LANES):
                        copy_vector(moved, place, z, block * size + place)
                        add_scaled(moved, place, steps, own * size + place, side)
                    forward_to_loss(moved, targets[start : start + LANES], weights, work, found)
                    for lane in range(min(LANES, samples - start)):
                        totals[v] += found[lane]
            for v in range(len(totals)):
                losses[first[r] + v] = totals[v] / samples
        return losses

    return layer


@njit_inner
def sparse_deltas(r, columns, signal, delta):
    """Fill delta (U d, LANES): how the pre-activations of LANES samples answer to each coordinate of particle r.

    columns: the particles (R,) and `SparseColumns`; signal (inputs + 1, LANES).
    """
    particle, runs, run_input, run_start, slot, value = columns
    delta[:] = 0
    for run in range(runs[particle[r]], runs[particle[r] + 1]):
        level = run_input[run] * LANES
        for entry in range(run_start[run], run_start[run + 1]):
            # slot = unit x d + coordinate
            add_scaled(delta, slot[entry] * LANES, signal, level, value[entry])


@njit_inner
def dense_deltas(r, columns, signal, delta):
    """As `sparse_deltas`; columns (R, U d, inputs + 1), padded to whole ROWS."""
    delta[:] = 0
    rows, inputs = columns.shape[1], columns.shape[2]
    for row in range(0, rows, ROWS):
        first = (r * rows + row) * inputs
        multiply(delta, row * LANES, LANES, columns, first, inputs, 1, signal, 0, LANES, inputs)


@cache
def build_project(units: int) -> Any:
    """project(offset, first, delta, steps, channel): fill `steps` (directions, C U LANES) of a channel with what each
    direction from `first` on adds to the pre-activations.
    """

    @njit_inner
    def project(offset, first, delta, steps, channel):
        directions, size = steps.shape
        dimension, start = offset.shape[1], channel * units * LANES
        for own in range(directions):
            for place in range(start, start + units * LANES):
                steps[own, place] = 0
        for unit in range(units):
            for own in range(0, directions, ROWS):
                to, factors = own * size + start + unit * LANES, (first + own) * dimension
                source = unit * dimension * LANES
                multiply(steps, to, size, offset, factors, dimension, 1, delta, source, LANES, dimension)

    return project
