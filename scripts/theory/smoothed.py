"""Piecewise-smooth functions of one number, and the gradient that a search with spherical probes sees of them."""

import math
from collections.abc import Callable, Mapping
from functools import cache

import torch
from torch import Tensor

from polystep.jitter import jitter_factors
from polystep.random import named_generator

Function = Callable[[Tensor], Tensor]

WALL, JUMP = 0.5, 0.5
"""Of `jump_on_the_way`: place and height."""


def kink(x: Tensor) -> Tensor:
    """|x|: the minimum is a kink."""
    return x.abs()


def jump_on_the_way(x: Tensor) -> Tensor:
    """x^2/2, plus a jump between the start and the minimum, farther from it than probes reach."""
    return x.square() / 2 + JUMP * (x > WALL)


def two_kinks(x: Tensor) -> Tensor:
    """|x^2 - 1|/2: not convex, minima at two kinks."""
    return (x.square() - 1).abs() / 2


FUNCTIONS: Mapping[str, tuple[Function, float]] = {
    "a kink at the minimum": (kink, 1.0),
    "a jump on the way": (jump_on_the_way, 1.5),
    "two kinks, not convex": (two_kinks, 1.8),
}
"""Each with where the search starts."""

LIMIT = 4.0
"""Beyond this distance from 0 the gradient is that of this distance."""
_POINTS, _ANGLES, _FACTORS = 4001, 512, 8


@cache
def smoothed_gradient(function: Function, probe_radius: float, jitter: float) -> Callable[[Tensor], Tensor]:
    """The gradient of f(x) = function(x_1) + function(x_2) that probes at distance rho (1 + eta) see, in one coordinate:
        g(x) = 2 E[function(x + rho (1 + eta) cos t) cos t]/rho,  t uniform.
    Without jitter it is the gradient of f averaged over a disc of radius rho. A table on [-LIMIT, LIMIT], linear in between.
    """
    places = torch.linspace(-LIMIT, LIMIT, _POINTS, dtype=torch.float64)
    cosines = torch.cos((torch.arange(_ANGLES, dtype=torch.float64) + 0.5) * (2 * math.pi / _ANGLES))
    factors = torch.ones(1)
    if jitter:
        factors = jitter_factors(_FACTORS, jitter, "smooth", named_generator(0, "smoothed gradient"))
    table = torch.zeros_like(places)
    for factor in factors.tolist():
        probes = function(places.unsqueeze(1) + probe_radius * factor * cosines)
        table += 2 / probe_radius * (probes * cosines).mean(1) / len(factors)

    def gradient(x: Tensor) -> Tensor:
        position = (x.clamp(-LIMIT, LIMIT) + LIMIT) * ((_POINTS - 1) / (2 * LIMIT))
        left = position.floor().long().clamp_max(_POINTS - 2)
        return torch.lerp(table[left], table[left + 1], position - left)

    return gradient
