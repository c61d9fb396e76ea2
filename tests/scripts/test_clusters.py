"""Sweeps on a real Slurm and a real Ray of this machine, where they are installed (.ci/start_slurm starts a Slurm)."""

import importlib.util
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from polystep.bench.sweeps.folder import latest_submissions
from polystep.bench.sweeps.run_status import KILLED, queued_jobs
from polystep.records import read_record
from scripts import status, sweep

pytestmark = pytest.mark.slow

FAULTY = str(Path(__file__).parent / "faulty_configs")
TASK = ["task=snn_digits", "task.evaluation=functional", "task.batch_size=32", "task.network.hidden=4", "threads=1"]
RUNS = ["--config-dir", FAULTY, "optimizer=faulty", *TASK, "budget.steps=4", "checkpoint_seconds=0", "seed=0,1,2,3"]
SWEEPS = Path("results/reproduction/sweeps")


def slurm_answers() -> bool:
    if shutil.which("sinfo") is None or importlib.util.find_spec("submitit") is None:
        return False
    return subprocess.run(["sinfo"], capture_output=True, timeout=20, check=False).returncode == 0


def wait_until(condition: Callable[[], object], seconds: float = 240) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.3)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sweep.console, "width", 200)
    # reading what is committed takes longer than these runs
    monkeypatch.setattr(sweep, "COMMITTED", tmp_path / "none")
    (tmp_path / "faults").mkdir()
    return tmp_path


def statuses() -> list[str]:
    return [read_record(path.parent).status for path in sorted(Path("results/reproduction/records").glob("*/run.json"))]


@pytest.mark.skipif(not slurm_answers(), reason="no Slurm answers to sinfo, or submitit is not installed")
def test_slurm_runs_are_detached_reported_and_retried(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for seed, fault in ((1, "raise"), (2, "wait"), (3, "die")):
        Path(f"faults/{seed}").write_text(fault)
    assert sweep.main([*RUNS, "launcher=slurm", "launcher.minutes=5"]) == 0
    assert "submitted 4 runs" in capsys.readouterr().out
    jobs = {entry.title.rpartition("=")[2]: entry.job for _, entry in latest_submissions(SWEEPS).values()}
    assert queued_jobs().jobs >= {jobs["2"]}
    wait_until(lambda: list(folder.glob("results/reproduction/records/*seed2*/checkpoint.safetensors")))
    assert status.main(RUNS) == 0 and "  running: seed=2\n" in capsys.readouterr().out
    # Slurm sends SIGTERM, and SIGKILL only to what is still there after KillWait seconds
    subprocess.run(["scancel", jobs["2"]], check=True)
    wait_until(lambda: not queued_jobs().jobs & set(jobs.values()))
    assert status.main(RUNS) == 0
    shown = capsys.readouterr().out
    assert "1 of 4 runs are done" in shown
    assert "  failed: seed=1\n    ArithmeticError: the fault that was asked for\n" in shown
    assert "  interrupted: seed=2\n    it continues where it was\n" in shown
    assert f"  failed: seed=3\n    {KILLED}; its log ends: " in shown
    for fault in Path("faults").iterdir():
        fault.unlink()
    assert status.main([*RUNS, "launcher=slurm", "--retry"]) == 0
    assert "submitted 3 runs" in capsys.readouterr().out
    wait_until(lambda: statuses() == ["finished"] * 4)


@pytest.mark.skipif(not slurm_answers(), reason="no Slurm answers to sinfo, or submitit is not installed")
def test_what_slurm_refuses_is_explained(capsys: pytest.CaptureFixture[str]) -> None:
    assert sweep.main([*RUNS, "launcher=slurm", "launcher.partition=unknown"]) == 2
    shown = capsys.readouterr().out
    assert "error: launcher=slurm cannot submit (" in shown and "Invalid partition name" in shown


@pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="ray is not installed")
def test_ray_runs_are_waited_for_reported_and_retried(capsys: pytest.CaptureFixture[str]) -> None:
    Path("faults/1").write_text("raise")
    Path("faults/2").write_text("die")
    assert sweep.main([*RUNS, "launcher=ray"]) == 1
    shown = capsys.readouterr().out
    assert (
        "2 of 4 runs are done" in shown
        and "  failed: seed=1\n    ArithmeticError: the fault that was asked for" in shown
    )
    assert "  failed: seed=2\n" in shown and len(list(SWEEPS.glob("*/*.log"))) == 4
    for fault in Path("faults").iterdir():
        fault.unlink()
    assert status.main([*RUNS, "launcher=ray", "--retry"]) == 0
    assert statuses() == ["finished"] * 4
