"""From the trunk of a routed network to its losses, as numba functions: LANES samples, each along the route that it takes."""

from typing import Any

import numpy as np
from numba import njit

from polystep.evaluation.kernels import LANES
from polystep.evaluation.layer_transition import build_product


def build_trunk_to_loss(activate: Any, read_out: Any, loss: Any, sizes: tuple[int, int, int]) -> tuple[Any, Any]:
    """forward_to_loss(pre, targets, weights, work, found): losses (LANES,) from the pre-activation (units, LANES) of the
    trunk, in the form of `published_kernels.build_layer`; and its scratch memory.

    weights: router (units, R) and its bias (R,), then what `read_out` needs.
    """
    units, routes, outputs = sizes
    score = build_product(1, units, routes)

    @njit
    def workspace():
        hidden, scores = np.empty(units * LANES, np.float32), np.empty(routes * LANES, np.float32)
        return hidden, scores, np.empty(outputs * LANES, np.float32), np.empty(outputs * LANES, np.float32)

    @njit
    def forward_to_loss(pre, targets, weights, work, found):
        hidden, scores, logits, scratch = work
        router, bias = weights[0], weights[1]
        activate(pre, hidden, units * LANES)
        score(hidden, router, bias, scores)
        for lane in range(LANES):
            best = 0
            for route in range(1, routes):
                if scores[route * LANES + lane] > scores[best * LANES + lane]:
                    best = route
            read_out(hidden, best, weights, logits, lane)
        loss(logits, targets, scratch, found)

    return forward_to_loss, workspace


@njit
def _add_image(signal, lane, table, image):
    """Add the image of the signal of one lane, (inputs, LANES), under a table (inputs, outputs)."""
    for i in range(len(table)):
        level = signal[i * LANES + lane]
        # about half of the units are silent
        if level != 0:
            for output in range(len(image)):
                image[output] += level * table[i, output]


def build_linear_read_out(outputs: int) -> Any:
    """For routes without an activation, whose logits are linear in the trunk."""

    @njit
    def read_out(hidden, route, weights, logits, lane):
        """Logits of one lane on a route without an activation; weights[2:]: (R, units, outputs) and (R, outputs)."""
        table, bias = weights[2], weights[3]
        image = bias[route].copy()
        _add_image(hidden, lane, table[route], image)
        for output in range(outputs):
            logits[output * LANES + lane] = image[output]

    return read_out


def build_read_out(activate: Any, inner_units: int, outputs: int) -> Any:
    """For routes with an activation of `inner_units` units, from which the logits are linear."""

    @njit
    def read_out(hidden, route, weights, logits, lane):
        """Logits of one lane on a route; weights[2:]: images before its activation and logits from it, each with bias."""
        inner, inner_bias, table, bias = weights[2], weights[3], weights[4], weights[5]
        pre, post = inner_bias[route].copy(), np.empty(inner_units, np.float32)
        _add_image(hidden, lane, inner[route], pre)
        activate(pre, post, inner_units)
        image = bias[route].copy()
        for unit in range(inner_units):
            if post[unit] != 0:
                for output in range(outputs):
                    image[output] += post[unit] * table[route, unit, output]
        for output in range(outputs):
            logits[output * LANES + lane] = image[output]

    return read_out
