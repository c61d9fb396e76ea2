"""torchrun: one run in several processes leaves the record of one process, and survives the loss of one of them."""

import contextlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from polystep.bench.checkpoint import load_checkpoint
from polystep.records import read_record
from scripts import run
from scripts.console import EXIT_STATUS

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
SMALL = ["task=snn_digits", "task.evaluation=incremental", "task.batch_size=32", "task.network.hidden=8", "threads=1"]
STEPS = ["budget.steps=6", "evaluation.validate_every=2", "checkpoint_seconds=0"]
SMALL += STEPS
ACROBOT = ["study=first", "task=acrobot", "optimizer=polystep", "threads=1", *STEPS]
FAULTY = ["--config-dir", str(Path(__file__).parent / "faulty_configs"), "optimizer=faulty"]


def torchrun(
    folder: Path, processes: int, *arguments: str, settings: list[str] = SMALL
) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *["-m", "torch.distributed.run", "--standalone", "--nproc-per-node"], str(processes)]
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    folder.mkdir(exist_ok=True)
    return subprocess.run(
        [*command, "-m", "scripts.run", *arguments, *settings],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )


def alone(folder: Path, *arguments: str, settings: list[str] = SMALL) -> int:
    """The exit status of the same run in this process."""
    folder.mkdir(exist_ok=True)
    with contextlib.chdir(folder):
        return run.main([*arguments, *settings])


def result(folder: Path) -> Any:
    """What must not depend on the number of processes."""
    (written,) = (folder / "results/reproduction/records").glob("*/run.json")
    record, state = read_record(written.parent), load_checkpoint(written.parent / "checkpoint.safetensors")
    assert record.status == "finished"
    return record.run_id, record.scores, record.counters, state["optimizer"]["point"].tolist()


def test_two_processes_leave_the_record_of_one(tmp_path: Path) -> None:
    found = torchrun(tmp_path / "2", 2, "optimizer.subspace.rank=8")
    assert found.returncode == 0, found.stderr
    assert alone(tmp_path / "1", "optimizer.subspace.rank=8") == 0
    assert result(tmp_path / "1") == result(tmp_path / "2")
    assert found.stdout.count("record: ") == 1
    # done before
    again = torchrun(tmp_path / "2", 2, "optimizer.subspace.rank=8")
    assert again.returncode == 0 and again.stdout.count("already done") == 1


def test_two_processes_play_the_episodes_of_one(tmp_path: Path) -> None:
    """The published settings of Acrobot, where every candidate has episodes of its own."""
    found = torchrun(tmp_path / "2", 2, settings=ACROBOT)
    assert found.returncode == 0, found.stderr
    assert alone(tmp_path / "1", settings=ACROBOT) == 0
    assert result(tmp_path / "1") == result(tmp_path / "2")


def test_a_lost_process_ends_the_run_with_a_message_and_it_continues(tmp_path: Path) -> None:
    (tmp_path / "faults").mkdir()
    (tmp_path / "faults" / "42").write_text("die 1")
    lost = torchrun(tmp_path, 2, *FAULTY)
    assert lost.returncode == 1, lost.stderr
    assert "error: another process of this run has ended or does not answer; the run is kept" in lost.stdout, (
        lost.stderr
    )
    assert list(tmp_path.rglob("checkpoint.safetensors"))
    (tmp_path / "faults" / "42").unlink()
    again = torchrun(tmp_path, 2, *FAULTY)
    assert again.returncode == 0 and "resuming at" in again.stdout
    assert alone(tmp_path / "whole", *FAULTY) == 0
    assert result(tmp_path) == result(tmp_path / "whole")


def test_a_process_that_does_not_see_the_checkpoint_stops_the_run(tmp_path: Path) -> None:
    """As on two machines that do not share the folder: the second process looks elsewhere."""
    (tmp_path / "faults").mkdir()
    (tmp_path / "faults" / "42").write_text("interrupt")
    assert alone(tmp_path, *FAULTY) == EXIT_STATUS["interrupted"]
    (tmp_path / "faults" / "42").unlink()
    elsewhere = "records='${oc.env:RANK}/elsewhere'"
    (tmp_path / "0").mkdir()
    (tmp_path / "results/reproduction/records").rename(tmp_path / "0/elsewhere")
    refused = torchrun(tmp_path, 2, *FAULTY, elsewhere)
    assert refused.returncode == 1 and "do not see the same checkpoint: in process" in refused.stdout
    assert "leads to step 0" in refused.stdout and "name a folder that all machines share" in refused.stdout
