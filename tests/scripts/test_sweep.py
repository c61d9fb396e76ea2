"""The commands that compute many runs and say where they stand; the runs have processes of their own."""

import argparse
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from polystep.bench.profiles import PlannedRun
from polystep.bench.sweeps.folder import SweepFolder
from polystep.bench.sweeps.plan import SweepRun
from polystep.bench.sweeps.run_status import sweeps_folder
from polystep.records import RunRecord, read_record
from scripts import run, status, sweep

ROOT = Path(__file__).resolve().parents[2]
CONFIG_DIR = ROOT / "tests" / "scripts" / "faulty_configs"
TASK = ["task=snn_digits", "task.evaluation=functional", "task.batch_size=32", "task.network.hidden=4"]
RUNS = [*TASK, "optimizer=faulty", "budget.steps=4", "evaluation.validate_every=4", "checkpoint_seconds=0"]
SMALL = ["--config-dir", str(CONFIG_DIR), *RUNS]

Command = Callable[..., tuple[int, str]]


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Command:
    """Calls a command on small runs in a folder of its own; returns the exit status and what was shown."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sweep.console, "width", 200)
    # reading what is committed takes longer than these runs
    monkeypatch.setattr(sweep, "COMMITTED", tmp_path / "none")
    (tmp_path / "faults").mkdir()

    def call(module: Any, *arguments: str) -> tuple[int, str]:
        found = module.main([*SMALL, *arguments])
        return found, capfd.readouterr().out

    return call


def ask_for(fault: str, seed: int) -> None:
    Path(f"faults/{seed}").write_text(fault)


def records() -> list[RunRecord]:
    return [read_record(path.parent) for path in sorted(Path("results/reproduction/records").glob("*/run.json"))]


def test_equal_runs_are_one_and_done_ones_are_skipped(command: Command) -> None:
    code, shown = command(sweep, "seed=1,2,1", "--dry-run")
    assert code == 0 and "Sweep: 2 runs" in shown and not Path("results").exists()
    code, shown = command(sweep, "seed=1,2,1", "threads=1")
    assert code == 0 and shown.endswith("2 of 2 runs are done\n")
    assert [(record.seed, record.status) for record in records()] == [(1, "finished"), (2, "finished")]
    # where and how it is computed makes no other run
    code, shown = command(sweep, "seed=1,2", "threads=2", "data_dir=data")
    assert code == 0 and "run 1 of" not in shown and len(list(Path("results/reproduction/sweeps").iterdir())) == 1


def test_the_plan_expects_minutes_as_runs_follow_each_other_on_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("polystep.bench.sweeps.local.available_cores", lambda: 4)

    def expected(*runs: tuple[int | None, float | None]) -> str:
        planned = PlannedRun(())
        return sweep.expected_minutes(
            [SweepRun(planned, "", ("", ""), Path(), cores, 0, minutes) for cores, minutes in runs]
        )

    assert expected() == "0" and expected((1, None)) == "?"
    # one run takes as long as it takes, however many fit beside it
    assert expected((1, 60)) == expected((1, 60), (1, 30), (1, 20)) == "60" and expected((None, 60), (None, 30)) == "90"
    # the third waits for the shorter of the first two
    assert expected((2, 30), (2, 10), (2, 15)) == "30" and expected((2, 30), (2, 10), (2, 25), (2, None)) == "35 + ?"
    # runs of another number of cores wait for all before them
    assert expected((1, 10), (2, 20), (2, 20)) == "30"


def test_hydras_flag_of_the_run_command_is_a_sweep(
    command: Command, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["run", "-m", *SMALL, "optimizer=glob([spsa,mez*])", "seed=1,2", "--dry-run"])
    assert run.main() == 0 and "Sweep: 4 runs" in capfd.readouterr().out
    monkeypatch.setattr(sys, "argv", ["run", "-m", *SMALL, "optimizer=glob(nothing*)"])
    assert run.main() == 2
    assert (
        capfd.readouterr().out == "error: optimizer=glob(nothing*) stands for no value; leave it out, or list values\n"
    )


def test_runs_that_die_or_raise_stop_no_other_are_reported_and_retried(command: Command) -> None:
    ask_for("die", 1)
    ask_for("raise", 2)
    code, shown = command(sweep, "seed=range(0,4)", "threads=1")
    assert code == 1 and "2 of 4 runs are done" in shown
    code, shown = command(status, "seed=range(0,5)", "threads=1")
    assert code == 0 and "2 of 5 runs are done" in shown
    assert "  failed: seed=1\n    its process was ended by SIGKILL (killed, or out of memory)\n" in shown
    assert "  failed: seed=2\n    ArithmeticError: the fault that was asked for\n" in shown
    assert shown.endswith("  missing: seed=4\n")
    for seed in (1, 2):
        Path(f"faults/{seed}").unlink()
    code, shown = command(status, "seed=range(0,5)", "threads=1", "--retry")
    assert code == 0 and shown.endswith("5 of 5 runs are done\n") and "run 3 of 3" in shown
    assert [record.status for record in records()] == ["finished"] * 5


def test_what_a_queue_may_hold_is_not_retried(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither where squeue is missing, nor by another launcher."""
    _, runs = sweep.plan(sweep.overrides_of(argparse.Namespace(config_dir=CONFIG_DIR, settings=[*RUNS, "seed=1,2"])))
    SweepFolder.new(sweeps_folder(runs)).submit(runs, {run.identity: ("7_1", None) for run in runs})
    before = sorted(tmp_path.rglob("*"))
    monkeypatch.setenv("PATH", str(tmp_path))
    for launcher in ("slurm", "local"):
        code, shown = command(status, "seed=1,2", f"launcher={launcher}", "--retry")
        assert code == 3 and "  unknown: seed=1\n    queue unknown: squeue cannot be started" in shown
        assert "0 of 2 runs are done" in shown and sorted(tmp_path.rglob("*")) == before


def test_an_interruption_starts_no_further_run(command: Command) -> None:
    ask_for("interrupt", 1)
    code, shown = command(sweep, "seed=1,2")
    assert code == 130 and shown.endswith("interrupted: seed=1\n    it continues where it was\n  missing: seed=2\n")
    assert [(record.seed, record.status) for record in records()] == [(1, "interrupted")]
    Path("faults/1").unlink()
    assert command(sweep, "seed=1,2")[0] == 0


@pytest.mark.parametrize("kill", [os.kill, os.killpg])
def test_sigterm_of_the_sweep_or_all_its_processes_stops_its_runs_with_a_checkpoint(
    command: Command, tmp_path: Path, kill: Callable[[int, int], None]
) -> None:
    started = start_long_runs(tmp_path)
    wait_for(started, lambda: list(tmp_path.glob("results/reproduction/records/*/checkpoint.safetensors")))
    kill(started.pid, signal.SIGTERM)
    assert started.wait(60) == 130
    assert [(record.seed, record.status) for record in records()] == [(1, "interrupted")]
    assert not list(tmp_path.glob("results/reproduction/sweeps/*/????????????????.json"))


@pytest.mark.parametrize("kill", [os.kill, os.killpg])
def test_sigterm_is_heeded_while_the_first_run_starts(
    command: Command, tmp_path: Path, kill: Callable[[int, int], None]
) -> None:
    started = start_long_runs(tmp_path)
    wait_for(started, lambda: "run 1 of 2" in (tmp_path / "shown").read_text())
    kill(started.pid, signal.SIGTERM)
    assert started.wait(60) == 130
    assert {record.status for record in records()} <= {"interrupted"}
    assert not list(tmp_path.glob("results/reproduction/sweeps/*/????????????????.json"))


def start_long_runs(folder: Path) -> "subprocess.Popen[bytes]":
    """In a session of its own: nobody else hears its signals."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    arguments = [sys.executable, "-m", "scripts.sweep", *SMALL, "seed=1,2", "budget.steps=1000000"]
    with open(folder / "shown", "wb") as shown:
        return subprocess.Popen(arguments, env=environment, stdout=shown, start_new_session=True)


def wait_for(process: "subprocess.Popen[bytes]", condition: Callable[[], object]) -> None:
    while not condition():
        assert process.poll() is None
        time.sleep(0.05)


def test_a_second_sweep_leaves_alone_what_the_first_has_begun_or_will_begin(command: Command, tmp_path: Path) -> None:
    ask_for("wait", 1)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    first = subprocess.Popen([sys.executable, "-m", "scripts.sweep", *SMALL, "seed=1,2"], env=environment)
    try:
        while not list(tmp_path.glob("results/reproduction/records/*/checkpoint.safetensors")):
            assert first.poll() is None
            time.sleep(0.05)
        code, shown = command(sweep, "seed=1,2,3")
        assert code == 3 and [record.seed for record in records()] == [3]
        assert "running" in shown and "queued" in shown
    finally:
        Path("faults/1").unlink()
        first.wait()
    assert first.returncode == 0 and [record.seed for record in records()] == [1, 2, 3]


def test_a_damaged_record_is_named_with_the_remedy_and_stops_no_other(command: Command) -> None:
    assert command(sweep, "seed=1")[0] == 0
    (path,) = Path("results").rglob("run.json")
    path.write_text(path.read_text()[:100])
    code, shown = command(sweep, "seed=1,2")
    assert (
        code == 2
        and f"  failed: seed=1\n    {path} cannot be read as JSON" in shown
        and "1 of 2 runs are done" in shown
    )


REFUSED = [
    (["task=snnn,snn"], "task=snnn does not exist (did you mean snn?); choose one of"),
    (["launcher=condor"], "launcher=condor does not exist; choose one of local, ray, slurm"),
    (["launcher=slurm", "launcher.queue=1"], "unknown setting launcher.queue"),
    (["launcher=ray", "launcher.cores=0"], "launcher.cores must be at least 1, got 0"),
    (["launcher=slurm", "launcher.minutes=long"], "launcher.minutes='long' is not valid"),
    (["profile=tiny"], "profile tiny does not exist"),
    (["profile=1"], "profile 1 does not exist"),
    (["profile=quick,claims"], "profile=quick,claims gives several values; give one"),
    (["launcher=local,ray"], "launcher=local,ray gives several values; give one"),
    (["quick"], "quick is not of the form setting=value; did you mean budget=quick or profile=quick?"),
    (["records=/proc/none/records"], "cannot write /proc/none/sweeps"),
]


@pytest.mark.parametrize(("arguments", "message"), REFUSED)
def test_wrong_arguments_give_status_2_before_anything_is_computed(
    command: Command, arguments: list[str], message: str
) -> None:
    code, shown = command(sweep, *arguments)
    assert code == 2 and "error: " in shown and message in shown and not Path("results").exists()


@pytest.mark.parametrize(("launcher", "package"), [("slurm", "submitit"), ("ray", "ray")])
def test_a_launcher_that_is_not_installed_names_the_command(
    command: Command, monkeypatch: pytest.MonkeyPatch, launcher: str, package: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    code, shown = command(sweep, f"launcher={launcher}")
    message = f"needs the package {package}; install it with: pip install -c constraints.txt -e '.[{launcher}]'"
    assert code == 2 and message in shown
    assert os.listdir() == ["faults"]
