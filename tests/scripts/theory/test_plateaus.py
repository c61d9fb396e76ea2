"""Particles on plateaus: who moves them, and by how much."""

import pytest

from polystep import weighting
from polystep.component import Component
from polystep.contracts import ExpectedError
from scripts.theory.plateaus import WEIGHTINGS, Plateaus

PARAMETERS = {
    "polytopes": {"orthoplex": [3], "simplex": [2], "cube": [2]}, "particles": 6, "slope": 1.0,
    "column_penalties": [0, 0.1, 1, 10], "companions": [7, 255], "repeats": 20, "seed": 0,
}  # fmt: skip


def test_every_weighting_is_there() -> None:
    declared = {
        value for value in vars(weighting).values() if isinstance(getattr(value, "__component__", None), Component)
    }
    assert declared == {type(build()) for build in WEIGHTINGS.values()}


def test_who_moves_a_particle_on_a_plateau() -> None:
    found = Plateaus(**PARAMETERS).run()  # type: ignore[arg-type]
    moving = {row["weighting"] for row in found["freeze"] if row["beside_others"] > 1e-6}
    assert moving == {"partly drawn", "Sinkhorn, penalty ε", "Sinkhorn"}
    assert {row["weighting"] for row in found["freeze"] if row["alone"] > 1e-6} == {"partly drawn"}


def test_the_ghost_drift_grows_with_the_penalty_and_falls_with_company() -> None:
    rows = Plateaus(**PARAMETERS).run()["ghost_drift"]  # type: ignore[arg-type]
    few, many = ([row["mean_distance"] for row in rows if row["companions"] == n] for n in (7, 255))
    assert few[0] == many[0] == 0.0
    assert few == sorted(few) and few[-1] > 10 * few[1] > 0
    assert all(own > other for own, other in zip(few[1:], many[1:], strict=True))


def test_no_slope_is_refused() -> None:
    with pytest.raises(ExpectedError, match="slope is 0"):
        Plateaus(**(PARAMETERS | {"slope": 0.0})).run()  # type: ignore[arg-type]
