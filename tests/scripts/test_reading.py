"""The commands that read records: report and compare."""

from pathlib import Path
from typing import Any

import pytest

from polystep.records import write_bundle, write_record
from scripts import compare, report
from scripts.console import COMMITTED
from tests.polystep.conftest import MakeRecord, make_record  # noqa: F401


def said(capsys: pytest.CaptureFixture[str]) -> str:
    return " ".join(capsys.readouterr().out.split())


def test_a_report_of_a_folder_that_does_not_exist_leaves_the_earlier_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "REPORT.md").write_text("earlier")
    assert report.main([str(tmp_path / "nowhere"), "--output", str(tmp_path)]) == 2
    assert "does not exist" in said(capsys)
    assert (tmp_path / "REPORT.md").read_text() == "earlier"


@pytest.mark.slow
def test_a_report_of_several_places_ends_with_the_verdicts_and_the_path_of_the_page(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    places = [str(COMMITTED / name) for name in ("equal_evaluations.jsonl.xz", "tuning_evaluations.jsonl.xz")]
    assert report.main([*places, "--output", str(tmp_path)]) == 0
    shown = said(capsys)
    assert "snn_accuracy (first): published settings: not run" in shown
    assert str(tmp_path / "report.html") in shown.replace(" ", "")


def test_a_repeated_run_counts_on_both_sides(
    make_record: MakeRecord,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    own, committed = tmp_path / "own", tmp_path / "committed"
    committed.mkdir()
    write_bundle(committed / "default.jsonl.xz", [make_record(seed=1), make_record(seed=2)])
    write_record(own / "run", make_record(seed=2, ended="2027-01-01T00:00:00+00:00"))
    found: dict[str, Any] = {}
    monkeypatch.setattr(report, "COMMITTED", committed)
    monkeypatch.setattr(report, "build_report", lambda runs, *others: found.update(shown=runs, judged=others[-1]))
    report.write_report([own, committed], tmp_path, {})
    assert sorted(found["shown"]["seed"]) == [1, 2]
    assert sorted(zip(found["judged"]["origin"], found["judged"]["seed"], strict=True)) == [
        ("committed", 1),
        ("committed", 2),
        ("own", 2),
    ]


def test_own_runs_are_shown_beside_committed_ones(capsys: pytest.CaptureFixture[str]) -> None:
    own = str(COMMITTED / "equal_evaluations.jsonl.xz")
    assert compare.main(["optimizer=polystep", "task=snn", own]) == 0
    shown = said(capsys)
    assert "snn: equal evaluations" in shown and "own" in shown and "committed" in shown
    assert "equal seconds: only committed runs" in shown


def test_nothing_to_compare_has_a_status_of_its_own(
    make_record: MakeRecord,  # noqa: F811
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    study = {"name": "mine", "edition": None, "protocol": "a protocol of mine"}
    write_record(tmp_path / "run", make_record(study=study))
    assert compare.main(["optimizer=polystep", "task=maxsat_100v", str(tmp_path)]) == 1
    assert "only your runs" in said(capsys)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["optimizer=mine"], "say which runs"),
        (["optimizer=mine", "task=snn", "nowhere"], "does not exist"),
        (["optimizer=mine", "task=snn", str(COMMITTED / "tuning_evaluations.jsonl.xz")], "no finished run of your own"),
    ],
)
def test_what_cannot_be_compared_is_explained(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert compare.main(words) == 2
    assert message in said(capsys)
