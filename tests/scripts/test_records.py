import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from polystep.records import RecordError, RunRecord, read_bundle, write_bundle, write_record
from polystep.records.bundle import KEPT_OF_TRIALS
from polystep.records.check import faults
from polystep.records.record import _checksum
from polystep.report import load_runs
from polystep.report.build import build_report
from scripts.records import main
from tests.polystep.conftest import CONTEXT, SPECIFICATION, MakeRecord, damaged, make_record  # noqa: F401


def test_packing_and_unpacking_give_the_same_records(make_record: MakeRecord, tmp_path: Path) -> None:  # noqa: F811
    runs = [make_record(seed=seed, name=f"run{seed}") for seed in (1, 2)]
    for run in runs:
        write_record(tmp_path / "own" / run.name, run)
    unfinished = make_record(seed=3, name="run3", status="interrupted", scores={})
    write_record(tmp_path / "own" / "run3", unfinished)
    assert main(["pack", str(tmp_path / "own"), "--to", str(tmp_path / "bundles")]) == 0
    assert list(read_bundle(tmp_path / "bundles" / "default.jsonl.xz")) == runs
    assert main(["unpack", str(tmp_path / "bundles"), "--to", str(tmp_path / "again")]) == 0
    for run in runs:
        name = f"{run.name}/run.json"
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / "own" / name).read_bytes()


def test_packing_leaves_the_diagnostics_of_trials_out_and_those_of_results_in(
    make_record: MakeRecord,  # noqa: F811
    tmp_path: Path,
) -> None:
    result = make_record(seed=1, name="result")
    history = result.history | {"movement": [0.5 for _ in result.history["step"]]}
    result = replace(result, history=history)
    study = {"name": "tuning_seconds", "edition": None, "protocol": "tuning"}
    tuning = SPECIFICATION | {"protocol": "tuning"}
    trial = make_record(seed=7, name="trial", specification=tuning, study=study, history=history)
    for run in (result, trial):
        write_record(tmp_path / "own" / run.name, run)
    assert main(["pack", str(tmp_path / "own"), "--to", str(tmp_path)]) == 0
    assert list(read_bundle(tmp_path / "default.jsonl.xz")) == [result]
    (packed,) = read_bundle(tmp_path / "tuning_seconds.jsonl.xz")
    assert isinstance(packed, RunRecord) and packed.scores == trial.scores
    assert packed.history == {name: column for name, column in history.items() if name in KEPT_OF_TRIALS}
    assert packed.history.keys() < history.keys() and "validation" in packed.history
    assert not list(faults(packed))


def test_packing_adds_to_what_is_there_and_takes_the_later_record(
    make_record: MakeRecord,  # noqa: F811
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    earlier = make_record(seed=2)
    write_bundle(tmp_path / "default.jsonl.xz", [make_record(seed=1), earlier])
    scores = earlier.scores | {"test_selected": 0.125}
    later = make_record(seed=2, ended="2026-03-01T00:00:00+00:00", scores=scores)
    write_record(tmp_path / "own" / "run", later)
    assert main(["pack", str(tmp_path / "own"), "--to", str(tmp_path)]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert f"{later.name} has two records: test score 0.125 of {later.ended} is kept" in shown
    assert f"{earlier.scores['test_selected']} of {earlier.ended} is left out" in shown
    found = list(read_bundle(tmp_path / "default.jsonl.xz"))
    assert [run.seed for run in found if isinstance(run, RunRecord)] == [1, 2] and found[1] == later


def test_packing_keeps_a_record_of_clean_code(make_record: MakeRecord, tmp_path: Path) -> None:  # noqa: F811
    committed = make_record()
    write_bundle(tmp_path / "default.jsonl.xz", [committed])
    edited = make_record(ended="2026-03-01T00:00:00+00:00", context=CONTEXT | {"modified": ["polystep/a.py"]})
    write_record(tmp_path / "own" / "run", edited)
    assert main(["pack", str(tmp_path / "own"), "--to", str(tmp_path)]) == 0
    assert list(read_bundle(tmp_path / "default.jsonl.xz")) == [committed]


def test_a_damaged_record_stops_packing_before_anything_is_written(
    make_record: MakeRecord,  # noqa: F811
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    write_record(tmp_path / "own" / "good", make_record())
    (tmp_path / "own" / "bad").mkdir()
    (tmp_path / "own" / "bad" / "run.json").write_text("{")
    assert main(["pack", str(tmp_path / "own"), "--to", str(tmp_path / "bundles")]) == 2
    assert "nothing was packed" in capsys.readouterr().out
    assert not (tmp_path / "bundles").exists()


def test_a_check_names_every_fault_and_exits_with_1(
    make_record: MakeRecord,  # noqa: F811
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    altered = make_record(seed=2).content() | {"used_share": 0.1}
    write_bundle(tmp_path / "default.jsonl", [make_record(context=CONTEXT | {"commit": None, "modified": ["a.py"]})])
    with (tmp_path / "default.jsonl").open("a") as file:
        file.write(json.dumps(altered) + "\n" + '{"form')
    assert main(["check", str(tmp_path)]) == 1
    printed = capsys.readouterr().out
    for part in (
        "commit of its code is not known",
        "modified files when it ran",
        "line 2",
        "checksum",
        "line 3",
        "4 faults",
    ):
        assert part in printed


def test_a_check_names_every_damaged_line_and_a_report_uses_the_others(
    make_record: MakeRecord,  # noqa: F811
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    good = make_record(seed=1)
    content = make_record(seed=2).content()
    lines = [json.dumps(made) for _, _, made in damaged(content) if str(made) != str(content)]
    write_bundle(tmp_path / "default.jsonl", [good])
    with (tmp_path / "default.jsonl").open("a") as file:
        file.writelines(f"{line}\n" for line in lines)
    assert main(["check", str(tmp_path)]) == 1
    commit, *named, count = capsys.readouterr().out.splitlines()
    assert "not in the history" in commit and len(named) == len(lines)
    assert count == f"1 records, {1 + len(lines)} faults"
    assert all(f"line {number} " in line for number, line in enumerate(named, 2))
    summary = build_report(load_runs(tmp_path), tmp_path / "report")
    assert summary.finished == 1 and sum(map(len, summary.problems.values())) == len(lines)


def test_a_value_of_another_kind_is_a_fault_even_where_the_checksum_fits(make_record: MakeRecord) -> None:  # noqa: F811
    content = make_record().content()
    silent = []
    for path, wrong, made in damaged(content):
        if wrong == wrong and path != ("checksum",):
            made["checksum"] = _checksum(made)
            try:
                named = list(faults(RunRecord.of_content(json.loads(json.dumps(made)), "here")))
            except RecordError:
                continue
            value: Any = content
            for key in path:
                value = value[key]
            if not named:
                silent.append((path, value, wrong))
    numbers = (int, float)
    others = [
        (path, value, wrong)
        for path, value, wrong in silent
        # null: unknown
        if not (None in (value, wrong) or type(value) is type(wrong))
        and not (type(value) in numbers and type(wrong) in numbers)
    ]
    assert silent and others == []


def test_committed_records_have_no_fault(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check"]) == 0, capsys.readouterr().out


@pytest.mark.parametrize("action", ["pack", "unpack", "check"])
def test_a_folder_that_is_not_there_is_named(action: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([action, str(tmp_path / "absent")]) == 2
    assert "absent does not exist" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["../outside", "/tmp/outside", "..", "a/b", "", ".hidden"])
def test_a_name_that_leads_elsewhere_is_refused(
    make_record: MakeRecord,  # noqa: F811
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    name: str,
) -> None:
    """Bundles may come from anybody."""
    folder = tmp_path / "own"
    write_bundle(folder / "run.jsonl.xz", [make_record(name=name)])
    write_bundle(folder / "study.jsonl.xz", [make_record(study={"name": name, "edition": None, "protocol": "default"})])
    before = sorted(tmp_path.rglob("*"))
    assert main(["unpack", str(folder / "run.jsonl.xz"), "--to", str(tmp_path / "to")]) == 2
    assert main(["pack", str(folder / "study.jsonl.xz"), "--to", str(tmp_path / "to")]) == 2
    assert sorted(tmp_path.rglob("*")) == before
    assert " ".join(capsys.readouterr().out.split()).count("which leads to another folder") == 2
    assert main(["check", str(folder)]) == 1
    assert "cannot be the name of a folder" in " ".join(capsys.readouterr().out.split())
