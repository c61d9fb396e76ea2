"""Laws of hitting times: known ones are found again, and the right one predicts better."""

import math

import numpy
import pytest
from numpy.typing import NDArray

from scripts.theory.hitting_laws import compare_laws
from scripts.theory.laws import HittingTimes, Law, fit, held_out


def draw(chances: NDArray[numpy.float64], runs: int, limit: int, seed: int) -> list[list[int | None]]:
    """Times of runs of each setting, geometric with its chance; None beyond the limit."""
    generator = numpy.random.default_rng(seed)
    drawn = generator.geometric(chances[:, None], (len(chances), runs))
    return [[int(time) if time <= limit else None for time in row] for row in drawn]


def as_times(drawn: list[list[int | None]], limit: int) -> HittingTimes:
    runs = [(place, time) for place, row in enumerate(drawn) for time in row]
    return HittingTimes(
        numpy.array([place for place, _ in runs]),
        numpy.array([limit if time is None else time for _, time in runs], float),
        numpy.array([time is not None for _, time in runs]),
    )


def test_chances_sum_to_one() -> None:
    """Of all times up to a limit, and of none within it."""
    law, features = Law(numpy.array([0.3, 0.5, -1.0])), numpy.array([[1.0]])
    ends = numpy.array([*range(1, 8), 7], float)
    hit = numpy.array([True] * 7 + [False])
    likelihoods = law.log_likelihoods(features, HittingTimes(numpy.zeros(8, int), ends, hit))
    assert numpy.exp(likelihoods).sum() == pytest.approx(1)
    assert math.exp(likelihoods[0]) == pytest.approx(float(law.mean_chance(features)[0]))


def test_the_gradient_is_that_of_the_likelihood() -> None:
    features = numpy.array([[0.5, 1.0], [2.0, -1.0]])
    times = HittingTimes(
        numpy.array([0, 0, 1, 1]), numpy.array([1.0, 9, 4, 9]), numpy.array([True, False, True, False])
    )
    at = numpy.array([0.2, -0.4, 0.3, 0.7])

    def value(coefficients: NDArray[numpy.float64]) -> float:
        return float(Law(coefficients).log_likelihoods(features, times).sum())

    differences = [(value(at + step) - value(at - step)) / 2e-6 for step in 1e-6 * numpy.eye(4)]
    assert Law(at).gradient(features, times) == pytest.approx(differences, rel=1e-6)


def test_a_known_law_is_found() -> None:
    """Where all runs of a setting have the same chance, the precision is large."""
    feature = numpy.linspace(0, 3, 8)[:, None]
    odds = -0.5 + 0.8 * feature[:, 0]
    law = fit(feature, as_times(draw(1 / (1 + numpy.exp(odds)), 400, 30, 0), 30))
    assert law.coefficients[:2] == pytest.approx([-0.5, 0.8], abs=0.15)
    assert law.coefficients[2] > 2


def test_a_setting_is_predicted_without_its_own_runs() -> None:
    feature = numpy.arange(4.0)[:, None]
    times = as_times(draw(numpy.array([0.5, 0.4, 0.3, 0.9]), 200, 30, 0), 30)
    groups = numpy.array([-1, -1, -1, 0])
    scores = held_out(feature, times, groups)
    assert not scores[:3].any()
    own = fit(feature, times).log_likelihoods(feature, times.of(groups == 0)).sum()
    assert scores[3] < own


@pytest.mark.parametrize("law", ["polynomial", "exponential"])
def test_the_law_that_holds_predicts_the_largest_size_better(law: str) -> None:
    settings = [
        (d, depth, width, radius)
        for d in (2, 4, 8, 16)
        for depth in (1, 3)
        for width in (4, 32)
        for radius in (0.1, 1.0)
    ]
    odds = numpy.array([math.log(d) if law == "polynomial" else 0.25 * d - 1 for d, *_ in settings])
    drawn = draw(1 / (1 + numpy.exp(odds)), 50, 60, 0)
    rows = [
        {"dimension": d, "depth": depth, "width": width, "probe_radius": radius, "improved_at": times}
        for (d, depth, width, radius), times in zip(settings, drawn, strict=True)
    ]
    compared = {row["held_out"]: row for row in compare_laws(rows, 60)["held_out"]}
    assert (compared["dimension"]["difference"] > 0) == (law == "polynomial")
