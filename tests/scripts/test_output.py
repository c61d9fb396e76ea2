"""The state of standard output decides nothing."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from polystep.records import read_record

ROOT = Path(__file__).resolve().parents[2]
SMALL = [
    "task=snn_digits",
    "task.batch_size=32",
    "task.network.hidden=8",
    "task.evaluation=incremental",
    "budget.steps=4",
]
SMALL += ["optimizer.subspace.rank=8", "threads=1", "evaluation.validate_every=1"]


def nobody_reads(command: list[str], environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """As `command | head -1` leaves it: the reader has gone when the command writes."""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        return subprocess.run(
            command, stdout=writer, stderr=subprocess.PIPE, env=environment, cwd=ROOT, text=True, check=False
        )
    finally:
        os.close(writer)


def full_disk(command: list[str], environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    with open("/dev/full", "wb") as full:
        return subprocess.run(
            command, stdout=full, stderr=subprocess.PIPE, env=environment, cwd=ROOT, text=True, check=False
        )


def closed(command: list[str], environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    shell = ["sh", "-c", 'exec "$@" >&-', "sh", *command]
    return subprocess.run(shell, stderr=subprocess.PIPE, env=environment, cwd=ROOT, text=True, check=False)


def narrow_encoding(command: list[str], environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    environment = environment | {"PYTHONIOENCODING": "cp1252"}
    done = subprocess.run(command, capture_output=True, env=environment, cwd=ROOT, check=False)
    assert rb"\u0142\xf3d\u017a" in done.stdout
    return subprocess.CompletedProcess(command, done.returncode, "", done.stderr.decode())


@pytest.mark.slow
@pytest.mark.parametrize("where", [nobody_reads, full_disk, closed, narrow_encoding])
def test_a_run_goes_on_whatever_becomes_of_what_it_prints(
    tmp_path: Path, where: Callable[[list[str], dict[str, str]], subprocess.CompletedProcess[str]]
) -> None:
    records = tmp_path / "łódź"
    command = [sys.executable, "-m", "scripts.run", *SMALL, f"records='{records}'"]
    done = where(command, dict(os.environ))
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr and "Exception" not in done.stderr
    (written,) = records.glob("*/run.json")
    assert read_record(written.parent).status == "finished"
