"""Domains: reflection at bounds, whole numbers, and what a start and its bounds must be."""

import math
from typing import Any

import numpy as np
import pandas
import pytest
import scipy.optimize
import torch

from polystep import minimize
from polystep.domain import BlackBoxError, read_domain


def reflected(x: float, low: float, high: float) -> float:
    """One reflection after the other."""
    while not low <= x <= high:
        x = 2 * high - x if x > high else 2 * low - x
    return x


@pytest.mark.parametrize(("low", "high"), [(-1.0, 3.0), (0.0, math.inf), (-math.inf, 2.0), (-math.inf, math.inf)])
def test_points_are_reflected_at_the_bounds(low: float, high: float) -> None:
    domain = read_domain([1.0], [(low, high)], False)
    z = torch.linspace(-20, 20, 101, dtype=torch.float64).unsqueeze(1)
    expected = [reflected(1.0 + float(domain.scale) * float(value), low, high) for value in z]
    torch.testing.assert_close(domain.points(z).squeeze(1), torch.tensor(expected, dtype=torch.float64))


def test_coordinates_start_at_the_start_and_have_a_natural_unit() -> None:
    domain = read_domain([0.0, -50.0, 3.0, 3.0], [(None, None), (None, None), (0, 8), (0, None)], False)
    assert domain.scale.tolist() == [1, 50, 2, 3]
    assert torch.equal(domain.points(torch.zeros(1, 4))[0], domain.start)


def test_bounds_of_scipy_are_pairs() -> None:
    for bounds, pairs in (
        (scipy.optimize.Bounds([0, -1], [3, np.inf]), [(0, 3), (-1, None)]),
        (scipy.optimize.Bounds(-2, 2), (-2, 2)),
    ):
        found, expected = (read_domain([1.0, 1.5], each, False) for each in (bounds, pairs))
        assert torch.equal(found.low, expected.low) and torch.equal(found.high, expected.high)
    with pytest.raises(BlackBoxError, match=r"bounds must be one pair .* or 2 of them"):
        read_domain([1.0, 1.5], scipy.optimize.Bounds([0, 0, 0], [1, 1, 1]), False)


def test_one_pair_of_bounds_is_for_all() -> None:
    assert read_domain([1, 1, 1], (0, 2), False).low.tolist() == [0, 0, 0]
    assert read_domain([1, 1], [(0, 2), (-1, 1)], False).low.tolist() == [0, -1]
    assert read_domain([1, 1, 1], torch.tensor([0.0, 2.0]), False).low.tolist() == [0, 0, 0]
    assert read_domain([1, 1], torch.tensor([[0.0, 2.0], [-1.0, 1.0]]), False).low.tolist() == [0, -1]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_coarse_numbers_are_refused(dtype: torch.dtype) -> None:
    """Weights of PolyStep would be infinite among them, and the point would never move."""
    with pytest.raises(BlackBoxError, match=f"start has type {dtype}, which is too coarse"):
        minimize(lambda x: (x**2).sum(), torch.ones(2, dtype=dtype), budget=50)


def test_the_function_sees_nothing_beyond_the_bounds_and_whole_numbers_where_asked() -> None:
    seen = []

    def function(x: Any) -> Any:
        seen.append(x.copy())
        return ((x - np.array([2.7, 9.0, 0.25])) ** 2).sum(-1)

    found = minimize(
        function,
        [0, 0, 0],
        bounds=[(None, 10), (-4, 4), (0, 1)],
        integrality=[True, False, False],
        budget=2000,
        batch=True,
    )
    points = np.concatenate(seen)
    assert (points <= [10, 4, 1]).all() and (points[:, 1:] >= [-4, 0]).all()
    assert (points[:, 0] == points[:, 0].round()).all()
    np.testing.assert_allclose(found.x, [3, 4, 0.25], atol=0.03)


def test_all_coordinates_may_be_whole_numbers() -> None:
    target = np.array([7, -3, 0, 12])
    found = minimize(
        lambda x: abs(x - target).sum(-1), [0] * 4, bounds=(-20, 20), integrality=True, budget=1000, batch=True
    )
    np.testing.assert_array_equal(found.x, target)


@pytest.mark.parametrize(
    ("start", "message"),
    [
        (1.0, r"vector of at least one number, got shape \(\)"),
        ([], r"at least one number, got shape \(0,\)"),
        ([[1.0, 2.0]], r"got shape \(1, 2\); flatten it"),
        ([1.0, math.nan], r"start\[1\] = nan is not finite"),
        ([math.inf], r"start\[0\] = inf is not finite"),
        (["one"], "start must consist of real numbers"),
        ([10**400], "start must consist of real numbers"),
        (None, "start must consist of real numbers"),
        ([[1.0], [1.0, 2.0]], "start must consist of real numbers"),
        (torch.ones(2, dtype=torch.complex64), "real and imaginary parts apart"),
    ],
)
def test_useless_starts_are_refused(start: Any, message: str) -> None:
    with pytest.raises(BlackBoxError, match=message):
        minimize(sum, start)


@pytest.mark.parametrize(
    ("bounds", "message"),
    [
        ([(0, 3), (3, 0)], r"bounds\[1\] = \(3, 0\): the lower bound must be below the upper one; swap them"),
        ([(0, 3), (1, 1)], r"bounds\[1\] = \(1, 1\): .* drop the coordinate"),
        ([(0, 3)], "one pair .* or 2 of them"),
        ([(0, 3), (0, 1, 2)], "one pair .* or 2 of them"),
        (5, "one pair .* or 2 of them"),
        ([(0, 3), (0, [1, 2])], "bounds must consist of real numbers"),
        ([(0, 3), (2, None)], r"start\[1\] = 1 lies outside its bounds; move the start"),
        ([(0, 3), (0, math.nan)], r"bounds\[1\] .* not a pair of numbers"),
        ([(0, 3), ("a", "b")], "bounds must consist of real numbers"),
        ([np.array(3.0), np.array(2.0)], r"bounds\[0\] = \(3, 2\): the lower bound must be below the upper one"),
    ],
)
def test_useless_bounds_are_refused(bounds: Any, message: str) -> None:
    with pytest.raises(BlackBoxError, match=message):
        minimize(sum, [1.0, 1.0], bounds=bounds)


@pytest.mark.parametrize("start", [np.array([2.0, 1.0])[::-1], pandas.Series([1.0, 2.0])], ids=["reversed", "series"])
def test_a_start_may_be_any_array(start: Any) -> None:
    found = minimize(lambda x: float(((x - 1) ** 2).sum()), start, bounds=(-5, 5), budget=50)
    assert found.x.shape == (2,)


def test_bounds_may_be_numbers_of_numpy() -> None:
    found = minimize(lambda x: float((x**2).sum()), [1.0, 1.0], bounds=[np.array(0.5), np.array(2.0)], budget=200)
    assert (found.x >= 0.5).all()


def test_integrality_that_is_no_truth_value_is_refused() -> None:
    with pytest.raises(BlackBoxError, match="integrality must consist of truth values, got 'yes'"):
        minimize(sum, [1.0, 1.0], integrality="yes")  # type: ignore[arg-type]


def test_whole_numbers_need_whole_starts_and_bounds() -> None:
    with pytest.raises(BlackBoxError, match=r"start\[1\] = 0.5 must be a whole number"):
        minimize(sum, [1.0, 0.5], integrality=True)
    with pytest.raises(BlackBoxError, match=r"upper bounds\[0\] = 2.5 must be a whole number"):
        minimize(sum, [1.0, 0.5], integrality=[True, False], bounds=(0, 2.5))
    with pytest.raises(BlackBoxError, match="one truth value or 2, one per coordinate"):
        minimize(sum, [1.0, 0.5], integrality=[True, False, False])
