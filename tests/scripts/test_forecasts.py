"""Runs of forecasts beside persistence: the same windows."""

from pathlib import Path

import pytest
from pandas import concat

from polystep.contracts import ExpectedError
from polystep.report import load_runs
from scripts import forecasts
from tests.scripts.in_process import compute

SMALL = [
    "task=etth1",
    "task.series=sines",
    "task.history=6",
    "task.horizon=3",
    "task.network.hidden=2",
    "optimizer=random_search",
    "budget.steps=3",
]


def test_persistence_is_a_row_beside_each_method(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    compute(tmp_path, *SMALL, "seed=1,2")
    runs_here = load_runs(tmp_path)
    assert set(runs_here["task"]) == {"sines"}, "another series is another task"
    own, floor = forecasts.forecast_table(runs_here, "absent folder").rows
    assert (own["method"], own["study"], own["seeds"]) == ("random_search", "default", 2)
    assert own["test"].low <= own["test"].value <= own["test"].high
    assert floor["method"] == "persistence"
    windows = {"task.series": "sines", "task.history": 6, "task.horizon": 3}
    expected = forecasts.persistence(windows, "absent folder")
    assert (floor["validation"].value, floor["test"].value) == expected
    assert forecasts.persistence({**windows, "task.horizon": 12}, "absent folder")[1] > expected[1]
    capsys.readouterr()
    assert forecasts.main([str(tmp_path)]) == 0
    assert "| persistence |" in capsys.readouterr().out


def test_repeated_runs_and_trials_count_no_seed_twice(tmp_path: Path) -> None:
    compute(tmp_path, *SMALL, "seed=1")
    once = load_runs(tmp_path)
    again = once.assign(ended="2100-01-01", test_selected=0.5, validation_selected=0.5)
    trial = once.assign(protocol="tuning", seed=7)
    # beside other tasks, columns of whole numbers have gaps
    other = once[["run_id", "protocol", "status"]].assign(**{"task.component": "maxsat"})
    everything = concat([again, once, trial, other], ignore_index=True)
    own, _ = forecasts.forecast_table(everything, "absent folder").rows
    assert (own["seeds"], own["test"].value) == (1, 0.5)


def test_other_settings_of_a_method_are_told_apart(tmp_path: Path) -> None:
    compute(tmp_path, *SMALL, "seed=1")
    once = load_runs(tmp_path)
    both = concat([once, once.assign(cell_id="zzzzzzzz")], ignore_index=True)
    rows = forecasts.forecast_table(both, "absent folder").rows
    assert [row["method"] for row in rows] == ["random_search", "random_search (zzzzzz)", "persistence"]


def test_a_series_that_cannot_be_had_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    compute(tmp_path, *SMALL, "seed=1")
    etth1 = load_runs(tmp_path).assign(**{"task.series": "etth1"})
    with pytest.raises(ExpectedError, match="ETTh1"):
        forecasts.forecast_table(etth1, str(tmp_path / "absent"))


def test_without_runs_the_command_to_make_some_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert forecasts.main([str(tmp_path)]) == 2
    assert "make some with python -m scripts.sweep task=etth1" in capsys.readouterr().out.replace("\n", " ")
