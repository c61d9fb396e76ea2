from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from polystep.records import RunRecord, write_bundle
from polystep.report import load_runs
from polystep.report.repeats import repetition_lines, repetitions
from tests.polystep.conftest import SPECIFICATION, MakeRecord

SECONDS = SPECIFICATION | {"budget": {"seconds": 5}}


def scored(record: RunRecord, last: float) -> RunRecord:
    return replace(record, scores=record.scores | {"test_last": last})


@pytest.fixture
def repeat(make_record: MakeRecord, tmp_path: Path):
    """The rows for own records beside committed ones of three seeds, whose last scores spread by 0.01."""

    def repeat(*own: RunRecord, seeds: int = 3, **settings: Any) -> list[dict[str, Any]]:
        committed = [
            scored(make_record(seed=seed, **settings), 0.98 + 0.01 * offset)
            for offset, seed in list(enumerate((42, 1, 2), start=-1))[:seeds]
        ]
        write_bundle(tmp_path / "committed.jsonl", committed)
        write_bundle(tmp_path / "own.jsonl", own)
        return repetitions(load_runs(tmp_path / "own.jsonl"), load_runs(tmp_path / "committed.jsonl"))

    return repeat


def test_equal_numbers_agree_whatever_the_clocks_say(repeat, make_record: MakeRecord) -> None:
    record = scored(make_record(), 0.97)
    slower = replace(record, wall_seconds=99.0, history=record.history | {"seconds": [0.0, 9.0, 30.0]})
    [row] = repeat(slower)
    assert row["verdict"] == "bit for bit"


@pytest.mark.parametrize(
    ("last", "verdict"), [(0.9701, "within the spread"), (1.0, "within the spread"), (0.9, "differs")]
)
def test_other_numbers_agree_within_the_spread_of_seeds(
    repeat, make_record: MakeRecord, last: float, verdict: str
) -> None:
    [row] = repeat(scored(make_record(), last))
    assert row["verdict"] == verdict and row["tolerance"] == pytest.approx(0.04)


def test_two_seeds_tell_no_spread(repeat, make_record: MakeRecord) -> None:
    [row] = repeat(scored(make_record(), 0.9), seeds=2)
    assert row["verdict"] == "unknown"


def test_columns_that_one_record_lacks_do_not_count(repeat, make_record: MakeRecord) -> None:
    record = scored(make_record(), 0.97)
    [row] = repeat(replace(record, history=record.history | {"movement": [0.1, 0.2, 0.3]}))
    assert row["verdict"] == "bit for bit"


def test_a_validation_on_the_way_counts(repeat, make_record: MakeRecord) -> None:
    record = scored(make_record(), 0.97)
    [row] = repeat(replace(record, history=record.history | {"validation": [0.8, 0.99, 0.98]}))
    assert row["verdict"] == "within the spread"


def test_what_repeats_nothing_is_left_out(repeat, make_record: MakeRecord) -> None:
    assert repeat(make_record(seed=7)) == []
    assert repeat(make_record(data="other", run_id="0" * 16)) == []
    assert repeat(make_record(status="failed", scores={})) == []
    assert repeat(make_record(specification=SECONDS), specification=SECONDS) == []


def test_lines_count_and_name_what_does_not_agree(repeat, make_record: MakeRecord) -> None:
    rows = repeat(scored(make_record(), 0.9))
    first, second = repetition_lines(rows)
    assert first == "1 runs repeat committed ones: 1 differs"
    assert "differs: polystep on maxsat_100v, study default, seed 42: 0.9, committed 0.97" in second
    assert repetition_lines([]) == []
