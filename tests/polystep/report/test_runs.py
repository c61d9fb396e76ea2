import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from polystep.contracts import ExpectedError
from polystep.records import RunRecord, write_bundle, write_record
from polystep.report.runs import CONFLICTING, FIRST_FORMAT, UNFINISHED, UNREADABLE, load_runs
from tests.polystep.conftest import CONTEXT, SPECIFICATION, MakeRecord


def test_a_row_says_what_the_record_says(make_record: MakeRecord, tmp_path: Path) -> None:
    write_record(tmp_path / "run", make_record())
    runs = load_runs(tmp_path)
    assert len(runs) == 1 and runs.attrs["problems"] == {}
    row = runs.iloc[0]
    assert (row.task, row.family, row["size"], row.optimizer, row.method_title) == (
        "maxsat_100v",
        "maxsat",
        100,
        "polystep",
        "PolyStep",
    )
    assert row.uses == ("losses",) and row.altered == ()
    assert row.validation_selected == 0.99 and row.candidate_evaluations == 1600
    assert row.step_seconds == 3.0 and row.seconds_evaluation == 2.0 and row.wall_seconds == 3.5
    assert row.clean and row.processor == "a processor"
    assert (
        row["optimizer.component"] == "polystep" and row["optimizer.probe_radius"] == 0.5 and row["budget.steps"] == 100
    )
    assert row.history == {"step": [0, 50, 100], "validation": [0.9, 0.99, 0.98], "seconds": [0.0, 1.5, 3.0]}
    assert row.test_curve == {20: 0.9}
    assert row.source == str(tmp_path / "run" / "run.json")


def test_folders_and_bundles_are_read_together(make_record: MakeRecord, tmp_path: Path) -> None:
    write_record(tmp_path / "own" / "run", make_record(seed=1))
    write_bundle(tmp_path / "committed" / "study.jsonl", [make_record(seed=2), make_record(seed=3)])
    write_bundle(tmp_path / "lent.jsonl", [make_record(seed=4)])
    runs = load_runs(tmp_path / "own", tmp_path / "committed", tmp_path / "lent.jsonl")
    assert sorted(runs.seed) == [1, 2, 3, 4] and runs.cell_id.nunique() == 1


def test_a_run_in_two_bundles_is_one_run(make_record: MakeRecord, tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_bundle(tmp_path / f"{name}.jsonl", [make_record()])
    runs = load_runs(tmp_path)
    assert len(runs) == 1 and runs.attrs["problems"] == {}


@pytest.mark.parametrize("first", ["a", "b"])
def test_of_two_records_of_a_run_the_finished_one_counts(make_record: MakeRecord, tmp_path: Path, first: str) -> None:
    failed = make_record(status="failed", scores={}, ended="2026-02-01T10:00:00+00:00")
    write_bundle(tmp_path / f"{first}.jsonl", [failed])
    write_bundle(tmp_path / f"{'b' if first == 'a' else 'a'}.jsonl", [make_record()])
    runs = load_runs(tmp_path)
    assert list(runs.status) == ["finished"]
    [sentence] = runs.attrs["problems"][CONFLICTING]
    assert "a.jsonl" in sentence and "b.jsonl" in sentence


@pytest.mark.parametrize("context", [{"modified": None}, {"modified": ["polystep/a.py"]}, {"commit": None}])
def test_of_two_records_of_a_run_that_of_clean_code_counts(
    make_record: MakeRecord, tmp_path: Path, context: dict[str, Any]
) -> None:
    later = make_record(context=CONTEXT | context, ended="2026-02-01T10:00:00+00:00")
    write_bundle(tmp_path / "a.jsonl", [later])
    write_bundle(tmp_path / "b.jsonl", [make_record()])
    assert list(load_runs(tmp_path).clean) == [True]
    assert list(load_runs(tmp_path / "a.jsonl").clean) != [True]


def test_damaged_and_old_records_are_counted_and_left_out(make_record: MakeRecord, tmp_path: Path) -> None:
    write_record(tmp_path / "good", make_record())
    for name, content in (
        ("old", {"record_version": 1}),
        ("altered", make_record(seed=7).content() | {"used_share": 0.5}),
    ):
        (tmp_path / name).mkdir()
        (tmp_path / name / "run.json").write_text(json.dumps(content))
    (tmp_path / "cut.jsonl").write_text('{"format": 2, ')
    (tmp_path / "waiting").mkdir()
    (tmp_path / "waiting" / "checkpoint.safetensors").write_text("")
    runs = load_runs(tmp_path)
    assert list(runs.seed) == [42]
    problems = runs.attrs["problems"]
    assert {kind: len(found) for kind, found in problems.items()} == {FIRST_FORMAT: 1, UNREADABLE: 2, UNFINISHED: 1}
    assert any("altered" in sentence and "checksum" in sentence for sentence in problems[UNREADABLE])


def test_nothing_is_a_table_without_rows(tmp_path: Path) -> None:
    runs = load_runs(tmp_path)
    assert len(runs) == 0 and {"task", "optimizer", "history"} <= set(runs.columns)


def test_a_place_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ExpectedError, match="absent does not exist"):
        load_runs(tmp_path / "absent")


@pytest.mark.parametrize(
    ("modified", "untracked", "clean"),
    [
        ([], [], True),
        (["a.py"], [], False),
        ([], ["b.py"], False),
        ([], ["configs/settings/equal_evaluations/snn/spsa.yaml"], True),
        (["configs/settings/first/snn/polystep.yaml"], [], False),
        (None, None, None),
    ],
)
def test_code_is_clean_modified_or_unknown(
    make_record: MakeRecord, tmp_path: Path, modified: object, untracked: object, clean: object
) -> None:
    context = CONTEXT | {"modified": modified, "untracked": untracked}
    write_record(tmp_path / "run", make_record(context=context))
    assert load_runs(tmp_path).clean.to_list() == [clean]


def test_numbers_that_json_lacks_come_back(make_record: MakeRecord, tmp_path: Path) -> None:
    record: RunRecord = make_record()
    record = replace(record, scores=record.scores | {"test_last": None, "validation_selected": "-inf"})
    write_record(tmp_path / "run", record)
    row = load_runs(tmp_path).iloc[0]
    assert math.isnan(row.test_last) and row.validation_selected == -math.inf


def test_settings_inside_settings_have_paths(make_record: MakeRecord, tmp_path: Path) -> None:
    optimizer = {"component": "polystep", "version": 1, "subspace": {"component": "row", "version": 1, "rank": 16}}
    write_record(tmp_path / "run", make_record(specification=SPECIFICATION | {"optimizer": optimizer}))
    row = load_runs(tmp_path).iloc[0]
    assert row["optimizer.subspace.component"] == "row" and row["optimizer.subspace.rank"] == 16


def test_runs_that_differ_in_looks_at_the_test_set_have_equal_settings(make_record: MakeRecord, tmp_path: Path) -> None:
    """What is read after training changes no run; when it is validated decides which point is chosen."""
    looks = [{"test_every": 20, "test_until": 400}, {"test_steps": []}, {}, {"validate_every": 1}]
    for number, others in enumerate(looks):
        evaluation = SPECIFICATION["evaluation"] | others
        record = make_record(specification=SPECIFICATION | {"evaluation": evaluation}, seed=number)
        write_record(tmp_path / str(number), record)
    cells = load_runs(tmp_path).sort_values("seed")["cell_id"].tolist()
    assert len({*cells[:3]}) == 1 and cells[3] != cells[0]
