"""Records are read back as written or refused by name."""

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest

from polystep.bench.records import (
    HISTORY_COLUMNS,
    RECORD_VERSION,
    read_history,
    read_record,
    read_records,
    write_history,
    write_record,
)
from polystep.files import StorageError


@pytest.fixture
def run_json(add_run) -> Path:
    return add_run().folder / "run.json"


def test_a_record_is_read_back_as_written(add_run) -> None:
    record = replace(
        add_run(), status="failed", error={"type": "ValueError", "message": "ä", "traceback": "line\nline"}
    )
    write_record(record.folder, record)
    assert read_record(record.folder) == record
    assert "folder" not in json.loads((record.folder / "run.json").read_text())


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda text: text[: len(text) // 2], "cannot be read as JSON"),
        (lambda text: "", "cannot be read as JSON"),
        (lambda text: "\x00\x01", "cannot be read as JSON"),
        (lambda text: "[1, 2]", "holds no record"),
        (lambda text: "null", "holds no record"),
        (lambda text: "{}", f"has record version None, this code reads {RECORD_VERSION}"),
        (lambda text: json.dumps(json.loads(text) | {"record_version": 99}), "has record version 99"),
        (lambda text: json.dumps(json.loads(text) | {"extra": 1}), r"missing or unknown fields \['extra'\]"),
        (lambda text: text.replace('"metrics"', '"metric5"'), r"unknown fields \['metric5', 'metrics'\]"),
    ],
)
def test_a_damaged_record_is_named_and_explained(add_run, run_json: Path, change, complaint: str) -> None:
    whole = add_run(seed=7)
    run_json.write_text(change(run_json.read_text()))
    with pytest.raises(StorageError, match=f"{run_json} .*{complaint}.*(delete|repeat)") as caught:
        read_record(run_json.parent)
    # one bad record does not hide the others
    assert read_records(run_json.parent.parent) == ([whole], [str(caught.value)])


def test_a_record_of_binary_junk_is_named(run_json: Path) -> None:
    run_json.write_bytes(bytes(range(256)))
    with pytest.raises(StorageError, match=str(run_json)):
        read_record(run_json.parent)


def test_no_records_are_no_problem(tmp_path: Path) -> None:
    assert read_records(tmp_path / "nowhere") == ([], [])


def test_a_history_is_read_back_as_written(tmp_path: Path) -> None:
    count = 8_896_512_001
    rows = [
        dict.fromkeys(HISTORY_COLUMNS, 0) | {"loss": None, "validation": 0.125},
        dict.fromkeys(HISTORY_COLUMNS, 1)
        | {"sample_forwards": count, "loss": math.nan, "validation": None, "extra": 1e-7},
    ]
    write_history(tmp_path, rows)
    history = read_history(tmp_path)
    assert list(history) == [*HISTORY_COLUMNS, "extra"]
    assert history["sample_forwards"].tolist() == [0, count]
    assert history["validation"][0] == 0.125 and history["extra"][1] == 1e-7
    assert history.isna().sum().to_dict() == dict.fromkeys(history, 0) | {"loss": 2, "validation": 1, "extra": 1}


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[:-1],
        lambda text: text[:-10],
        lambda text: "",
        lambda text: "\x00\x01\n",
        lambda text: text.replace("0", "x"),
        lambda text: text.replace("validation", "score"),
        lambda text: text + "1,2\n",
    ],
)
def test_a_damaged_history_is_named(add_run, damage) -> None:
    path = add_run().folder / "history.csv"
    path.write_text(damage(path.read_text()))
    with pytest.raises(StorageError, match=f"{path} .*delete the folder and repeat the run"):
        read_history(path.parent)
