"""Where runs stand: done, running, queued, failed or missing, from their records, their locks and the sweeps' notes."""

import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from polystep.bench.lock import read_lock
from polystep.bench.sweeps.folder import latest_submissions
from polystep.bench.sweeps.plan import SweepRun
from polystep.files import StorageError
from polystep.records import RecordError, RunRecord, read_record

State = Literal["done", "running", "queued", "failed", "missing"]
STATES: tuple[State, ...] = get_args(State)
TO_DO: tuple[State, ...] = ("failed", "missing")
"""What a sweep submits, and submits again."""


@dataclass(frozen=True)
class Standing:
    """State of a run, and why where it failed."""

    state: State
    reason: str = ""


def sweeps_folder(runs: Iterable[SweepRun]) -> Path:
    """The folder of the sweeps of these runs, beside their records."""
    return next((run.records.parent for run in runs), Path()) / "sweeps"


def find_standings(runs: Sequence[SweepRun]) -> dict[str, Standing]:
    """Where each run stands, by identity. Raises StorageError where a folder of records cannot be listed."""
    found: dict[str, Standing] = {}
    for records in sorted({run.records for run in runs}):
        for identity, standing in _standings_in(records):
            if identity not in found or STATES.index(standing.state) < STATES.index(found[identity].state):
                found[identity] = standing
    submissions = latest_submissions(sweeps_folder(runs))
    queue = queued_jobs() if any(submission.job for _, submission in submissions.values()) else frozenset()
    for run in runs:
        standing = found.get(run.identity, Standing("missing"))
        if standing.state in TO_DO and run.identity in submissions:
            folder, submission = submissions[run.identity]
            waiting = submission.job in queue if submission.job else folder.is_held()
            reason = folder.reason(run.identity)
            if reason is not None:
                standing = Standing("failed", reason)
            elif waiting:
                standing = Standing("queued")
            elif standing.reason == KILLED or (standing.state == "missing" and submission.job):
                standing = Standing("failed", KILLED + _end_of(submission.log))
        found[run.identity] = standing
    return found


KILLED = "its process ended without leaving a record (killed, or out of memory or time)"


def _standings_in(records: Path) -> Iterable[tuple[str, Standing]]:
    try:
        folders = sorted(path for path in records.iterdir() if path.is_dir()) if records.exists() else []
    except OSError as error:
        raise StorageError(f"cannot list the records in {records}: {error.strerror}; name a readable folder") from error
    for folder in folders:
        purpose, held = read_lock(folder) or ("", False)
        if held:
            yield purpose, Standing("running")
            continue
        try:
            record = read_record(folder) if (folder / "run.json").exists() else None
        except RecordError as error:
            yield purpose, Standing("failed", str(error))
            continue
        if record is None:
            yield purpose, Standing("failed", KILLED)
        else:
            yield record.settings_id, _standing_of(record)


def _standing_of(record: RunRecord) -> Standing:
    if record.status == "finished":
        return Standing("done")
    if record.status == "failed" and record.error is not None:
        lines = [line for line in str(record.error.get("traceback", "")).splitlines() if line.strip()]
        return Standing("failed", lines[-1].strip() if lines else str(record.error.get("message", "")))
    return Standing("failed", "interrupted; it continues where it was")


def _end_of(log: str | None) -> str:
    """The last line of a log that says something, to be added to a sentence; empty where there is none."""
    if log is None:
        return ""
    try:
        lines = Path(log).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    return next((f"; its log ends: {line.strip()}" for line in reversed(lines) if line.strip()), "")


def queued_jobs() -> frozenset[str]:
    """The jobs that Slurm has running or waiting, as 7 or 7_2 (array_task); empty where there is no Slurm."""
    # without accounting, squeue is all that knows
    command = ["squeue", "--me", "--noheader", "--array", "--format=%i"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return frozenset()
    return frozenset(done.stdout.split())
