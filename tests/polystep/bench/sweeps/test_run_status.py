"""Where runs stand, from what lies on disk."""

from dataclasses import replace
from pathlib import Path

import pytest

from polystep.bench.identity import planned_identity
from polystep.bench.lock import exclusive
from polystep.bench.profiles import PlannedRun
from polystep.bench.records import RunRecord
from polystep.bench.sweeps import run_status
from polystep.bench.sweeps.folder import SweepFolder
from polystep.bench.sweeps.plan import SweepRun
from polystep.bench.sweeps.run_status import KILLED, RunStatus, find_run_statuses, sweeps_folder


def planned(record: RunRecord) -> SweepRun:
    identity = planned_identity(record.config)
    return SweepRun(PlannedRun((record.name,), None), identity, ("task", "study"), record.folder.parent, None, 0)


def only(run: SweepRun) -> RunStatus:
    return find_run_statuses([run])[run.identity]


def test_records_say_what_is_done_failed_and_interrupted(add_run) -> None:
    error = {"type": "ValueError", "message": "no", "traceback": "Traceback\n  line\nValueError: no\n"}
    runs = {
        "done": add_run(seed=1),
        "failed": add_run(seed=2, status="failed", error=error, config={"seed": 2}),
        "interrupted": add_run(seed=3, status="interrupted", config={"seed": 3}),
    }
    found = {name: only(planned(record)) for name, record in runs.items()}
    assert found["done"] == RunStatus("done") and found["failed"] == RunStatus("failed", "ValueError: no")
    assert found["interrupted"] == RunStatus("failed", "interrupted; it continues where it was")
    unknown = replace(planned(runs["done"]), identity="other")
    assert only(unknown) == RunStatus("missing")


def test_locks_say_what_is_running_and_what_was_killed(add_run) -> None:
    run = planned(add_run())
    with exclusive(run.records / "other", run.identity):
        # done counts more
        assert only(run) == RunStatus("done")
    for path in run.records.rglob("run.json"):
        path.unlink()
    with exclusive(run.records / "other", run.identity):
        assert only(run) == RunStatus("running")
    assert only(run) == RunStatus("failed", KILLED)


def test_a_damaged_record_is_a_failure_with_its_remedy(add_run) -> None:
    record = add_run()
    run = planned(record)
    with exclusive(record.folder, run.identity):
        pass
    (record.folder / "run.json").write_text('{"run_id"')
    assert only(run).state == "failed" and "cannot be read as JSON" in only(run).reason


def test_sweeps_say_what_waits_and_why_runs_left_no_record(
    add_run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = replace(planned(add_run()), identity="other")
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
    monkeypatch.setattr(run_status, "queued_jobs", lambda: frozenset({"7_1"}))
    assert only(run) == RunStatus("queued")
    monkeypatch.setattr(run_status, "queued_jobs", frozenset)
    assert only(run) == RunStatus("failed", f"{KILLED}; its log ends: slurmstepd: CANCELLED")
    # notes that cannot be read are as good as none
    for path in sweeps_folder([run]).rglob("submitted.json"):
        path.write_text("{")
    assert only(run) == RunStatus("missing")
