"""Where runs stand, from what lies on disk."""

import os
import subprocess
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from polystep.bench.lock import exclusive
from polystep.bench.profiles import PlannedRun
from polystep.bench.sweeps import run_status
from polystep.bench.sweeps.folder import SweepFolder, latest_submissions
from polystep.bench.sweeps.plan import SweepRun
from polystep.bench.sweeps.run_status import KILLED, Queue, RunStatus, find_run_statuses, queued_jobs, sweeps_folder
from polystep.records import RunRecord, write_record
from tests.polystep.conftest import MakeRecord


@pytest.fixture
def records(tmp_path: Path) -> Path:
    return tmp_path / "records"


@pytest.fixture
def written(records: Path, make_record: MakeRecord) -> Callable[..., SweepRun]:
    """Writes a record; returns its run as a sweep plans it."""

    def write(**changes: Any) -> SweepRun:
        record: RunRecord = make_record(**changes)
        write_record(records / record.name, record)
        return SweepRun(PlannedRun((record.name,)), record.settings_id, ("task", "study"), records, None, 0, None)

    return write


def only(run: SweepRun) -> RunStatus:
    return find_run_statuses([run])[run.identity]


def test_records_say_what_is_done_failed_and_interrupted(written: Callable[..., SweepRun]) -> None:
    error = {"type": "ValueError", "message": "no", "traceback": "Traceback\n  line\nValueError: no\n"}
    runs = {
        "done": written(seed=1),
        "failed": written(seed=2, status="failed", error=error, scores={}),
        "interrupted": written(seed=3, status="interrupted", scores={}),
    }
    found = {name: only(run) for name, run in runs.items()}
    assert found["done"] == RunStatus("done") and found["failed"] == RunStatus("failed", "ValueError: no")
    assert found["interrupted"] == RunStatus("interrupted", "it continues where it was")
    unknown = replace(runs["done"], identity="other")
    assert only(unknown) == RunStatus("missing")


def test_locks_say_what_is_running_and_what_was_killed(written: Callable[..., SweepRun]) -> None:
    run = written()
    with exclusive(run.records / "other", run.identity):
        # done counts more
        assert only(run) == RunStatus("done")
    for path in run.records.rglob("run.json"):
        path.unlink()
    with exclusive(run.records / "other", run.identity):
        assert only(run) == RunStatus("running")
    assert only(run) == RunStatus("failed", KILLED)


def test_a_damaged_record_is_a_failure_with_its_remedy(written: Callable[..., SweepRun]) -> None:
    run = written()
    folder = run.records / run.planned.title
    with exclusive(folder, run.identity):
        pass
    (folder / "run.json").write_text('{"run_id"')
    assert only(run).state == "failed" and "cannot be read as JSON" in only(run).reason


def test_sweeps_say_what_waits_and_why_runs_left_no_record(
    written: Callable[..., SweepRun], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = replace(written(), identity="other")
    folder = SweepFolder.new(sweeps_folder([run]))
    folder.submit([run], {"other": (None, None)})
    assert only(run) == RunStatus("missing")
    with exclusive(folder.path):
        assert only(run) == RunStatus("queued")
    folder.end(run, 2, "the data cannot be had")
    assert only(run) == RunStatus("failed", "the data cannot be had")
    # the last submission counts
    (tmp_path / "log").write_text("first\nslurmstepd: CANCELLED\n\n")
    SweepFolder.new(sweeps_folder([run])).submit([run], {"other": ("7_1", tmp_path / "log")})
    monkeypatch.setattr(run_status, "queued_jobs", lambda: Queue(frozenset({"7_1"})))
    assert only(run) == RunStatus("queued")
    monkeypatch.setattr(run_status, "queued_jobs", lambda: Queue(frozenset()))
    assert only(run) == RunStatus("failed", f"{KILLED}; its log ends: slurmstepd: CANCELLED")
    # notes that cannot be read are as good as none
    for path in sweeps_folder([run]).rglob("submitted.json"):
        path.write_text("{")
    assert only(run) == RunStatus("missing")


def test_what_happened_last_is_shown(written: Callable[..., SweepRun]) -> None:
    run = written(status="interrupted", scores={})
    folder = SweepFolder.new(sweeps_folder([run]))
    folder.submit([run], {run.identity: (None, None)})
    folder.end(run, 2, "the data cannot be had")
    assert only(run) == RunStatus("failed", "the data cannot be had")
    # the run alone got further, and was interrupted
    (record,) = run.records.rglob("run.json")
    later = record.stat().st_mtime + 10
    os.utime(record, (later, later))
    assert only(run) == RunStatus("interrupted", "it continues where it was")
    with exclusive(folder.path):
        # others of the sweep are still at work
        assert only(run) == RunStatus("interrupted", "it continues where it was")


FAKE = {"down": "echo 'slurm_load_jobs error: Unable to contact slurm controller' >&2; exit 1", "old": "exit 64"}


@pytest.mark.parametrize("fault", FAKE)
def test_a_queue_that_does_not_answer_says_nothing_about_runs(
    written: Callable[..., SweepRun], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    """What may be running must not be submitted again."""
    squeue = tmp_path / "bin" / "squeue"
    squeue.parent.mkdir()
    squeue.write_text(f"#!/bin/sh\n{FAKE[fault]}\n")
    squeue.chmod(0o755)
    monkeypatch.setenv("PATH", f"{squeue.parent}:/usr/bin:/bin")
    assert queued_jobs().problem
    run = replace(written(), identity="other")
    SweepFolder.new(sweeps_folder([run])).submit([run], {"other": ("7_1", None)})
    status = only(run)
    assert status.state == "unknown" and status.state not in run_status.TO_DO
    assert status.reason.startswith("queue unknown: ")


def test_a_queue_that_is_missing_or_silent_is_unknown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert queued_jobs() == Queue(
        frozenset(), "squeue cannot be started (No such file or directory); ask on a machine of the cluster"
    )

    def silent(command: list[str], *, timeout: float, **_: Any) -> None:
        raise subprocess.TimeoutExpired(command, timeout)

    monkeypatch.setattr(subprocess, "run", silent)
    assert queued_jobs() == Queue(frozenset(), "squeue does not answer; ask again later")


def test_the_later_submission_counts_in_whichever_zone_it_was_made(
    written: Callable[..., SweepRun], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = replace(written(), identity="other")
    for zone, job in (("Asia/Tokyo", "1"), ("UTC", "2"), ("America/New_York", "3")):
        monkeypatch.setenv("TZ", zone)
        time.tzset()
        SweepFolder.new(sweeps_folder([run])).submit([run], {"other": (job, None)})
    monkeypatch.delenv("TZ")
    time.tzset()
    [(_, submission)] = latest_submissions(sweeps_folder([run])).values()
    assert submission.job == "3"
