"""Records of runs: what is written when a run ends, and how reports read it.

A run has one folder `<records>/<name>/` with

- run.json: see `RunRecord`;
- history.csv: one row per logged step, columns `HISTORY_COLUMNS` (then the optimiser's diagnostics); empty cells are
  unknown;
- checkpoint.safetensors: only of interest to the run itself (`polystep.bench.checkpoint`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from polystep.files import StorageError, read_json, write_json, write_text

RECORD_VERSION = 1
Status = Literal["finished", "failed", "interrupted"]
HISTORY_COLUMNS = ("step", "epoch", "loss", "validation", "candidate_evaluations", "sample_forwards", "seconds")
"""`loss`: mean candidate loss of the step; `validation`: score of the task's metric; `seconds`: optimiser + evaluation."""


@dataclass(frozen=True)
class RunRecord:
    """One run as a report sees it.

    labels: task, optimizer, study (names of the chosen configurations, or the name that the task itself has) and seed.
    protocol: "paper", "default", "matched-evals" or "matched-time". metric: name, direction, unit. metrics:
    validation_selected, test_selected, test_last, selected_step, steps, and test_curve, a list of {"step", "test"} for the
    marked steps; diagnostics of the selected point where the task gives some. ledger: spent (currencies, see
    `polystep.contracts.Spent`), clocks (seconds per activity, summing to wall_seconds), wall_seconds and
    peak_memory_bytes. environment: versions, processor, threads, git commit and whether the tree was dirty.
    """

    run_id: str
    name: str
    status: Status
    labels: dict[str, Any]
    protocol: str
    config: dict[str, Any]
    data_fingerprint: str
    metric: dict[str, str]
    metrics: dict[str, Any]
    ledger: dict[str, Any]
    environment: dict[str, Any]
    started: str
    ended: str
    error: dict[str, str] | None = None
    record_version: int = RECORD_VERSION
    folder: Path | None = field(default=None, compare=False)


def write_record(folder: Path, record: RunRecord) -> None:
    """Write run.json atomically."""
    content = asdict(record)
    del content["folder"]
    write_json(folder / "run.json", content)


def read_record(folder: Path) -> RunRecord:
    """The record in `folder`.

    Raises StorageError, naming the file, where run.json is damaged, incomplete or of another format version.
    """
    path = folder / "run.json"
    content = read_json(path)
    if not isinstance(content, dict):
        raise StorageError(f"{path} holds no record; delete the folder and repeat the run")
    if content.get("record_version") != RECORD_VERSION:
        raise StorageError(
            f"{path} has record version {content.get('record_version')}, this code reads {RECORD_VERSION}; "
            "delete the folder and repeat the run, or use the code that wrote it"
        )
    names = {f.name for f in fields(RunRecord)} - {"folder"}
    if names != set(content):
        raise StorageError(
            f"{path} has missing or unknown fields {sorted(names ^ set(content))}; delete the folder and repeat the run"
        )
    return RunRecord(**content, folder=folder)


def read_records(records: Path) -> tuple[list[RunRecord], list[str]]:
    """All readable records below `records`, sorted by name, and one message per unreadable one."""
    found, problems = [], []
    for path in sorted(records.glob("*/run.json")):
        try:
            found.append(read_record(path.parent))
        except StorageError as error:
            problems.append(str(error))
    return found, problems


def write_history(folder: Path, rows: Sequence[Mapping[str, float | int | None]]) -> None:
    """Write history.csv atomically; columns are HISTORY_COLUMNS and whatever else the rows hold, in order of appearance."""
    extra = dict.fromkeys(key for row in rows for key in row if key not in HISTORY_COLUMNS)
    columns = [*HISTORY_COLUMNS, *extra]
    lines = [",".join(columns)]
    for row in rows:
        lines.append(",".join(_cell(row.get(column)) for column in columns))
    write_text(folder / "history.csv", "\n".join(lines) + "\n")


def read_history(folder: Path) -> Any:
    """history.csv of a run as a table, one row per logged step; raises StorageError, naming the file, where it is damaged."""
    import pandas

    path = folder / "history.csv"
    try:
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        if not lines or not lines[-1].endswith("\n") or len({line.count(",") for line in lines}) > 1:
            raise ValueError("it is truncated")
        history = pandas.read_csv(path, dtype=float)
        if missing := [
            column for column in HISTORY_COLUMNS if column not in history and column not in ("epoch", "loss")
        ]:
            raise ValueError(f"it lacks the columns {missing}")
        return history
    except (OSError, ValueError) as error:
        raise StorageError(f"{path} cannot be read ({error}); delete the folder and repeat the run") from error


def _cell(value: float | int | None) -> str:
    """Counts in full, measurements to float precision."""
    if value is None:
        return ""
    return str(value) if isinstance(value, int) else f"{value:.7g}"
