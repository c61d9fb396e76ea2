"""From the trunk of a routed network to its losses, as numba functions: LANES samples, each along the route that it takes."""

from typing import Any

import numpy as np

from polystep.evaluation.jit import njit_inner
from polystep.evaluation.kernels import LANES, build_turn
from polystep.evaluation.layer_transition import build_product
from polystep.evaluation.vectors import copy_vector, multiply_one

TERMS = 4
"""Inputs of the maps of a route are padded to a multiple of this, with zeros."""


def whole(count: int, part: int) -> int:
    """`count` with padding to whole parts."""
    return -(-count // part) * part


def build_trunk_to_loss(activate: Any, read_out: Any, loss: Any, sizes: tuple[int, int, int]) -> tuple[Any, Any]:
    """forward_to_loss(pre, targets, weights, work, found): losses (LANES,) from the pre-activation (units, LANES) of the
    trunk, in the form of `hybrid_kernels.build_layer`; and its scratch memory.

    weights: router (units, R) and its bias (R,), then what `read_out` needs.
    """
    units, routes, outputs = sizes
    score, inputs, width = build_product(1, units, routes), whole(units, TERMS), whole(outputs, LANES)
    turn = build_turn(outputs, width)

    @njit_inner
    def workspace():
        hidden, scores = np.zeros(inputs * LANES, np.float32), np.empty(routes * LANES, np.float32)
        by_sample, winner = np.empty(LANES * width, np.float32), np.empty(LANES, np.int64)
        return (
            hidden,
            scores,
            by_sample,
            winner,
            np.empty(outputs * LANES, np.float32),
            np.empty(outputs * LANES, np.float32),
        )

    @njit_inner
    def forward_to_loss(pre, targets, weights, work, found):
        hidden, scores, by_sample, winner, logits, scratch = work
        activate(pre, hidden, units * LANES)
        score(hidden, weights[0], weights[1], scores)
        for lane in range(LANES):
            # selections instead of branches, which would be unforeseeable
            best, highest = 0, scores[lane]
            for route in range(1, routes):
                higher = scores[route * LANES + lane] > highest
                best = route if higher else best
                highest = scores[route * LANES + lane] if higher else highest
            winner[lane] = best
        read_out(hidden, winner, weights, by_sample)
        turn(by_sample, logits)
        loss(logits, targets, scratch, found)

    return forward_to_loss, workspace


def _build_map(inputs: int, width: int, step: int, apart: int) -> Any:
    """image(signal, route, table, bias, images): the images of LANES samples, (LANES, width), under the tables (R, inputs,
    width) of their routes; input i of lane l is signal[i step + l apart].
    """

    @njit_inner
    def image(signal, route, table, bias, images):
        # lanes innermost: what they read of the tables stays in the fast cache
        for output in range(0, width, LANES):
            for lane in range(LANES):
                to, first = lane * width + output, route[lane] * inputs * width + output
                copy_vector(images, to, bias, route[lane] * width + output)
                multiply_one(images, to, signal, lane * apart, step, table, first, width, inputs)

    return image


def build_route_to_loss(activate: Any, loss: Any, units: int, outputs: int) -> tuple[Any, Any]:
    """As `build_trunk_to_loss`, from a map after the router. targets (LANES, 2): targets and routes; weights: how the logits
    answer to the activation of the map, (R, units, outputs), and the logits where that is silent, (R, outputs).
    """
    inputs, width = whole(units, TERMS), whole(outputs, LANES)
    image, turn = _build_map(inputs, width, LANES, 1), build_turn(outputs, width)

    @njit_inner
    def workspace():
        post, by_sample = np.zeros(inputs * LANES, np.float32), np.empty(LANES * width, np.float32)
        target, route = np.empty(LANES, np.int64), np.empty(LANES, np.int64)
        return (
            post,
            by_sample,
            target,
            route,
            np.empty(outputs * LANES, np.float32),
            np.empty(outputs * LANES, np.float32),
        )

    @njit_inner
    def forward_to_loss(pre, targets, weights, work, found):
        post, by_sample, target, route, logits, scratch = work
        activate(pre, post, units * LANES)
        for lane in range(LANES):
            target[lane], route[lane] = targets[lane, 0], targets[lane, 1]
        image(post, route, weights[0], weights[1], by_sample)
        turn(by_sample, logits)
        loss(logits, target, scratch, found)

    return forward_to_loss, workspace


def build_linear_read_out(units: int, outputs: int) -> Any:
    """For routes without an activation, whose logits are linear in the trunk."""
    image = _build_map(whole(units, TERMS), whole(outputs, LANES), LANES, 1)

    @njit_inner
    def read_out(hidden, winner, weights, logits):
        """Logits (LANES, outputs); weights[2:]: (R, units, outputs) and (R, outputs)."""
        image(hidden, winner, weights[2], weights[3], logits)

    return read_out


def build_read_out(activate: Any, units: int, inner_units: int, outputs: int) -> Any:
    """For routes with an activation of `inner_units` units, from which the logits are linear."""
    inner, size = whole(inner_units, LANES), whole(inner_units, LANES) * LANES
    first = _build_map(whole(units, TERMS), inner, LANES, 1)
    second = _build_map(inner, whole(outputs, LANES), 1, inner)

    @njit_inner
    def read_out(hidden, winner, weights, logits):
        """Logits (LANES, outputs); weights[2:]: images before its activation and logits from it, each with bias."""
        pre, post = np.empty(size, np.float32), np.empty(size, np.float32)
        first(hidden, winner, weights[2], weights[3], pre)
        activate(pre, post, size)
        second(post, winner, weights[4], weights[5], logits)

    return read_out
