"""How far runs are (done, running, queued, ..., missing), from records, locks and the notes of sweeps."""

import os
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, get_args

from polystep.bench.lock import read_lock
from polystep.bench.sweeps.folder import latest_submissions
from polystep.bench.sweeps.plan import SweepRun
from polystep.files import StorageError
from polystep.records import RecordError, RunRecord, read_record

State = Literal["done", "running", "queued", "unknown", "interrupted", "failed", "missing"]
STATES: tuple[State, ...] = get_args(State)
TO_DO: tuple[State, ...] = ("interrupted", "failed", "missing")
"""What a sweep submits, and submits again; a run that a queue may hold is none of these."""


@dataclass(frozen=True)
class RunStatus:
    """State of a run, and why where it failed or is unknown. recorded: when its record was written, 0 without one."""

    state: State
    reason: str = ""
    recorded: float = field(default=0.0, compare=False)


def sweeps_folder(runs: Iterable[SweepRun]) -> Path:
    """The folder of the sweeps of these runs, beside their records."""
    return next((run.records.parent for run in runs), Path()) / "sweeps"


def find_run_statuses(runs: Sequence[SweepRun]) -> dict[str, RunStatus]:
    """Where each run stands, by identity. Raises StorageError where a folder of records cannot be listed."""
    found: dict[str, RunStatus] = {}
    for records in sorted({run.records for run in runs}):
        for identity, status in _statuses_in(records):
            if identity not in found or STATES.index(status.state) < STATES.index(found[identity].state):
                found[identity] = status
    submissions = latest_submissions(sweeps_folder(runs))
    queue = queued_jobs() if any(submission.job for _, submission in submissions.values()) else Queue(frozenset())
    for run in runs:
        status = found.get(run.identity, RunStatus("missing"))
        if status.state in TO_DO and run.identity in submissions:
            folder, submission = submissions[run.identity]
            waiting = submission.job in queue.jobs if submission.job else folder.is_held()
            if noted := folder.reason(run.identity):
                # a record that was written later, by the run alone, says more
                reason, when = noted
                status = status if status.recorded > when else RunStatus("failed", reason)
            elif waiting:
                status = RunStatus("queued")
            elif submission.job and queue.problem:
                status = RunStatus("unknown", f"queue unknown: {queue.problem}")
            elif status.reason == KILLED or (status.state == "missing" and submission.job):
                status = RunStatus("failed", KILLED + _end_of(submission.log))
        found[run.identity] = status
    return found


KILLED = "its process ended without leaving a record (killed, out of memory or time, or by an error that it printed)"


def _statuses_in(records: Path) -> Iterable[tuple[str, RunStatus]]:
    try:
        folders = sorted(path for path in records.iterdir() if path.is_dir()) if records.exists() else []
    except OSError as error:
        raise StorageError(f"cannot list the records in {records}: {error.strerror}; name a readable folder") from error
    for folder in folders:
        purpose, held = read_lock(folder) or ("", False)
        if held:
            yield purpose, RunStatus("running")
            continue
        try:
            record = read_record(folder) if (folder / "run.json").exists() else None
        except RecordError as error:
            yield purpose, RunStatus("failed", str(error))
            continue
        if record is None:
            yield purpose, RunStatus("failed", KILLED)
        else:
            yield record.settings_id, replace(_status_of(record), recorded=(folder / "run.json").stat().st_mtime)


def _status_of(record: RunRecord) -> RunStatus:
    if record.status == "finished":
        return RunStatus("done")
    if record.status == "failed" and record.error is not None:
        lines = [line for line in str(record.error.get("traceback", "")).splitlines() if line.strip()]
        return RunStatus("failed", lines[-1].strip() if lines else str(record.error.get("message", "")))
    return RunStatus("interrupted", "it continues where it was")


def _end_of(log: str | None) -> str:
    """The last line of a log that says something, to be added to a sentence; empty where there is none."""
    if log is None:
        return ""
    try:
        lines = Path(log).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    return next((f"; its log ends: {line.strip()}" for line in reversed(lines) if line.strip()), "")


@dataclass(frozen=True)
class Queue:
    """Jobs that Slurm has running or waiting, as 7 or 7_2 (array_task); problem: why they are not known."""

    jobs: frozenset[str]
    problem: str = ""


def queued_jobs() -> Queue:
    """This user's jobs. A question that fails says nothing about them."""
    # without accounting, squeue is all that knows; old ones lack --me
    command = ["squeue", f"--user={os.getuid()}", "--noheader", "--array", "--format=%i"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    except subprocess.TimeoutExpired:
        return Queue(frozenset(), "squeue does not answer; ask again later")
    except OSError as error:
        return Queue(frozenset(), f"squeue cannot be started ({error.strerror}); ask on a machine of the cluster")
    if done.returncode:
        return Queue(frozenset(), " ".join(done.stderr.split()) or f"squeue ended with status {done.returncode}")
    return Queue(frozenset(done.stdout.split()))
