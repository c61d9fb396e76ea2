"""Reports from whatever records exist."""

import json
from pathlib import Path

import pytest

from polystep.bench import figures
from polystep.bench.report import build_report
from polystep.files import StorageError, write_text
from scripts.report import main

KINDS = (
    "Expected runs without a finished record",
    "Failed runs",
    "Interrupted or still running",
    "Repetitions left out (a later run has the same settings and seed)",
    "Runs with another metric than most of their task (left out)",
    "Clocks that ran backwards",
    "Methods whose runs come from different versions of the code",
    "Unreadable files",
)


def tables(*names: str) -> set[str]:
    return {f"tables/{name}.{kind}" for name in names for kind in ("csv", "md", "tex")}


def drawn(*names: str) -> set[str]:
    return {f"figures/{name}.{kind}" for name in names for kind in ("png", "pdf")}


FILES = {"REPORT.md", "report.html"} | tables("headline", "results", "early_curve", "environments")


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_report_has_tables_figures_and_says_what_is_missing(add_run, tmp_path: Path) -> None:
    add_run(seed=42)
    add_run("spsa", seed=42, test=0.3)
    error = {"type": "ValueError", "message": "bad", "traceback": "Traceback\n  File x\nValueError: loss is *NaN*\n"}
    add_run(seed=123, status="failed", error=error, test=0.123456)
    add_run(seed=456, status="interrupted")
    records, output = tmp_path / "records", tmp_path / "output"
    (records / "killed").mkdir()
    (records / "broken").mkdir()
    (records / "broken" / "run.json").write_text("{")
    expected = {
        # the device says where a run is computed, not what
        "polystep seed=42": {"seed": 42, "optimizer": {"name": "polystep"}, "device": "cuda"},
        "polystep seed=123": {"seed": 123, "optimizer": {"name": "polystep"}, "device": "cpu"},
        "cma_es seed=1": {"seed": 1, "optimizer": {"name": "cma_es"}, "device": "cpu"},
    }
    summary = build_report(records, output, expected)
    assert summary.finished == 2
    assert tuple(summary.gaps) == KINDS
    absent, failed, interrupted, repeated, foreign, backwards, versions, unreadable = summary.gaps.values()
    assert absent == ["polystep seed=123", "cma_es seed=1"]
    assert failed == ["snn-polystep-paper-seed123: ValueError: loss is *NaN*"]
    assert interrupted == ["snn-polystep-paper-seed456", "killed: no run.json yet"]
    assert repeated == foreign == backwards == versions == []
    assert len(unreadable) == 1 and "broken" in unreadable[0]
    written = files(output)
    of_protocol = tables("comparison_paper", "budget_paper", "budget_normalised_paper", "time_to_90_paper")
    assert set(written) == FILES | of_protocol | drawn("scores_paper", "learning_curves_snn_paper")
    assert {str(path.relative_to(output)) for path in summary.written} == set(written)
    text = written["REPORT.md"].decode()
    assert "| snn | 93.36 ± 0.22 % | 90.00 % (n=1), 200 of 3540 steps |" in text
    assert "best mean validation-selected test score of 2 entries is 90.00 % (n=1) by polystep" in text
    assert "![Learning curves on task snn, protocol paper](figures/learning_curves_snn_paper.png)" in text
    assert r"ValueError: loss is \*NaN\*" in text
    assert "No list of expected runs" not in text
    # Scores of failed runs appear nowhere.
    assert "0.123456" not in written["tables/results.csv"].decode() and "12.3" not in text


def test_minimised_metrics_are_led_by_the_lowest(add_run, tmp_path: Path) -> None:
    metric = {"name": "error", "direction": "minimize", "unit": ""}
    add_run("a", test=0.2, metric=metric, task="other")
    add_run("b", test=0.4, metric=metric, task="other")
    build_report(tmp_path / "records", tmp_path / "output")
    text = (tmp_path / "output" / "REPORT.md").read_text()
    assert "of 2 entries is 0.2 (n=1) by a" in text


def test_every_protocol_has_its_tables_and_figures(add_run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def pretend(figure: object, folder: Path, name: str) -> list[Path]:
        for kind in ("png", "pdf"):
            write_text(folder / f"{name}.{kind}", "")
        return []

    monkeypatch.setattr(figures, "write_figure", pretend)
    for protocol in ("paper", "matched-time"):
        for task in ("snn", "int8"):
            add_run(task=task, protocol=protocol, name=f"{task}-{protocol}")
    build_report(tmp_path / "records", tmp_path / "output")
    expected = set(FILES)
    for protocol in ("paper", "matched-time"):
        kinds = ("comparison", "pooled", "budget", "budget_normalised", "time_to_90")
        expected |= tables(*(f"{kind}_{protocol}" for kind in kinds))
        expected |= drawn(f"scores_{protocol}", *(f"learning_curves_{task}_{protocol}" for task in ("snn", "int8")))
    assert set(files(tmp_path / "output")) == expected
    text = (tmp_path / "output" / "REPORT.md").read_text()
    sections = [line for line in text.splitlines() if line.startswith("## ")]
    assert sections[2:4] == ["## Protocol matched-time", "## Protocol paper"]
    # every table and figure within a section names its protocol
    section = text.split("## Protocol matched-time")[1].split("## Protocol paper")[0]
    titles = [line for line in section.splitlines() if line.startswith("### ")]
    assert len(titles) == 8 and all(
        "protocol: matched-time" in line or "protocol matched-time" in line for line in titles
    )


@pytest.mark.parametrize("exists", [True, False])
def test_no_records(tmp_path: Path, exists: bool) -> None:
    if exists:
        (tmp_path / "records").mkdir()
    summary = build_report(tmp_path / "records", tmp_path / "output")
    assert summary.finished == 0
    text = (tmp_path / "output" / "REPORT.md").read_text()
    assert "Built from 0 finished runs" in text
    assert "No list of expected runs was given" in text
    assert set(files(tmp_path / "output")) == FILES


def test_a_damaged_history_costs_the_figure_only(add_run, tmp_path: Path) -> None:
    add_run(history=False)
    summary = build_report(tmp_path / "records", tmp_path / "output")
    assert summary.finished == 1
    assert "history.csv" in summary.gaps["Unreadable files"][0]
    assert "90.00 %" in (tmp_path / "output" / "tables" / "results.md").read_text()


@pytest.mark.parametrize(
    "damage",
    [{"labels": {"task": "snn"}}, {"metrics": []}, {"metric": {"name": "accuracy"}}, {"protocol": None}, {"name": 3}],
)
def test_incomplete_records_are_listed_and_not_used(add_run, tmp_path: Path, damage: dict) -> None:
    path = add_run().folder / "run.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | damage))
    summary = build_report(tmp_path / "records", tmp_path / "output")
    assert summary.finished == 0
    assert len(summary.gaps["Unreadable files"]) == 1


def test_repetitions_are_listed(add_run, tmp_path: Path) -> None:
    add_run(name="early", ended="2026-01-01T00:00:00+00:00", test=0.1)
    add_run(name="late", ended="2026-02-01T00:00:00+00:00", test=0.9)
    summary = build_report(tmp_path / "records", tmp_path / "output")
    assert summary.finished == 1
    assert summary.gaps[KINDS[3]] == ["early"]


def test_equal_records_give_equal_files(add_run, tmp_path: Path) -> None:
    add_run()
    build_report(tmp_path / "records", tmp_path / "first")
    build_report(tmp_path / "records", tmp_path / "second")
    assert files(tmp_path / "first") == files(tmp_path / "second")


def test_a_report_that_dies_leaves_every_old_file_whole(
    add_run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_run()
    output = tmp_path / "output"
    build_report(tmp_path / "records", output)
    before = files(output)
    add_run(seed=2)

    def die(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(figures, "write_figure", die)
    with pytest.raises(KeyboardInterrupt):
        build_report(tmp_path / "records", output)
    after = files(output)
    assert set(after) == set(before)
    assert after["REPORT.md"] == before["REPORT.md"]
    assert after["figures/learning_curves_snn_paper.png"] == before["figures/learning_curves_snn_paper.png"]


def test_command(add_run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    add_run()
    add_run(seed=2, status="failed", error={"type": "ValueError", "message": "too [bold] for us"})
    options = ["--profile", "quick", "--output", str(tmp_path / "output")]
    assert main(["--records", str(tmp_path / "records"), *options]) == 0
    printed = capsys.readouterr().out
    assert "1 finished runs" in printed and "REPORT.md" in printed and "too [bold] for us" in printed


def test_command_explains_failures(add_run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    profile = ["--profile", "quick"]
    assert main(["--records", str(tmp_path), "--output", str(blocked), *profile]) == 2
    assert main(["--records", str(blocked), "--output", str(tmp_path / "output"), *profile]) == 2
    printed = capsys.readouterr()
    assert printed.err == ""
    errors = printed.out.strip().splitlines()
    assert len(errors) == 2 and "cannot write" in errors[0] and "cannot list" in errors[1]


def test_records_that_are_a_file_are_an_error(tmp_path: Path) -> None:
    (tmp_path / "records").write_text("")
    with pytest.raises(StorageError, match="cannot list"):
        build_report(tmp_path / "records", tmp_path / "output")
