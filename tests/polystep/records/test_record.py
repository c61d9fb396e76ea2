import json
from pathlib import Path

import pytest

from polystep.records import RecordError, RunRecord, history_columns, read_record, write_record
from tests.polystep.conftest import CONTEXT, MakeRecord


def leaves(value: object, path: tuple[object, ...] = ()):
    """The path of every value inside, containers included."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield (*path, key)
        yield from leaves(item, (*path, key))


def with_value(content: object, path: tuple[object, ...], value: object) -> object:
    changed = json.loads(json.dumps(content))
    place = changed
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return changed


def test_what_is_written_is_read_back(make_record: MakeRecord, tmp_path: Path) -> None:
    record = make_record()
    write_record(tmp_path, record)
    assert read_record(tmp_path) == record


def test_any_altered_field_is_noticed(make_record: MakeRecord) -> None:
    """Every value of every field, replaced by one of every kind, is refused with the place."""
    content = make_record().content()
    paths = [path for path in leaves(content) if path != ("checksum",)]
    assert len(paths) > 100
    for path in paths:
        for value in (None, True, 1e300, -1, "x", [], {}):
            changed = with_value(content, path, value)
            if changed != content:
                with pytest.raises(RecordError, match="PLACE"):
                    RunRecord.of_content(changed, "PLACE")


@pytest.mark.parametrize("missing", ["run_id", "history", "checksum", "context"])
def test_a_missing_field_is_named(make_record: MakeRecord, missing: str) -> None:
    content = make_record().content()
    del content[missing]
    with pytest.raises(RecordError, match=missing):
        RunRecord.of_content(content, "PLACE")


def test_an_unknown_field_is_named(make_record: MakeRecord) -> None:
    with pytest.raises(RecordError, match="surprise"):
        RunRecord.of_content(make_record().content() | {"surprise": 1}, "PLACE")


@pytest.mark.parametrize("commit", ["HEAD", "0" * 39, "main", "0" * 40 + "\n"])
def test_a_commit_is_one_that_stays_the_same(make_record: MakeRecord, commit: str) -> None:
    record = make_record(context=CONTEXT | {"commit": commit})
    with pytest.raises(RecordError, match="commit"):
        RunRecord.of_content(record.content(), "it")


def test_columns_of_a_history_are_of_one_length(make_record: MakeRecord) -> None:
    record = make_record(history={"step": [0, 1], "validation": [0.5]})
    with pytest.raises(RecordError, match=r"\[1, 2\] rows"):
        RunRecord.of_content(record.content(), "PLACE")


def test_a_record_of_the_first_format_is_called_so() -> None:
    with pytest.raises(RecordError, match="first format"):
        RunRecord.of_content({"record_version": 1}, "PLACE")


@pytest.mark.parametrize("text", ["", "{", '{"format": NaN}', "[1]", "\x00", "[" * 100_000])
def test_a_file_that_holds_no_record_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(RecordError, match=r"run\.json"):
        read_record(tmp_path)


@pytest.mark.parametrize("number", ["1e999", "-1e999", "1" + 400 * "0", "NaN"])
def test_numbers_without_end_are_refused(make_record: MakeRecord, tmp_path: Path, number: str) -> None:
    write_record(tmp_path, make_record())
    path = tmp_path / "run.json"
    path.write_text(path.read_text().replace('"wall_seconds": 3.5', f'"wall_seconds": {number}'))
    with pytest.raises(RecordError, match=r"run\.json cannot be read as JSON"):
        read_record(tmp_path)


def test_a_history_keeps_validations_to_seven_digits() -> None:
    rows = [
        {"step": 0, "validation": 0.5, "loss": None, "never": None},
        {"step": 1, "validation": None, "loss": 2.0, "never": None},
        {"step": 2, "validation": 1 / 3, "loss": float("inf"), "never": None, "late": float("nan")},
    ]
    assert history_columns(rows) == {"step": [0, 2], "validation": [0.5, 0.3333333], "loss": [None, "inf"]}
