"""Jitter: random factors on radii, which make the law of a step continuous where a theorem asks for it."""

from functools import cache
from typing import Literal

import torch
from torch import Tensor

JitterLaw = Literal["smooth", "uniform"]


def jitter_factors(count: int, width: float, law: JitterLaw, generator: torch.Generator) -> Tensor:
    """Independent 1 + eta with eta from (-width, width), shape (count,), on the generator's device.

    "smooth": density proportional to exp(-1/(1 - (eta/width)^2)), which has derivatives of every order; "uniform": constant
    density. Source: the author's library from version 0.10 on.
    """
    uniform = torch.rand(count, generator=generator, device=generator.device)
    if law == "uniform":
        return 1 + width * (2 * uniform - 1)
    places, shares = (table.to(uniform.device) for table in _smooth_law())
    right = torch.searchsorted(shares, uniform.double()).clamp(1, len(shares) - 1)
    within = (uniform - shares[right - 1]) / (shares[right] - shares[right - 1])
    eta: Tensor = torch.lerp(places[right - 1], places[right], within)
    return (1 + width * eta).to(uniform)


@cache
def _smooth_law() -> tuple[Tensor, Tensor]:
    """Places of (-1, 1) and the distribution function there, which rises from each to the next."""
    places = torch.linspace(-1, 1, 4001, dtype=torch.float64)[1:-1]
    density = torch.exp(-1 / (1 - places.square()))
    places, density = places[density > 1e-9], density[density > 1e-9]
    shares = torch.cat([places.new_zeros(1), torch.cumulative_trapezoid(density, places)])
    return places, shares / shares[-1]
