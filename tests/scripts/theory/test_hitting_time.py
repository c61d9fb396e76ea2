"""Hitting times of threshold networks: definitions, limits, and what readers are told."""

from typing import Any

import pytest
import torch

from polystep.contracts import ExpectedError
from polystep.random import named_generator
from scripts.theory.hitting_time import HittingTime
from scripts.theory.threshold_network import ThresholdProblem

SMALL: dict[str, Any] = {
    "dimensions": [2, 4], "depths": [1, 2], "widths": [4, 8], "probe_radii": [0.3, 3.0], "repetitions": 6, "steps": 12,
    "quiet": 3, "samples": 16, "temperature": 0.25, "jitter": 0.05, "seed": 0,
}  # fmt: skip


def test_losses_are_piecewise_constant() -> None:
    problem = ThresholdProblem(depth=2, width=4, samples=16, seed=0)
    start = problem.start(named_generator(0, "start"))
    near = start + 1e-6 * torch.randn(64, len(start), generator=named_generator(0, "near"))
    far = start + torch.randn(64, len(start), generator=named_generator(0, "far"))
    assert len(problem.losses(near).unique()) == 1
    assert len(problem.losses(far).unique()) > 2
    assert torch.equal(problem.losses(far) * 16, (problem.losses(far) * 16).round())


def test_every_triple_of_values_occurs_once() -> None:
    values = {"dimensions": [1, 2, 3, 4], "depths": [1, 2, 3, 4], "widths": [1, 2, 3, 4], "probe_radii": [1, 2, 3, 4]}
    settings = list(HittingTime(**(SMALL | values)).settings())
    for left_out in range(4):
        triples = [setting[:left_out] + setting[left_out + 1 :] for setting in settings]
        assert len(set(triples)) == len(triples) == 64


def test_times_and_what_is_told_of_them() -> None:
    study = HittingTime(**SMALL)
    found = study.run()
    (row, *_) = rows = found["hitting_time"]
    assert (row["dimension"], row["depth"], row["width"], row["probe_radius"]) == (2, 1, 4, 0.3)
    times = [time for row in rows for time in row["improved_at"] if time is not None]
    assert times and min(times) >= 1 and max(times) <= SMALL["steps"]
    section = study.section(found)
    assert [len(table.rows) for table in section.tables] == [8, 2, 4]
    assert study.run() == found


def test_walls_beyond_reach_are_reported() -> None:
    study = HittingTime(**(SMALL | {"probe_radii": [1e-9, 2e-9]}))
    found = study.run()
    assert all(time is None for row in found["hitting_time"] for time in row["improved_at"])
    # where no probe sees anything better, the start itself is a local optimum
    assert all(time == 0 for row in found["hitting_time"] for time in row["settled_at"])
    assert "no wall was found there" in study.section(found).answer[0]


def test_a_temperature_of_zero_is_refused() -> None:
    with pytest.raises(ExpectedError, match="temperature must be above 0"):
        HittingTime(**(SMALL | {"temperature": 0.0})).run()
