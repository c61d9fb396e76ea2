"""Records as they are found: damaged, foreign, implausible; each is named, none is fatal."""

import json
from pathlib import Path

import pytest

from polystep.bench.intake import BACKWARDS, FOREIGN, UNREADABLE, name_mixed_versions, take_in
from polystep.bench.report import build_report

METRIC = {"name": "return", "direction": "maximize", "unit": ""}


def damage(record, **changes) -> None:
    path = record.folder / "run.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_sound_records_are_taken_in(add_run, tmp_path: Path) -> None:
    add_run()
    (tmp_path / "records" / "started").mkdir()
    intake = take_in(tmp_path / "records")
    assert [run.name for run in intake.runs] == list(intake.histories) == ["snn-polystep-paper-seed42"]
    assert intake.unfinished == ["started: no run.json yet"]
    assert not any(intake.problems.values())


@pytest.mark.parametrize("version", [0, 2, "1", None])
def test_another_format_version_is_named(add_run, tmp_path: Path, version) -> None:
    damage(add_run(), record_version=version)
    intake = take_in(tmp_path / "records")
    assert intake.runs == []
    assert f"record version {version}, this code reads 1" in intake.problems[UNREADABLE][0]


def test_half_written_records_are_named(add_run, tmp_path: Path) -> None:
    path = add_run().folder / "run.json"
    whole = path.read_text()
    for length in (0, 1, len(whole) // 2, len(whole) - 3):
        path.write_text(whole[:length])
        intake = take_in(tmp_path / "records")
        assert intake.runs == [] and "cannot be read as JSON" in intake.problems[UNREADABLE][0]


@pytest.mark.parametrize(
    "changes",
    [
        {"status": "almost"},
        {"error": "a text"},
        {"ledger": {"clocks": 3}},
        {"config": {"names": "polystep"}},
        {"metrics": {"test_curve": 4}},
        {"labels": {"task": "snn", "optimizer": "polystep", "study": "paper", "seed": "42"}},
    ],
)
def test_content_of_the_wrong_kind_is_named(add_run, tmp_path: Path, changes) -> None:
    damage(add_run(), **changes)
    intake = take_in(tmp_path / "records")
    assert intake.runs == [] and "lacks labels, metric or other content" in intake.problems[UNREADABLE][0]


def test_foreign_metrics_are_left_out(add_run, tmp_path: Path) -> None:
    for seed in (1, 2):
        add_run(seed=seed)
    add_run("spsa", metric=METRIC, test=480.0)
    add_run("spsa", metric=METRIC, test=480.0, task="cartpole")
    intake = take_in(tmp_path / "records")
    assert sorted((run.labels["task"], run.labels["optimizer"]) for run in intake.runs) == [
        ("cartpole", "spsa"),
        ("snn", "polystep"),
        ("snn", "polystep"),
    ]
    assert intake.problems[FOREIGN] == ["snn-spsa-paper-seed42: return maximize  instead of accuracy maximize fraction"]


def test_clocks_that_ran_backwards_cost_the_times_only(add_run, tmp_path: Path) -> None:
    ledger = {"spent": {"candidate_evaluations": 5}, "clocks": {"optimizer": -3.0, "evaluation": 9.0}}
    add_run(seed=1, ledger=ledger)
    record = add_run(seed=2)
    history = record.folder / "history.csv"
    lines = history.read_text().splitlines()
    history.write_text("\n".join([*lines[:-2], lines[-1], lines[-2]]) + "\n")
    add_run(seed=3, ended="2025-01-01T00:00:00+00:00")
    add_run(seed=4)
    intake = take_in(tmp_path / "records")
    first, second, third = intake.problems[BACKWARDS]
    assert "seed1: clock optimizer is negative" in first
    assert "seed2: step of its history falls at step 190" in second
    assert "seed3: ended 2025" in third
    assert [run.ledger["clocks"] != {} for run in intake.runs] == [False, False, True, True]
    assert intake.runs[0].ledger["spent"] == {"candidate_evaluations": 5}
    assert [name[-1] for name in intake.histories] == ["3", "4"]


def test_versions_of_the_code_that_are_mixed_are_named(add_run) -> None:
    runs = [add_run(seed=seed, environment={"git_commit": commit}) for seed, commit in enumerate(("aaa", "bbb", "bbb"))]
    assert name_mixed_versions([("PolyStep", runs), ("same", runs[1:])]) == ["PolyStep: aaa (1), bbb (2)"]


def test_a_report_survives_all_of_it_at_once(add_run, tmp_path: Path) -> None:
    add_run(seed=1, environment={"git_commit": "aaa"})
    add_run(seed=2, environment={"git_commit": "bbb"})
    add_run(seed=2, name="again", ended="2026-02-01T00:00:00+00:00")
    add_run("spsa", metric=METRIC)
    damage(add_run(seed=3), record_version=9)
    add_run(seed=4, started="yesterday")
    (add_run(seed=5).folder / "history.csv").write_text("step\n1")
    summary = build_report(tmp_path / "records", tmp_path / "output")
    assert summary.finished == 4
    text = (tmp_path / "output" / "REPORT.md").read_text()
    for words in ("record version 9", "return maximize", "yesterday", "truncated", "None (", "aaa (1)", "Repetitions"):
        assert words in text, words
