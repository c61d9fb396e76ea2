"""The command that works through a profile and reports."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from polystep.bench.studies import choice_files
from polystep.records import RunRecord, read_record
from scripts import report, reproduce, sweep
from scripts.console import CONFIGS

FAULTY = Path(__file__).parent / "faulty_configs"
SMALL = {
    "hydra.searchpath": f"[file://{FAULTY}]",
    "task.evaluation": "functional",
    "task.batch_size": 32,
    "task.network.hidden": 4,
    "budget.steps": 2,
}
FIRST, SECOND = ({"task": "snn_digits", "optimizer": "faulty", "overrides": SMALL | {"seed": seed}} for seed in (1, 2))

Reproduce = Callable[..., tuple[int, str]]


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Reproduce:
    """Writes a profile of the given runs and works through it; returns the exit status and what was shown."""
    shutil.copytree(CONFIGS, tmp_path / "configs")
    monkeypatch.setattr("scripts.sweep.CONFIGS", tmp_path / "configs")
    # what is committed is none of these tests' business
    (tmp_path / "committed").mkdir()
    for module in (reproduce, report, sweep):
        monkeypatch.setattr(module, "COMMITTED", tmp_path / "committed")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(reproduce.console, "width", 500)
    (tmp_path / "faults").mkdir()

    def command(*runs: dict[str, Any], flags: tuple[str, ...] = ()) -> tuple[int, str]:
        (tmp_path / "configs" / "profile" / "tiny.yaml").write_text(json.dumps({"runs": runs}))
        return reproduce.main(["--profile", "tiny", *flags]), capsys.readouterr().out

    return command


def records() -> list[RunRecord]:
    return [read_record(path.parent) for path in sorted(Path("results/reproduction/records").glob("*/run.json"))]


def test_a_profile_is_planned_worked_through_reported_and_then_skipped(command: Reproduce) -> None:
    status, shown = command(FIRST, SECOND, flags=("--dry-run",))
    assert status == 0 and "Profile tiny: 2 runs, about ? minutes left, by earlier records" in shown
    assert not Path("results").exists()
    status, shown = command(FIRST, SECOND)
    assert status == 0
    assert "run 1 of 2" in shown and "run 2 of 2" in shown
    assert re.search(r"report, after [\d.]+ minutes, \? by the plan", shown)
    assert "report from 2 finished runs" in shown and Path("results/reproduction/REPORT.md").exists()
    assert shown.index("run 2 of 2") < shown.index("report from")
    assert [record.status for record in records()] == ["finished"] * 2
    status, shown = command(FIRST, SECOND)
    assert status == 0 and "run 1 of" not in shown and "report from 2 finished runs" in shown


def test_a_failing_run_does_not_stop_the_others(command: Reproduce) -> None:
    Path("faults/1").write_text("raise")
    status, shown = command(FIRST, SECOND)
    assert status == 1 and "ArithmeticError: the fault that was asked for" in shown
    assert [record.status for record in records()] == ["failed", "finished"]
    assert "report from 1 finished runs" in shown and "Expected runs without a finished record: 1" in shown


def test_where_no_run_can_begin_there_is_no_report(command: Reproduce) -> None:
    status, shown = command({"task": "maxsat", "optimizer": "polystep", "overrides": {"task.instance": "absent.cnf"}})
    assert status == 2 and "absent.cnf" in shown
    assert "no finished run was found, so nothing is written to results/reproduction" in shown


def test_an_interruption_stops_without_a_report(command: Reproduce) -> None:
    Path("faults/1").write_text("interrupt")
    status, shown = command(FIRST, SECOND)
    assert status == 130 and "interrupted; repeat the command to continue" in shown
    assert [record.status for record in records()] == ["interrupted"]
    assert not Path("results/reproduction/REPORT.md").exists()


@pytest.mark.parametrize("override", ["optimizer=unknown", "sede=1"])
def test_a_wrong_setting_shows_before_anything_is_computed(command: Reproduce, override: str) -> None:
    key, value = override.split("=")
    second = SECOND | {key: value} if key == "optimizer" else SECOND | {"overrides": SMALL | {key: int(value)}}
    status, shown = command(FIRST, second)
    assert status == 2 and shown.startswith("error: ") and override.split("=")[0] in shown
    assert not Path("results").exists()


def test_an_unknown_profile_is_answered_with_the_valid_ones(command: Reproduce, capsys: Any) -> None:
    assert reproduce.main(["--profile", "unknown"]) == 2
    names = ", ".join(choice_files([CONFIGS], "profile"))
    assert capsys.readouterr().out == f"error: profile unknown does not exist; choose one of {names}\n"
