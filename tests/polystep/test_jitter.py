"""Random factors on radii."""

import math

import pytest
import torch

from polystep.jitter import jitter_factors

COUNT = 200_000


def factors(law: str, width: float = 0.2, seed: int = 0) -> torch.Tensor:
    return jitter_factors(COUNT, width, law, torch.Generator().manual_seed(seed))  # type: ignore[arg-type]


@pytest.mark.parametrize("law", ["smooth", "uniform"])
def test_factors_lie_around_one_within_the_width(law: str) -> None:
    found = factors(law)
    assert found.dtype == torch.float32
    assert 0.8 <= found.min() < 0.82 and 1.18 < found.max() <= 1.2
    assert float(found.mean()) == pytest.approx(1, abs=5 * 0.12 / math.sqrt(COUNT))
    assert torch.equal(found, factors(law)) and not torch.equal(found, factors(law, seed=1))


@pytest.mark.parametrize("law", ["smooth", "uniform"])
def test_shares_follow_the_density(law: str) -> None:
    eta = (factors(law).double() - 1) / 0.2
    # a fine Riemann sum of the density is another way to its integral
    places = (torch.arange(100_000, dtype=torch.float64) + 0.5) / 50_000 - 1
    density = torch.exp(-1 / (1 - places.square())) if law == "smooth" else torch.ones_like(places)
    for bound in (-0.7, -0.25, 0.0, 0.4, 0.8):
        expected = float(density[places < bound].sum() / density.sum())
        spread = math.sqrt(expected * (1 - expected) / COUNT)
        assert float((eta < bound).double().mean()) == pytest.approx(expected, abs=5 * spread)
