"""Rates: the smoothed gradients are right, known exponents are found, and the search follows the bound."""

import math
from typing import Any

import pytest
import torch

from polystep.contracts import ExpectedError
from scripts.theory.rate import CONSTANT, DECAYING, Rate
from scripts.theory.smoothed import JUMP, WALL, jump_on_the_way, kink, smoothed_gradient, two_kinks
from scripts.theory.statistics import slope_with_band

SMALL: dict[str, Any] = {
    "lengths": [16, 60, 240], "first": 0.6, "gamma": 0.1, "probe_radius": 0.25, "temperature": 20.0, "jitter": 0.05, "epoch": 8,
    "repetitions": 12, "draws": 50, "seed": 0,
}  # fmt: skip


def test_the_gradient_beside_a_kink() -> None:
    """Of |x| averaged over a disc: (2/pi)(s sqrt(1 - s^2) + asin s) with s = x/rho, and the sign beyond."""
    x = torch.tensor([-1.0, -0.1, 0.0, 0.05, 0.2, 3.0], dtype=torch.float64)
    s = (x / 0.25).clamp(-1, 1)
    expected = 2 / math.pi * (s * (1 - s.square()).sqrt() + s.asin())
    assert torch.allclose(smoothed_gradient(kink, 0.25, 0.0)(x), expected, atol=5e-3)


def test_the_gradient_beside_a_jump() -> None:
    """x, and beside the wall J/rho times the density of a disc's projection."""
    x = torch.tensor([0.0, WALL, WALL + 0.1, 1.5], dtype=torch.float64)
    s = ((x - WALL) / 0.25).clamp(-1, 1)
    expected = x + JUMP / 0.25 * 2 / math.pi * (1 - s.square()).sqrt()
    assert torch.allclose(smoothed_gradient(jump_on_the_way, 0.25, 0.0)(x), expected, atol=2e-2)


def test_jitter_changes_gradients_little() -> None:
    x = torch.linspace(-2, 2, 41, dtype=torch.float64)
    plain, jittered = (smoothed_gradient(two_kinks, 0.25, jitter)(x) for jitter in (0.0, 0.05))
    assert 0 < float((plain - jittered).abs().max()) < 0.1


def test_slopes() -> None:
    generator = torch.Generator().manual_seed(0)
    lengths = torch.tensor([10.0, 100.0, 1000.0, 10000.0], dtype=torch.float64)
    noise = torch.rand(4, 200, generator=generator, dtype=torch.float64) + 0.5
    slope, low, high = slope_with_band(lengths.tolist(), 3 * lengths.unsqueeze(1) ** -0.5 * noise, 200, 0)
    assert low < -0.5 < high and high - low < 0.1
    assert low <= slope <= high


def test_runs_that_are_measured_at_several_lengths_are_drawn_whole() -> None:
    lengths = [10.0, 100.0, 1000.0]
    # every run falls as 1/T, from a height of its own: drawn whole, every sample of runs has the same slope
    heights = torch.tensor([1.0, 2.0, 5.0, 9.0], dtype=torch.float64)
    values = heights / torch.tensor(lengths, dtype=torch.float64).unsqueeze(1)
    assert slope_with_band(lengths, values, 200, 0, same_runs=True) == pytest.approx((-1, -1, -1))
    _, low, high = slope_with_band(lengths, values, 200, 0)
    assert low < -1.02 and high > -0.98


def test_the_theorems_settings_follow_its_bound_and_a_fixed_radius_does_not() -> None:
    study = Rate(**SMALL)
    found = study.run()
    exponents = {(row["function"], row["arm"]): row["exponent"] for row in found["exponents"]}
    for (_, arm), exponent in exponents.items():
        if arm in (CONSTANT, DECAYING):
            assert -0.75 < exponent < -0.25
        else:
            assert exponent > -0.2
    assert [len(table.rows) for table in study.section(found).tables] == [12]


def test_what_is_slower_than_both_terms_of_the_bound_is_told() -> None:
    study = Rate(**SMALL)

    def told(arm: str, low: float) -> str:
        row = {"function": "kink", "arm": arm, "exponent": low, "low": low, "high": low + 0.01}
        section = study.section({"rate": [], "exponents": [row]})
        shown = section.tables[0].rows[0]["bound"].split(" and ")
        assert [float(term) for term in shown] == pytest.approx([*dict.fromkeys(study._terms(arm))], abs=1e-4)
        return section.answer[0]

    # of sums over (t + 1)^-0.6, exponents are about -0.5 and -0.3 over lengths as short as these
    within, beyond = "1 of 1 fits with the theorem's settings are within the bound.", "0 of 1 fits"
    assert within in told(CONSTANT, -0.51) and within in told(DECAYING, -0.4)
    assert f"within the bound; slower, by their whole band, are kink, {CONSTANT} (by 0.020)." in told(CONSTANT, -0.48)
    assert beyond in told(CONSTANT, -0.48) and beyond in told(DECAYING, -0.2)


@pytest.mark.parametrize(
    ("changed", "message"),
    [({"temperature": 0.0}, "temperature must be above 0"), ({"lengths": [8, 8, 9]}, "at least three")],
)
def test_bad_parameters_are_refused(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(ExpectedError, match=message):
        Rate(**(SMALL | changed)).run()
