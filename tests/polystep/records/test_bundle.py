from pathlib import Path

import pytest

from polystep.records import RecordError, RunRecord, read_bundle, read_places, write_bundle, write_record
from tests.polystep.conftest import MakeRecord


@pytest.mark.parametrize("name", ["study.jsonl", "study.jsonl.xz"])
def test_runs_are_read_back_in_order_of_their_names(make_record: MakeRecord, tmp_path: Path, name: str) -> None:
    records = [make_record(seed=seed, name=f"run{seed}") for seed in (3, 1, 2)]
    write_bundle(tmp_path / name, records)
    assert list(read_bundle(tmp_path / name)) == sorted(records, key=lambda record: record.name)
    content = (tmp_path / name).read_bytes()
    write_bundle(tmp_path / name, records[::-1])
    assert (tmp_path / name).read_bytes() == content


def test_of_a_damaged_compressed_bundle_the_first_runs_are_read(make_record: MakeRecord, tmp_path: Path) -> None:
    path = tmp_path / "study.jsonl.xz"
    write_bundle(path, [make_record(name=f"run{number:03}") for number in range(500)])
    whole = path.read_bytes()
    middle = len(whole) // 2
    for damaged in (whole[:middle], whole[:middle] + bytes(50) + whole[middle + 50 :]):
        path.write_bytes(damaged)
        *records, fault = read_bundle(path)
        assert records and isinstance(fault, RecordError) and "study.jsonl.xz" in str(fault)
        assert isinstance(records[0], RunRecord) and records[0].name == "run000"
    path.write_bytes(b"no archive")
    (fault,) = read_bundle(path)
    assert isinstance(fault, RecordError) and "study.jsonl.xz is damaged" in str(fault)


def test_a_bundle_that_was_cut_off_loses_one_run(make_record: MakeRecord, tmp_path: Path) -> None:
    path = tmp_path / "study.jsonl"
    write_bundle(path, [make_record(name="a"), make_record(name="b")])
    path.write_bytes(path.read_bytes()[:-100])
    first, second = read_bundle(path)
    assert isinstance(first, RunRecord) and first.name == "a"
    assert isinstance(second, RecordError) and "study.jsonl line 2 cannot be read as JSON" in str(second)


@pytest.mark.parametrize("damage", [b"\xff\xfe\n", b"NaN\n", b"null\n", b"\n", b"[]\n"])
def test_a_damaged_line_is_named_and_the_rest_is_read(make_record: MakeRecord, tmp_path: Path, damage: bytes) -> None:
    path = tmp_path / "study.jsonl"
    write_bundle(path, [make_record()])
    path.write_bytes(damage + path.read_bytes())
    fault, record = read_bundle(path)
    assert isinstance(fault, RecordError) and "line 1" in str(fault)
    assert record == make_record()


def test_a_bundle_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match=r"study\.jsonl cannot be read"):
        list(read_bundle(tmp_path / "study.jsonl"))


def test_places_are_bundles_folders_of_runs_and_folders_of_one_run(make_record: MakeRecord, tmp_path: Path) -> None:
    one, two, three = (make_record(name=name) for name in ("one", "two", "three"))
    write_bundle(tmp_path / "bundles" / "study.jsonl", [one])
    write_record(tmp_path / "runs" / "two", two)
    write_record(tmp_path / "three", three)
    places = tmp_path / "bundles", tmp_path / "runs", tmp_path / "three", tmp_path / "bundles" / "study.jsonl"
    assert [record for _, record in read_places(*places)] == [one, two, three, one]
