"""Seconds of compilation in the first and in the second process that needs a network.

Part of  python -m scripts.benchmark_speed starts
"""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from polystep.contracts import ExpectedError
from polystep.evaluation.kernel_cache import FOLDER_VARIABLE
from polystep.report.table import Row, Table, number_column, text_column
from scripts.console import say

RUN = ("study=first", "optimizer=polystep", "budget.steps=1", "task.dataset=digits", "task.validation_size=200")
"""One step of the published settings, on images that every machine has: kernels do not depend on how many inputs there are."""


def start_speed_table(networks: Sequence[str]) -> Table:
    """Of `networks`, each in two processes that share an empty folder of kernels."""
    rows: list[Row] = []
    for name in networks:
        with TemporaryDirectory() as folder:
            first, second = (_compilation_seconds(name, Path(folder), process) for process in ("first", "second"))
        say(f"{name}: {first:.1f} s, then {second:.1f} s of compilation")
        rows.append({"task": name, "first": first, "second": second})
    columns = (
        text_column("task", "Task"),
        number_column("first", "First process (s)", "ratio"),
        number_column("second", "Second process (s)", "ratio"),
    )
    notes = (
        "Seconds that a run of one step with published settings (study=first) spends on compiling or reading kernels.",
    )
    return Table("start_speed", "Compilation at the start of a run", columns, rows, notes)


def _compilation_seconds(name: str, folder: Path, process: str) -> float:
    records = folder / process
    command = [sys.executable, "-m", "scripts.run", f"task={name}", *RUN, f"records={records}"]
    kernels = {FOLDER_VARIABLE: str(folder / "kernels")}
    ended = subprocess.run(command, env=os.environ | kernels, capture_output=True, text=True, check=False)
    if ended.returncode:
        raise ExpectedError(
            f"{' '.join(command[1:])} ended with {ended.returncode}: {(ended.stdout + ended.stderr)[-500:]}; run it by itself "
            "to see why"
        )
    (record,) = records.glob("*/run.json")
    return float(json.loads(record.read_text())["clocks"]["compilation"])
