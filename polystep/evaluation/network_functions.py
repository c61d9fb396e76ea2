"""numba functions of one network that the kernels of all structures of candidates share, built from its activations and loss.

Sizes are closed over as constants and signals are flat, LANES samples side by side (channel c of unit u at c x units + u), so
that the compiler knows all distances and every inner loop is a vector operation.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from polystep.evaluation.directions import ROWS
from polystep.evaluation.jit import njit, njit_inner
from polystep.evaluation.kernels import LANES, build_turn
from polystep.evaluation.layer_transition import LayerTransition, build_transition
from polystep.evaluation.layered import CompiledActivation, LayeredNetwork
from polystep.evaluation.vectors import copy_vector, multiply


@dataclass(frozen=True)
class NetworkFunctions:
    """For a network of L layers with `units` units each, `padded` with padding.

    channels (L + 1,): of the pre-activation of each layer, then of the logits. transitions (L - 1,): from one layer to the
    next. forward_to_loss (L,): functions (pre, targets, weights, work, found) that fill found (LANES,) with the losses that
    follow from the pre-activation of a layer. plateaus (L,): functions z -> (low, high), both as z (M, N), the interval of
    constant output around each value. loss: of logits.
    """

    units: Sequence[int]
    padded: Sequence[int]
    channels: Sequence[int]
    activations: Sequence[CompiledActivation]
    transitions: Sequence[LayerTransition]
    forward_to_loss: Sequence[Any]
    plateaus: Sequence[Any]
    loss: Any

    @property
    def last(self) -> int:
        """Number of the last layer."""
        return len(self.units) - 1

    def by_sample_to_loss(self, index: int) -> Any:
        """As forward_to_loss[index], from a pre-activation by sample, (C, LANES, units), units padded."""
        activate, padded = self.activations[index].activate, self.padded[index]
        if index == self.last:
            return _build_last_by_sample(index, activate, self.loss, self.units[index], padded)
        if self.channels[index] == self.channels[index + 1] == 1:
            sizes = (self.units[index], padded, self.padded[index + 1])
            return _build_by_sample(index, activate, self.by_sample_to_loss(index + 1), sizes)
        return _build_turned(index, self.forward_to_loss[index], (self.channels[index], self.units[index], padded))

    def workspace(self, scratch_sizes: Sequence[int] = ()) -> Any:
        """numba function that makes the scratch memory of one candidate: for every layer its pre-activation, and scratch of at
        least scratch_sizes[layer] numbers, or as much as the functions above need.
        """
        # the last layer needs its logits, the same by sample, and as much for the loss
        needed = [*(transition.scratch_size for transition in self.transitions), 3 * self.padded[-1] * LANES]
        wanted = scratch_sizes or needed
        pre_sizes = [c * p * LANES for c, p in zip(self.channels[:-1], self.padded, strict=True)]
        # by sample, an activation keeps its padding
        by_sample = [c * p * LANES for c, p in zip(self.channels[1:], self.padded, strict=True)]
        return _build_workspace(pre_sizes, [max(sizes) for sizes in zip(needed, wanted, by_sample, strict=True)])


def build_functions(network: LayeredNetwork, units: Sequence[int], padded: Sequence[int]) -> NetworkFunctions:
    """The functions of `network`."""
    activations = [layer.activation.compiled() for layer in network.layers]
    channels = [1, *(layer.activation.channels for layer in network.layers)]
    loss, last = network.loss.compiled(units[-1]), len(network.layers) - 1
    transitions = [
        build_transition(activations[i], channels[i + 1], units[i], units[i + 1], padded[i + 1]) for i in range(last)
    ]
    forward_to_loss = [_build_last_to_loss(last, activations[last].activate, loss, units[-1])]
    for index in range(last - 1, -1, -1):
        forward_to_loss.insert(0, _build_to_loss(index, transitions[index].forward, forward_to_loss[0]))
    plateaus = [_build_plateaus(activation.plateau) for activation in activations]
    return NetworkFunctions(units, padded, channels, activations, transitions, forward_to_loss, plateaus, loss)


@cache
def _build_plateaus(plateau: Any) -> Any:
    @njit
    def plateaus(z):
        low, high = np.empty(z.shape, np.float32), np.empty(z.shape, np.float32)
        for m in range(z.shape[0]):
            for n in range(z.shape[1]):
                low[m, n], high[m, n] = plateau(z[m, n])
        return low, high

    return plateaus


def _build_workspace(pre_sizes: Sequence[int], scratch_sizes: Sequence[int]) -> Any:
    pre_size, scratch_size = pre_sizes[-1], scratch_sizes[-1]
    if len(scratch_sizes) == 1:

        @njit_inner
        def workspace():
            return ((np.empty(pre_size, np.float32), np.empty(scratch_size, np.float32)),)
    else:
        head = _build_workspace(pre_sizes[:-1], scratch_sizes[:-1])

        @njit_inner
        def workspace():
            return (*head(), (np.empty(pre_size, np.float32), np.empty(scratch_size, np.float32)))

    return workspace


def _build_last_to_loss(index: int, activate: Any, loss: Any, outputs: int) -> Any:
    size = outputs * LANES

    @njit_inner
    def forward_to_loss(pre, targets, weights, work, found):
        scratch = work[index][1]
        logits = scratch[:size]
        activate(pre, logits, size)
        loss(logits, targets, scratch[size:], found)

    return forward_to_loss


def _build_to_loss(index: int, forward: Any, following_to_loss: Any) -> Any:
    # numba indexes tuples by constants only
    following_index, weight_slot, bias_slot = index + 1, 2 * index + 2, 2 * index + 3

    @njit_inner
    def forward_to_loss(pre, targets, weights, work, found):
        following = work[following_index][0]
        forward(pre, weights[weight_slot], weights[bias_slot], work[index][1], following)
        following_to_loss(following, targets, weights, work, found)

    return forward_to_loss


def _build_by_sample(index: int, activate: Any, following_to_loss: Any, sizes: tuple[int, int, int]) -> Any:
    """For a layer of one channel before another."""
    units, padded, width = sizes
    size, following_index, weight_slot, bias_slot = padded * LANES, index + 1, 2 * index + 2, 2 * index + 3

    @njit_inner
    def to_loss(by_sample, targets, weights, work, found):
        post, following, weight, bias = (
            work[index][1],
            work[following_index][0],
            weights[weight_slot],
            weights[bias_slot],
        )
        activate(by_sample, post, size)
        for lane in range(LANES):
            for output in range(0, width, LANES):
                copy_vector(following, lane * width + output, bias, output)
        for lane in range(0, LANES, ROWS):
            for output in range(0, width, LANES):
                to = lane * width + output
                multiply(following, to, width, post, lane * padded, padded, 1, weight, output, width, units)
        following_to_loss(following, targets, weights, work, found)

    return to_loss


def _build_turned(index: int, forward_to_loss: Any, sizes: tuple[int, int, int]) -> Any:
    """For any layer: the pre-activation is turned to lie unit by unit."""
    channels, units, padded = sizes

    @njit_inner
    def to_loss(by_sample, targets, weights, work, found):
        pre = work[index][0]
        for channel in range(channels):
            for unit in range(units):
                for lane in range(LANES):
                    pre[(channel * units + unit) * LANES + lane] = by_sample[(channel * LANES + lane) * padded + unit]
        forward_to_loss(pre, targets, weights, work, found)

    return to_loss


def _build_last_by_sample(index: int, activate: Any, loss: Any, outputs: int, padded: int) -> Any:
    size, turn = padded * LANES, build_turn(outputs, padded)

    @njit_inner
    def to_loss(by_sample, targets, weights, work, found):
        scratch = work[index][1]
        post, logits = scratch[:size], scratch[size:]
        # elementwise, so that only the logits have to be turned
        activate(by_sample, post, size)
        turn(post, logits)
        loss(logits, targets, scratch[2 * size :], found)

    return to_loss
