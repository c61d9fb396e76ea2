"""What watches a run."""

import io
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from polystep.bench.observers import ConsoleObserver, WandbObserver
from polystep.packages import MissingPackageError

ROW = {"step": 5, "loss": 1.5, "validation": 0.25, "seconds": 10.0, "candidate_evaluations": 100}
METRICS = {"validation_selected": 0.25, "test_selected": 0.5, "test_last": None, "selected_step": 5}


def watch(observer: Any) -> None:
    observer.started("snn-polystep-default-seed1-0123456789abcdef", {"seed": 1}, 0.5)
    observer.progressed(ROW, 0.75)
    observer.progressed(ROW | {"validation": None, "step": 6, "loss": None}, 0.8)
    observer.ended("finished", METRICS)


@pytest.mark.parametrize("terminal", [False, True])
def test_the_console_shows_progress_and_the_outcome(terminal: bool) -> None:
    stream = io.StringIO()
    watch(ConsoleObserver(Console(file=stream, force_terminal=terminal, width=200)))
    shown = stream.getvalue()
    assert "run snn-polystep-default-seed1-0123456789abcdef: resuming at 50%" in shown
    assert "finished: snn-polystep-default-seed1-0123456789abcdef: validation_selected 0.2500, test_selected" in shown
    assert "test_last" not in shown and "loss 1.5000 validation 0.2500" in shown
    if not terminal:
        # a line per validation, with an estimate of what is left
        assert "75% step 5 loss 1.5000 validation 0.2500, 10 s of steps, about 3 s left" in shown
        assert "step 6" not in shown


def test_the_console_shows_a_run_that_has_only_begun() -> None:
    stream = io.StringIO()
    observer = ConsoleObserver(Console(file=stream, width=200))
    observer.started("name", {}, 0.0)
    observer.progressed({"step": 0, "loss": None, "validation": float("nan"), "seconds": 0.0}, 0.0)
    observer.ended("interrupted", {})
    assert stream.getvalue().splitlines() == [
        "run name",
        "  name   0% step 0 validation nan, 0 s of steps",
        "interrupted: name",
    ]


@pytest.fixture
def wandb(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Any]]:
    """A stand-in for the package; the list holds what it was told."""
    told: list[tuple[str, Any]] = []
    run = SimpleNamespace(
        log=lambda row: told.append(("log", row)),
        summary=SimpleNamespace(update=lambda metrics: told.append(("summary", metrics))),
        finish=lambda: told.append(("finish", None)),
    )

    def init(**settings: Any) -> SimpleNamespace:
        told.append(("init", settings))
        return run

    monkeypatch.setitem(sys.modules, "wandb", SimpleNamespace(init=init))
    monkeypatch.setenv("WANDB_ERROR_REPORTING", "")
    monkeypatch.delenv("WANDB_ERROR_REPORTING")
    return told


def test_wandb_is_told_everything_and_stays_offline(wandb: list[tuple[str, Any]], tmp_path: Path) -> None:
    watch(WandbObserver(folder=str(tmp_path / "new" / "wandb")))
    assert wandb == [
        (
            "init",
            {
                "project": "polystep",
                "name": "snn-polystep-default-seed1-0123456789abcdef",
                "config": {"seed": 1},
                "mode": "offline",
                "dir": str(tmp_path / "new" / "wandb"),
                "resume": "allow",
                "id": "0123456789abcdef",
            },
        ),
        ("log", ROW),
        ("log", {"step": 6, "seconds": 10.0, "candidate_evaluations": 100}),
        ("summary", {"status": "finished", **METRICS}),
        ("finish", None),
    ]
    assert (tmp_path / "new" / "wandb").is_dir()


def test_wandb_goes_online_where_asked(wandb: list[tuple[str, Any]], tmp_path: Path) -> None:
    watch(WandbObserver(project="mine", mode="online", folder=str(tmp_path)))
    assert wandb[0][1]["mode"] == "online" and wandb[0][1]["project"] == "mine"


def test_a_missing_wandb_names_the_install_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(MissingPackageError, match=r"install it with: pip install -c constraints.txt -e '\.\[wandb\]'"):
        WandbObserver()


@pytest.mark.slow
def test_the_real_package_keeps_a_run_on_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("wandb")
    for name in ("HOME", "WANDB_CONFIG_DIR", "WANDB_CACHE_DIR", "WANDB_DATA_DIR"):
        monkeypatch.setenv(name, str(tmp_path / name))
    monkeypatch.setenv("WANDB_SILENT", "true")
    watch(WandbObserver(folder=str(tmp_path / "runs")))
    (written,) = (tmp_path / "runs" / "wandb").glob("offline-run-*/run-0123456789abcdef.wandb")
    parts = [b"candidate_evaluations", b"snn-polystep-default-seed1-0123456789abcdef", *map(str.encode, METRICS)]
    # a process of the package's own writes the file, on a busy machine after the run has ended
    for _ in range(300):
        if not (missing := [part for part in parts if part not in written.read_bytes()]):
            break
        time.sleep(0.2)
    assert not missing
