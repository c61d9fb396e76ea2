"""The command that works through a profile."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from torch import Tensor

from polystep.algorithm import PolyStep
from polystep.bench.lock import exclusive
from polystep.bench.profiles import profile_names
from polystep.bench.records import RunRecord, read_records
from scripts import reproduce
from scripts.console import CONFIGS
from tasks import classification
from tasks.data import DataUnavailable

SMALL = ["task.batch_size=32", "task.network.hidden=4", "optimizer.subspace.rank=8", "budget.steps=2", "threads=1"]
DIGITS = ["task=snn_digits", "task.evaluation=incremental", *SMALL]
FIRST, SECOND = ({"overrides": [*DIGITS, f"seed={seed}"], "minutes": 2 * seed} for seed in (1, 2))

Reproduce = Callable[..., tuple[int, str]]


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Reproduce:
    """Writes a profile of the given runs and works through it; returns the exit status and what was shown."""
    shutil.copytree(CONFIGS, tmp_path / "configs")
    monkeypatch.setattr(reproduce, "CONFIGS", tmp_path / "configs")
    monkeypatch.setattr("scripts.report.CONFIGS", tmp_path / "configs")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(reproduce.console, "width", 500)

    def command(*runs: dict[str, Any]) -> tuple[int, str]:
        (tmp_path / "configs" / "profile" / "tiny.yaml").write_text(json.dumps({"runs": runs}))
        return reproduce.main(["--profile", "tiny"]), capsys.readouterr().out

    return command


def records() -> list[RunRecord]:
    found, problems = read_records(Path("results/reproduction/records"))
    assert problems == []
    return found


def replace_tell(monkeypatch: pytest.MonkeyPatch, call: int, error: BaseException) -> None:
    """The given call of the optimiser, over all runs and counted from one, raises `error`."""
    original, calls = PolyStep.tell, iter(range(1, 100))

    def tell(self: PolyStep, losses: Tensor) -> Any:
        if next(calls) == call:
            raise error
        return original(self, losses)

    monkeypatch.setattr(PolyStep, "tell", tell)


def test_a_profile_is_planned_worked_through_reported_and_then_skipped(command: Reproduce) -> None:
    status, shown = command(FIRST, SECOND)
    assert status == 0
    assert "Profile tiny: 2 runs, about 6 minutes on two cores; finished runs are skipped" in shown
    for run in (FIRST, SECOND):
        assert " ".join(run["overrides"]) in shown
    assert "run 1 of 2, at most 6 minutes left" in shown and "run 2 of 2, at most 4 minutes left" in shown
    assert "report from 2 finished runs" in shown and Path("results/reproduction/REPORT.md").exists()
    assert shown.index("run 2 of 2") < shown.index("report from")
    assert [record.status for record in records()] == ["finished"] * 2
    status, shown = command(FIRST, SECOND)
    assert status == 0 and shown.count("already done") == 2 and "report from 2 finished runs" in shown


def test_a_failing_run_does_not_stop_the_others(command: Reproduce, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as context:
        replace_tell(context, 2, ArithmeticError("all losses are NaN"))
        status, shown = command(FIRST, SECOND)
    assert status == 1 and "failed: ArithmeticError: all losses are NaN" in shown
    assert [record.status for record in records()] == ["failed", "finished"]
    assert "report from 1 finished runs" in shown and "Expected runs without a finished record: 1" in shown
    status, shown = command(FIRST, SECOND)
    assert status == 0 and shown.count("already done") == 1 and "report from 2 finished runs" in shown


def test_an_interruption_stops_and_repeating_continues(command: Reproduce, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as context:
        replace_tell(context, 2, KeyboardInterrupt())
        status, shown = command(FIRST, SECOND)
    assert status == 130 and "interrupted; repeat the command to continue" in shown
    assert [record.status for record in records()] == ["interrupted"] and not Path(
        "results/reproduction/REPORT.md"
    ).exists()
    assert command(FIRST, SECOND)[0] == 0
    assert [record.status for record in records()] == ["finished"] * 2


def test_a_run_under_way_elsewhere_is_left_alone(command: Reproduce) -> None:
    command(FIRST)
    (record,) = records()
    (record.folder / "run.json").unlink()
    with exclusive(record.folder):
        status, shown = command(FIRST, SECOND)
    assert status == 3 and "busy: " in shown
    assert [record.labels["seed"] for record in records()] == [2]


@pytest.mark.parametrize("override", ["optimizer=unknown", "sede=1", "budget.steps=0"])
def test_a_wrong_setting_shows_before_anything_is_computed(command: Reproduce, override: str) -> None:
    status, shown = command(FIRST, {"overrides": [*DIGITS, override], "minutes": 1})
    assert status == 2 and shown.startswith("error: ") and override.split("=")[0] in shown
    assert not Path("results").exists()


def test_a_setting_that_the_data_refuses_does_not_stop_the_others(command: Reproduce) -> None:
    status, shown = command({"overrides": [*DIGITS, "task.validation_size=9999"], "minutes": 1}, SECOND)
    assert status == 2 and "task.validation_size must lie in 1..1436" in shown
    assert [record.status for record in records()] == ["finished"]
    assert "report from 1 finished runs" in shown


def test_an_unknown_profile_is_answered_with_the_valid_ones(command: Reproduce, capsys: Any) -> None:
    assert reproduce.main(["--profile", "unknown"]) == 2
    names = ", ".join(profile_names(CONFIGS))
    assert capsys.readouterr().out == f"error: profile unknown does not exist; choose one of {names}\n"


@pytest.mark.parametrize("substitute", [True, False])
def test_data_that_cannot_be_had_are_replaced_where_the_profile_says_so(
    command: Reproduce, substitute: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    load = classification.load_dataset

    def load_dataset(name: Any, folder: Path) -> Any:
        if name == "mnist":
            raise DataUnavailable("mnist: no source delivered it; look at [/etc/hosts]")
        return load(name, folder)

    monkeypatch.setattr(classification, "load_dataset", load_dataset)
    run: dict[str, Any] = {"overrides": ["task=snn", *SMALL], "minutes": 1}
    status, shown = command(run | ({"without_data": FIRST["overrides"]} if substitute else {}), SECOND)
    assert "error: mnist: no source delivered it; look at [/etc/hosts]" in shown
    assert status == (0 if substitute else 2)
    assert ("THE DATA CANNOT BE HAD" in shown) == substitute
    assert [record.labels["task"] for record in records()] == ["snn_digits"] * (1 + substitute)
    # the run of the profile itself is still missing
    assert "Expected runs without a finished record: 1" in shown
