"""Schedules."""

import math
from typing import Any

import numpy as np
import pytest

from polystep.bench.ledger import Budget, Ledger
from polystep.schedule import (
    Constant,
    Cosine,
    CosineOfDefaultLength,
    CosineOverSteps,
    Geometric,
    Linear,
    LinearOverSteps,
    Moment,
    PowerDecay,
    ProportionalToTemperature,
    ReversedCosine,
    ScaledToSize,
    Schedule,
    as_schedule,
)


@pytest.mark.parametrize(
    ("schedule", "used", "value"),
    [
        (Constant(3.0), 0.0, 3.0),
        (Constant(3.0), 1.0, 3.0),
        (Linear(5.0, 1.0), 0.0, 5.0),
        (Linear(5.0, 1.0), 0.25, 4.0),
        (Linear(5.0, 1.0), 1.0, 1.0),
        (Linear(1.0, 5.0), 0.25, 2.0),
        (Cosine(5.0, 1.0), 0.0, 5.0),
        (Cosine(5.0, 1.0), 0.25, 3 + 2 * math.cos(math.pi / 4)),
        (Cosine(5.0, 1.0), 0.5, 3.0),
        (Cosine(5.0, 1.0), 1.0, 1.0),
        (Geometric(8.0, 0.5), 0.0, 8.0),
        (Geometric(8.0, 0.5), 0.5, 2.0),
        (Geometric(8.0, 0.5), 1.0, 0.5),
        (ScaledToSize(Linear(5.0, 1.0), 400, 100), 0.5, 6.0),
    ],
)
def test_value_over_the_budget(schedule: Schedule, used: float, value: float) -> None:
    """It knows no step: a run of seconds does not know how many it will make."""
    for step in (0, 7, 10**9):
        assert schedule.at(Moment(step, used)) == pytest.approx(value)


@pytest.mark.parametrize(
    ("schedule", "step", "value"),
    [
        (LinearOverSteps(5.0, 1.0, 8), 0, 5.0),
        (LinearOverSteps(5.0, 1.0, 8), 2, 4.0),
        (LinearOverSteps(5.0, 1.0, 8), 8, 1.0),
        (LinearOverSteps(5.0, 1.0, 8), 9, 1.0),
        (CosineOverSteps(5.0, 1.0, 8), 0, 5.0),
        (CosineOverSteps(5.0, 1.0, 8), 2, 3 + 2 * math.cos(math.pi / 4)),
        (CosineOverSteps(5.0, 1.0, 8), 8, 1.0),
        (CosineOverSteps(5.0, 1.0, 8), 16, 1.0),
        (CosineOfDefaultLength(5.0, 0.5), 0, 5.0),
        (CosineOfDefaultLength(5.0, 0.5), 225, 2.75),
        (CosineOfDefaultLength(5.0, 0.5), 450, 0.5),
        (CosineOfDefaultLength(5.0, 0.5), 9999, 0.5),
        (CosineOfDefaultLength(100.0, 20.0, 1000, 100_000), 0, 10.0),
        (CosineOfDefaultLength(100.0, 20.0, 1000, 100_000), 400, 6.0),
        (CosineOfDefaultLength(100.0, 20.0, 1000, 100_000), 800, 2.0),
        (PowerDecay(8.0, 0.5), 0, 8.0),
        (PowerDecay(8.0, 0.5), 3, 2.0),
        (PowerDecay(8.0, 0.1), 31, 1.0),
        (ReversedCosine(5.0, 0.5), 0, 0.5),
        (ReversedCosine(5.0, 0.5), 1, 5.0),
        (ReversedCosine(5.0, 0.5), 999, 5.0),
        (ScaledToSize(ReversedCosine(3000.0, 600.0), 1000, 100_000), 0, 60.0),
        (ScaledToSize(ReversedCosine(3000.0, 600.0), 1000, 100_000), 1, 300.0),
    ],
)
def test_value_over_steps(schedule: Schedule, step: int, value: float) -> None:
    for used in (0.0, 0.3, 1.0):
        assert schedule.at(Moment(step, used)) == pytest.approx(value)


@pytest.mark.parametrize("steps", [1, 3, 7, 181, 3540])
@pytest.mark.parametrize(("over_budget", "over_steps"), [(Linear, LinearOverSteps), (Cosine, CosineOverSteps)])
def test_with_a_budget_of_steps_both_kinds_are_the_same(over_budget: type, over_steps: type, steps: int) -> None:
    budget, ledger = Budget(steps=steps), Ledger()
    for step in range(steps + 1):
        now = Moment(step, budget.used(step, ledger))
        assert over_budget(0.3, 0.01).at(now) == pytest.approx(over_steps(0.3, 0.01, steps).at(now), rel=1e-14)


def test_proportional_schedule_follows_the_temperature() -> None:
    assert ProportionalToTemperature(2.0).at(Moment(7, 0.1, temperature=0.5)) == 1.0


def test_a_method_without_a_temperature_cannot_follow_one() -> None:
    with pytest.raises(ValueError, match="needs a method that has one"):
        ProportionalToTemperature(2.0).at(Moment(0, 0.0))


@pytest.mark.parametrize("used", [-0.1, 1.1, 40.0, math.nan])
def test_the_used_share_lies_between_0_and_1(used: float) -> None:
    with pytest.raises(ValueError, match=rf"must lie in \[0, 1\], got {used}"):
        Moment(0, used)


def test_number_becomes_a_constant_and_a_schedule_stays() -> None:
    assert as_schedule(2, "step_radius") == Constant(2.0)
    schedule = Linear(1.0, 0.0)
    assert as_schedule(schedule, "step_radius") is schedule


def test_numbers_of_numpy_are_numbers() -> None:
    assert as_schedule(np.float32(0.5), "step_radius") == as_schedule(np.float64(0.5), "step_radius") == Constant(0.5)
    assert as_schedule(np.int64(2), "step_radius") == Constant(2.0)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, "0.1", None, True, np.ones(2)])
def test_what_is_neither_a_finite_number_nor_a_schedule_is_an_error(value: Any) -> None:
    with pytest.raises(ValueError, match="step_radius must be a finite number or a schedule"):
        as_schedule(value, "step_radius")


@pytest.mark.parametrize("schedule", [LinearOverSteps, CosineOverSteps])
def test_schedule_without_steps_is_an_error(schedule: type) -> None:
    with pytest.raises(ValueError, match="at least 1 step, got 0"):
        schedule(1.0, 0.0, 0)


@pytest.mark.parametrize(("size", "reference"), [(0, 10), (10, 0)])
def test_sizes_must_be_positive(size: int, reference: int) -> None:
    with pytest.raises(ValueError, match=f"at least 1, got {size} and {reference}"):
        ScaledToSize(Constant(1.0), size, reference)
    with pytest.raises(ValueError, match=f"at least 1, got {size} and {reference}"):
        CosineOfDefaultLength(5.0, 1.0, size, reference)


@pytest.mark.parametrize(
    ("start", "end", "size", "steps"),
    [
        (5.0, 0.5, 100_000, 450),
        (3000.0, 600.0, 100, 7590),
        (3000.0, 600.0, 100_000, 240_000),
        (100.0, 20.0, 100, 253),
        (100.0, 20.0, 500, 566),
        (100.0, 20.0, 1000, 800),
        (100.0, 20.0, 5000, 1789),
        (100.0, 20.0, 20_000, 3578),
        (100.0, 20.0, 100_000, 8000),
        (1.0, 5.0, 100_000, 1),
    ],
)
def test_default_lengths_of_the_published_cosines(start: float, end: float, size: int, steps: int) -> None:
    assert CosineOfDefaultLength(start, end, size, 100_000).steps == steps


@pytest.mark.parametrize("gamma", [0.0, -0.1, 0.6, math.nan])
def test_power_decay_must_be_summable_in_squares_only(gamma: float) -> None:
    with pytest.raises(ValueError, match=r"gamma must lie in \(0, 0.5\]"):
        PowerDecay(1.0, gamma)


@pytest.mark.parametrize("ends", [(0.0, 1.0), (1.0, 0.0), (-1.0, -2.0)])
def test_geometric_ends_lie_above_zero(ends: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="start and end must be above 0"):
        Geometric(*ends)
