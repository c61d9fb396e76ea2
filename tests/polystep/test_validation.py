"""Checks of settings."""

import math
import re
from functools import partial

import pytest
import torch

from polystep.contracts import ExpectedError
from polystep.schedule import Constant, LinearOverSteps, Moment
from polystep.validation import (
    SettingError,
    at_least,
    name_of,
    non_negative,
    one_of,
    place_of,
    positive,
    positive_schedule,
    share_below_one,
)


@pytest.mark.parametrize("value", [0.0, -1.0, math.nan, math.inf, -math.inf])
def test_what_is_not_positive_is_named(value: float) -> None:
    with pytest.raises(ValueError, match=f"sigma must be a number above 0, got {value}"):
        positive(value, "sigma")
    with pytest.raises(ValueError, match=f"sigma must be a number above 0, got {value}"):
        positive_schedule(value, "sigma", may_vanish=True)
    if value:
        with pytest.raises(ValueError, match=f"decay must be a number of at least 0, got {value}"):
            non_negative(value, "decay")


def test_usable_values_pass() -> None:
    assert positive(0.5, "sigma") == 0.5
    assert non_negative(0.0, "decay") == 0.0
    assert positive_schedule(2, "sigma") == Constant(2.0)
    assert positive_schedule(LinearOverSteps(1.0, 0.5, 2), "sigma").at(Moment(1, 0.0)) == 0.75


@pytest.mark.parametrize("first", [0.0, -1.0, math.nan])
def test_schedule_with_an_unusable_start_is_refused_at_once(first: float) -> None:
    with pytest.raises(SettingError, match=f"sigma must be above 0 at every step, got {first} at step 0"):
        positive_schedule(LinearOverSteps(first, 1.0, 2), "sigma")


def test_schedule_is_watched_at_every_step() -> None:
    sigma, rate = (
        positive_schedule(LinearOverSteps(1.0, 0.0, 2), "rate", may_vanish=vanish) for vanish in (False, True)
    )
    assert rate.at(Moment(2, 0.0)) == 0.0
    with pytest.raises(
        ExpectedError, match=r"rate must be above 0 at every step, got 0\.0 at step 2; change the start"
    ):
        sigma.at(Moment(2, 0.0))
    falling = positive_schedule(LinearOverSteps(1.0, -1.0, 4), "rate", may_vanish=True)
    with pytest.raises(SettingError, match=r"rate must be at least 0 at every step, got -0\.5 at step 3"):
        falling.at(Moment(3, 0.0))


def test_settings_out_of_range_are_named_with_what_is_allowed() -> None:
    at_least(1, steps=1, passes=3)
    share_below_one(beta=0.0)
    one_of(("mean", "median"), report="mean")
    with pytest.raises(SettingError, match="passes must be at least 1, got 0"):
        at_least(1, steps=1, passes=0)
    for value in (1.0, -0.1, math.nan):
        with pytest.raises(SettingError, match=rf"beta must lie in \[0, 1\), got {value}"):
            share_below_one(beta=value)
    with pytest.raises(SettingError, match="report must be 'mean', 'median' or 'best', got 'worst'"):
        one_of(("mean", "median", "best"), report="worst")


def test_the_place_of_an_error_is_the_last_one_outside_of_packages() -> None:
    with pytest.raises(RuntimeError) as raised:
        torch.nn.Linear(2, 3)(torch.zeros(5))
    assert re.fullmatch(rf"{re.escape(__file__)}, line \d+", place_of(raised.value))
    with pytest.raises(SyntaxError) as raised_here:
        compile("1 +\n2 2", "own.py", "exec")
    assert place_of(raised_here.value) == "own.py, line 1"


def test_names_of_functions_are_the_same_wherever_they_are_defined() -> None:
    class Own:
        def __call__(self) -> None: ...

    def loss() -> None: ...

    assert name_of(loss) == name_of(partial(partial(loss))) == "loss" and name_of(Own()) == "Own"
