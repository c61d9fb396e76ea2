"""What a launcher computes for one run: its outcome, and what is noted where no record says it."""

import re
from pathlib import Path
from typing import Any

import pytest

from polystep.bench.lock import exclusive
from polystep.bench.profiles import PlannedRun
from polystep.bench.sweeps.folder import SweepFolder
from polystep.bench.sweeps.plan import SweepRun
from polystep.records import read_record
from scripts import jobs
from scripts.jobs import perform
from tasks import classification
from tasks.data import DataUnavailable

SMALL = ["task.batch_size=32", "task.network.hidden=4", "optimizer.subspace.rank=8", "budget.steps=2"]
DIGITS = ("task=snn_digits", "task.evaluation=incremental", *SMALL)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SweepFolder:
    monkeypatch.chdir(tmp_path)
    return SweepFolder(tmp_path / "sweep")


def run_of(*overrides: str, without_data: tuple[str, ...] | None = None) -> SweepRun:
    return SweepRun(PlannedRun(overrides, without_data), "identity", ("task", "study"), Path("records"), None, 0)


def records() -> list[Any]:
    return [read_record(path.parent) for path in sorted(Path("results/reproduction/records").glob("*/run.json"))]


def test_a_run_uses_the_cores_that_it_is_given(folder: SweepFolder) -> None:
    assert perform(run_of(*DIGITS), folder, 1) == 0
    assert records()[0].context["threads"] == 1 and folder.reason("identity") is None
    # done before
    assert perform(run_of(*DIGITS), folder, 1) == 0
    next(Path("results/reproduction/records").glob("*/run.json")).unlink()
    with exclusive(next(Path("results/reproduction/records").iterdir())):
        assert perform(run_of(*DIGITS), folder, 1) == 3 and folder.reason("identity") is None


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ("task.validation_size=9999", r"task\.validation_size must be a whole number in 1\.\.1436"),
        ("task.dataset=broken", r"ZeroDivisionError in .*test_jobs\.py, line \d+: by design"),
    ],
)
def test_what_fails_before_there_is_a_record_is_noted(
    folder: SweepFolder, monkeypatch: pytest.MonkeyPatch, wrong: str, reason: str
) -> None:
    load = classification.load_dataset

    def load_dataset(name: Any, folder: Path) -> Any:
        if name == "broken":
            raise ZeroDivisionError("by design")
        return load(name, folder)

    monkeypatch.setattr(classification, "load_dataset", load_dataset)
    assert perform(run_of(*DIGITS, wrong), folder, 1) == 2
    assert re.search(reason, str(folder.reason("identity"))) and records() == []


def test_a_fault_of_the_suite_itself_is_noted_too(folder: SweepFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    def prepare(*_: Any) -> Any:
        raise ZeroDivisionError("by design")

    monkeypatch.setattr(jobs, "prepare", prepare)
    assert perform(run_of(*DIGITS), folder, 1) == 1
    noted = folder.reason("identity")
    assert noted is not None and noted[0] == "ZeroDivisionError: by design"


@pytest.mark.parametrize("substitute", [DIGITS, None])
def test_data_that_cannot_be_had_are_replaced_where_the_profile_says_so(
    folder: SweepFolder,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    substitute: tuple[str, ...] | None,
) -> None:
    load = classification.load_dataset

    def load_dataset(name: Any, folder: Path) -> Any:
        if name == "mnist":
            raise DataUnavailable("mnist: no source delivered it; look at [/etc/hosts]")
        return load(name, folder)

    monkeypatch.setattr(classification, "load_dataset", load_dataset)
    status = perform(run_of("task=snn", *SMALL, without_data=substitute), folder, 1)
    shown = capsys.readouterr().out
    assert "error: mnist: no source delivered it; look at [/etc/hosts]" in shown
    assert status == (2 if substitute is None else 0)
    assert ("THE DATA CANNOT BE HAD" in shown) == (substitute is not None)
    assert [record.names["task"] for record in records()] == (["snn_digits"] if substitute else [])
    # the run of the profile itself is still missing
    noted = folder.reason("identity")
    assert noted is not None and noted[0] == "mnist: no source delivered it; look at [/etc/hosts]"


def test_a_substitute_that_fails_is_noted(folder: SweepFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    def load_dataset(name: Any, folder: Path) -> Any:
        raise DataUnavailable(f"{name}: no source delivered it")

    monkeypatch.setattr(classification, "load_dataset", load_dataset)
    assert perform(run_of("task=snn", *SMALL, without_data=DIGITS), folder, 1) == 2
    noted = folder.reason("identity")
    assert noted is not None
    assert noted[0] == "mnist: no source delivered it; what was run instead: digits: no source delivered it"
