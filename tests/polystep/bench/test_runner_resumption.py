"""Interrupted, failed and damaged runs: they continue bit for bit, or say why not."""

import os
import signal
from pathlib import Path
from typing import Any

import pytest
import torch

from polystep.bench.checkpoint import load_checkpoint, save_checkpoint
from polystep.bench.evaluation import Evaluation
from polystep.bench.lock import RunBusyError, exclusive
from polystep.contracts import ExpectedError
from polystep.files import StorageError
from polystep.records import read_record
from polystep.records.check import faults
from tests.polystep.bench.spy_run import STEPS, SpyTask, interrupt, result

TWICE = (signal.SIGINT, signal.SIGINT, signal.SIGTERM)


@pytest.mark.parametrize("signals", [(signal.SIGINT,), (signal.SIGTERM,), TWICE])
@pytest.mark.parametrize("checkpoint_seconds", [0.0, 1e9])
def test_an_interrupted_run_resumes_bit_for_bit_and_loses_no_step(
    build, tmp_path: Path, checkpoint_seconds: float, signals: tuple[signal.Signals, ...]
) -> None:
    settings: dict[str, Any] = {
        "evaluation": Evaluation(validate_every=2, test_every=1, test_until=2),
        "checkpoint_seconds": checkpoint_seconds,
    }
    whole = build(records=tmp_path / "whole", **settings).execute()
    places = [
        (name, number)
        for name, count in (("train", STEPS), ("validate", 4), ("test", 4))
        for number in range(1, count + 1)
    ]
    for name, number in places:
        records = tmp_path / f"{name}{number}"
        stopping = SpyTask(faults={(name, number): lambda: interrupt(signals)})
        cut = build(stopping, records=records, **settings).execute()
        assert cut.status == "interrupted" == read_record(cut.folder).status
        assert cut.record.scores == {}
        task = SpyTask()
        resumed = build(task, records=records, **settings).execute()
        assert resumed.status == "finished" and result(resumed) == result(whole)
        finished = {"train": number, "validate": 2 * (number - 1), "test": STEPS}[name]
        if name == "train" and (checkpoint_seconds == 0.0 or number == 1):
            # with nothing to lose, a step is dropped at once
            finished -= 1
        assert task.calls.count("train") == STEPS - finished


@pytest.mark.parametrize("call", range(7))
def test_signals_while_files_are_written_leave_whole_files(build, tmp_path: Path, call: int, monkeypatch: Any) -> None:
    """Checkpoints after the steps, and the record."""
    replace, calls = os.replace, iter(range(100))

    def replace_under_fire(*paths: Any) -> None:
        if next(calls) == call:
            interrupt(TWICE)
        replace(*paths)

    whole = build(records=tmp_path / "whole").execute()
    with monkeypatch.context() as context:
        context.setattr("os.replace", replace_under_fire)
        cut = build().execute()
    assert cut.status == read_record(cut.folder).status == ("interrupted" if call < STEPS else "finished")
    assert list(cut.folder.glob(".*.partial")) == []
    task = SpyTask()
    assert result(build(task).execute()) == result(whole) if call < STEPS else build(task).execute().status == "skipped"
    assert task.calls.count("train") == max(0, STEPS - call - 1)


def test_signals_before_the_first_step_stop_at_once(build) -> None:
    class Loading(SpyTask):
        def initial_point(self, seed: int) -> Any:
            interrupt(TWICE)
            pytest.fail("goes on")

    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt):
        build(Loading()).execute()
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before
    assert build().execute().status == "finished"


def test_a_run_that_is_interrupted_again_and_again_finishes(build, tmp_path: Path) -> None:
    whole = build(records=tmp_path / "whole").execute()
    for _ in range(STEPS - 1):
        for step in (1, 2):
            assert build(SpyTask(faults={("train", step): interrupt})).execute().status == "interrupted"
    outcome = build().execute()
    assert outcome.status == "finished" and result(outcome) == result(whole)


def have_code(monkeypatch: pytest.MonkeyPatch, commit: str | None, modified: list[str] | None, sources: str) -> None:
    found = {"commit": commit, "modified": modified, "untracked": modified and []}
    monkeypatch.setattr("polystep.bench.context._repository", lambda: found)
    monkeypatch.setattr("polystep.bench.context.hash_of", lambda files: sources)


def have_suite(monkeypatch: pytest.MonkeyPatch, sources: str) -> None:
    monkeypatch.setattr("polystep.bench.context.suite_hash", lambda: sources)


@pytest.mark.parametrize("later", ["a" * 40, "b" * 40])
def test_a_record_tells_of_the_code_of_all_processes(build, monkeypatch: Any, later: str) -> None:
    have_code(monkeypatch, "a" * 40, ["mended.md"], "1")
    assert build(SpyTask(faults={("train", STEPS): interrupt})).execute().status == "interrupted"
    # another commit with the same sources is as good
    have_code(monkeypatch, later, ["other.md"], "1")
    context = build().execute().record.context
    assert (context["commit"], context["modified"], context["untracked"]) == (later, ["mended.md", "other.md"], [])
    assert set(context["sources"]) == {"suite", "task", "optimizer"}


@pytest.mark.parametrize("part", ["suite", "component"])
@pytest.mark.parametrize(("commit", "modified"), [("a" * 40, ["tasks/mine.py"]), ("a" * 40, []), (None, None)])
def test_a_record_of_two_versions_of_the_code_says_so_and_is_no_evidence(
    build, monkeypatch: Any, commit: str | None, modified: list[str] | None, part: str
) -> None:
    have_code(monkeypatch, commit, modified, "1")
    cut = build(SpyTask(faults={("train", STEPS): interrupt})).execute()
    if part == "suite":
        have_suite(monkeypatch, "2")
    else:
        have_code(monkeypatch, commit, modified, "2")
    with pytest.warns(UserWarning, match=rf"began with other code .* delete {cut.folder}"):
        record = build().execute().record
    assert record.status == "finished" and record.context["commit"] is record.context["sources"] is None
    assert "it was interrupted, and continued with other code" in list(faults(record))


def test_other_code_is_named_where_its_states_do_not_fit(build, monkeypatch: Any) -> None:
    build(SpyTask(faults={("train", STEPS): interrupt})).execute()
    have_code(monkeypatch, None, None, "2")
    monkeypatch.setattr(SpyTask, "load_state_dict", lambda task, state: state["what only new code has"])
    with pytest.warns(UserWarning, match="began with other code"):
        failed = build().execute()
    assert failed.status == "failed" and failed.record.context["sources"] is None


def test_a_skipped_run_names_what_has_changed_since(build, monkeypatch: Any) -> None:
    have_code(monkeypatch, "a" * 40, [], "1")
    build().execute()
    assert build().execute().changed == ()
    have_code(monkeypatch, "b" * 40, [], "2")
    assert {Path(file).name for file in build().execute().changed} == {"spy_run.py"}
    # of all else, versions of components tell between two commits
    have_code(monkeypatch, "b" * 40, [], "1")
    have_suite(monkeypatch, "2")
    assert build().execute().changed == ()
    have_code(monkeypatch, "b" * 40, ["baselines/shaping.py", "README.md"], "1")
    assert build().execute().changed == ("baselines/shaping.py",)


def test_seconds_of_all_processes_of_a_run_add_up(build) -> None:
    cut = build(SpyTask(faults={("train", STEPS): interrupt})).execute()
    stored = load_checkpoint(cut.folder / "checkpoint.safetensors")["ledger"]["clocks"]
    clocks = build().execute().record.clocks
    assert all(clocks[name] >= stored[name] for name in clocks)
    assert clocks["validation"] > stored["validation"] and clocks["test"] > 0 == stored["test"]


@pytest.mark.parametrize(
    "place", [("train", 1), ("train", 3), ("validate", 1), ("validate", 3), ("test", 1), ("test", 2)]
)
def test_a_failure_is_recorded_and_tried_again(build, tmp_path: Path, place: tuple[str, int]) -> None:
    def fail() -> None:
        raise ArithmeticError("all losses are NaN")

    failed = build(SpyTask(faults={place: fail})).execute()
    record = read_record(failed.folder)
    assert failed.status == record.status == "failed" and record == failed.record
    assert record.error["type"] == "ArithmeticError" and record.error["message"] == "all losses are NaN"
    assert "in fail" in record.error["traceback"] and record.scores == {}
    assert result(build().execute()) == result(build(records=tmp_path / "whole").execute())


@pytest.mark.parametrize("place", [("train", 3), ("test", 1)])
def test_expected_failures_are_passed_on(build, place: tuple[str, int]) -> None:
    def fail() -> None:
        raise ExpectedError("the disk is full")

    with pytest.raises(ExpectedError, match="the disk is full"):
        build(SpyTask(faults={place: fail})).execute()
    assert build().execute().status == "finished"


def test_a_run_under_way_is_busy(build) -> None:
    folder = build().execute().folder
    with exclusive(folder), pytest.raises(RunBusyError):
        build().execute()


@pytest.mark.parametrize("damage", ["truncated", "altered", "empty"])
def test_a_damaged_checkpoint_is_refused_and_kept(build, damage: str) -> None:
    folder = build(SpyTask(faults={("train", 4): interrupt})).execute().folder
    path = folder / "checkpoint.safetensors"
    whole = path.read_bytes()
    content = {"truncated": whole[:-1], "altered": whole[:-1] + bytes([whole[-1] ^ 1]), "empty": b""}[damage]
    path.write_bytes(content)
    before = (folder / "run.json").read_bytes()
    with pytest.raises(StorageError, match=f"checkpoint {path} .*delete it and repeat the command"):
        build().execute()
    assert path.read_bytes() == content and (folder / "run.json").read_bytes() == before
    path.unlink()
    assert build().execute().status == "finished"


def test_files_of_another_run_are_refused(build) -> None:
    other = build(seed=4).execute().folder
    folder = build(SpyTask(faults={("train", 4): interrupt})).execute().folder
    for name in ("checkpoint.safetensors", "run.json"):
        own = (folder / name).read_bytes()
        (folder / name).write_bytes((other / name).read_bytes())
        with pytest.raises(
            StorageError, match=rf"{folder / name} belongs to run {other.name[-16:]}, not to {folder.name[-16:]}"
        ):
            build().execute()
        (folder / name).write_bytes(own)
    assert build().execute().status == "finished"


def test_a_damaged_record_is_refused_and_kept(build) -> None:
    path = build().execute().folder / "run.json"
    path.write_text(path.read_text()[:-20])
    damaged = path.read_text()
    with pytest.raises(StorageError, match=f"{path} cannot be read as JSON.*; delete it"):
        build().execute()
    assert path.read_text() == damaged


def test_left_over_partial_files_are_harmless(build) -> None:
    folder = build(SpyTask(faults={("train", 4): interrupt})).execute().folder
    for name in ("checkpoint.safetensors", "run.json", "history.csv"):
        (folder / f".{name}.abc.partial").write_text("half")
    assert build().execute().status == "finished"


def test_a_checkpoint_without_a_run_is_refused(build) -> None:
    folder = build(SpyTask(faults={("train", 4): interrupt})).execute().folder
    save_checkpoint(folder / "checkpoint.safetensors", {"point": torch.ones(2)})
    with pytest.raises(StorageError, match="belongs to run None"):
        build().execute()
