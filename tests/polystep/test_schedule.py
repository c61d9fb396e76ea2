"""Schedules (method sections 5 and 9)."""

import math

import pytest

from polystep.schedule import (
    Constant,
    Cosine,
    Linear,
    ProportionalToTemperature,
    ReversedCosine,
    ScaledToSize,
    Schedule,
    as_schedule,
)


@pytest.mark.parametrize(
    ("schedule", "step", "value"),
    [
        (Constant(3.0), 0, 3.0),
        (Constant(3.0), 999, 3.0),
        (Linear(5.0, 1.0, 8), 0, 5.0),
        (Linear(5.0, 1.0, 8), 2, 4.0),
        (Linear(5.0, 1.0, 8), 8, 1.0),
        (Linear(5.0, 1.0, 8), 9, 1.0),
        (Linear(1.0, 5.0, 4), 1, 2.0),
        (Cosine(5.0, 1.0, 8), 0, 5.0),
        (Cosine(5.0, 1.0, 8), 2, 3 + 2 * math.cos(math.pi / 4)),
        (Cosine(5.0, 1.0, 8), 4, 3.0),
        (Cosine(5.0, 1.0, 8), 8, 1.0),
        (Cosine(5.0, 1.0, 8), 16, 1.0),
        (ReversedCosine(5.0, 0.5), 0, 0.5),
        (ReversedCosine(5.0, 0.5), 1, 5.0),
        (ReversedCosine(5.0, 0.5), 999, 5.0),
        (ScaledToSize(ReversedCosine(3000.0, 600.0), 1000, 100_000), 0, 60.0),
        (ScaledToSize(ReversedCosine(3000.0, 600.0), 1000, 100_000), 1, 300.0),
    ],
)
def test_value(schedule: Schedule, step: int, value: float) -> None:
    assert schedule.at(step, temperature=123.0) == pytest.approx(value)


def test_proportional_schedule_follows_the_temperature() -> None:
    assert ProportionalToTemperature(2.0).at(7, temperature=0.5) == 1.0


def test_number_becomes_a_constant_and_a_schedule_stays() -> None:
    assert as_schedule(2, "step_radius") == Constant(2.0)
    schedule = Linear(1.0, 0.0, 3)
    assert as_schedule(schedule, "step_radius") is schedule


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_number_that_is_not_finite_is_an_error(value: float) -> None:
    with pytest.raises(ValueError, match="step_radius must be a finite number"):
        as_schedule(value, "step_radius")


@pytest.mark.parametrize("schedule", [Linear, Cosine])
def test_schedule_without_steps_is_an_error(schedule: type) -> None:
    with pytest.raises(ValueError, match="at least 1 step, got 0"):
        schedule(1.0, 0.0, 0)


@pytest.mark.parametrize(("size", "reference"), [(0, 10), (10, 0)])
def test_sizes_must_be_positive(size: int, reference: int) -> None:
    with pytest.raises(ValueError, match=f"at least 1, got {size} and {reference}"):
        ScaledToSize(Constant(1.0), size, reference)
