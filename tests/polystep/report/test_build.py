"""The report as a whole: its files, what they hold, and that nothing stops it."""

import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from typing import ClassVar

import pytest

from polystep.contracts import ExpectedError
from polystep.records import RunRecord, read_bundle, write_bundle
from polystep.records.record import _checksum
from polystep.report import load_runs
from polystep.report.build import build_report
from polystep.report.claims.statements import read_statements
from polystep.report.groups import Group
from polystep.report.material import Material
from polystep.report.page import _run_columns
from polystep.report.tables import comparison
from tests.polystep.conftest import damaged

ROOT = Path(__file__).parents[3]
RECORDS = ROOT / "results" / "records"
CLAIMS = ROOT / "configs" / "statements" / "claims.yaml"


@pytest.fixture(scope="module")
def some_records():
    """A record of every kind of run among the committed ones."""
    kinds: dict[tuple, RunRecord] = {}
    for path in sorted(RECORDS.glob("*.jsonl.xz")):
        for record in read_bundle(path):
            kinds.setdefault((record.task["family"], record.study["name"], record.names["optimizer"]), record)
    return list(kinds.values())[::4]


def test_files_of_a_report(tmp_path, table):
    summary = build_report(table(), tmp_path, read_statements(CLAIMS), expected={"a run": "settings that nobody has"})
    assert all(path.is_file() for path in summary.written)
    assert {"REPORT.md", "report.html", "missing.txt"} <= {path.name for path in summary.written}
    assert (tmp_path / "missing.txt").read_text() == "a run\n"
    assert summary.problems == {"Expected runs without a finished record": ["a run"]}
    text = (tmp_path / "REPORT.md").read_text()
    assert len(text.splitlines()) <= 400
    assert "a run" not in text, "missing runs are a count and a file"
    for link in re.findall(r"\]\(([^)]+)\)", text):
        assert (tmp_path / link).is_file(), link


def test_pages_do_not_repeat_tables(tmp_path, table):
    build_report(table(), tmp_path)
    headings = set(re.findall(r"^### (.+)$", (tmp_path / "REPORT.md").read_text(), re.MULTILINE))
    titles = set(re.findall(r"<h3>(.+?)</h3>", (tmp_path / "report.html").read_text()))
    assert headings and titles and not headings & titles


def test_equal_runs_give_equal_files(tmp_path, table, make_run):
    runs = [make_run(task, name) for task in ("snn", "cartpole") for name in ("polystep", "spsa")]
    for name in ("first", "second"):
        build_report(table(*runs), tmp_path / name)
    for path in (tmp_path / "first").rglob("*.*"):
        assert path.read_bytes() == (tmp_path / "second" / path.relative_to(tmp_path / "first")).read_bytes(), path.name


def test_a_report_is_never_replaced_by_one_of_no_runs(tmp_path, table, make_run):
    (tmp_path / "REPORT.md").write_text("earlier")
    with pytest.raises(ExpectedError, match="no finished run"):
        build_report(table(make_run("snn", "polystep", status="failed")), tmp_path)
    assert (tmp_path / "REPORT.md").read_text() == "earlier"


def test_failed_interrupted_and_repeated_runs_are_named(tmp_path, table, make_run):
    runs = [
        make_run("snn", "polystep", ended="2026-01-02"),
        make_run("snn", "polystep", ended="2026-01-01", run_id="earlier", name="earlier"),
        make_run("snn", "spsa", status="failed", error="ValueError: no"),
        make_run("snn", "mezo", status="interrupted"),
    ]
    problems = build_report(table(*runs), tmp_path).problems
    assert problems["Failed runs"] == ["snn-spsa-equal_seconds-seed42: ValueError: no"]
    assert problems["Interrupted runs"] == ["snn-mezo-equal_seconds-seed42"]
    assert problems["Repetitions left out (a later run has the same settings and seed)"] == ["earlier"]


class _Tags(HTMLParser):
    """Checks that tags are closed in order, and keeps scripts that text from outside would have made."""

    CLOSES: ClassVar = {
        "td": ("td", "th"),
        "th": ("td", "th"),
        "tr": ("td", "th", "tr"),
        "tbody": ("td", "th", "tr", "thead"),
    }
    """What the start of an element ends, and the end of one around it."""

    def __init__(self):
        super().__init__()
        self.open, self.seen = [], []

    def handle_starttag(self, tag, attributes):
        self.seen.append(tag)
        self._end(self.CLOSES.get(tag, ()))
        if tag not in ("meta", "link", "input"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        self._end({*self.CLOSES, "thead"} - {tag})
        assert self.open.pop() == tag

    def _end(self, tags):
        while self.open and self.open[-1] in tags:
            self.open.pop()


HOSTILE = ["ba$_$in", "x\udcff", "a" * 300, "<script>alert(1)</script>", "a|b\n# c", "../../etc", "{{ 1 }}"]


@pytest.mark.parametrize("text", HOSTILE)
def test_text_from_outside_is_harmless_everywhere(tmp_path, table, make_run, text):
    columns = {"family": text, "method_title": text, "study": text, "name": text, "processor": text, "error": text}
    runs = [
        make_run(text, name, seed, metric=text, unit=text, **columns) for name in ("polystep", text) for seed in (1, 2)
    ]
    summary = build_report(table(*runs, make_run("snn", "spsa", status="failed", error=text)), tmp_path)
    assert all(path.is_relative_to(tmp_path) and path.resolve().is_relative_to(tmp_path) for path in summary.written)
    tags = _Tags()
    tags.feed((tmp_path / "report.html").read_text())
    assert tags.open == []
    assert tags.seen.count("script") == 1
    rows = [line for line in (tmp_path / "REPORT.md").read_text().splitlines() if line.startswith("| ")]
    assert all(len(re.findall(r"(?<!\\)\|", line)) > 2 for line in rows)


def test_a_folder_that_does_not_exist_is_an_error(tmp_path):
    with pytest.raises(ExpectedError, match="does not exist"):
        load_runs(tmp_path / "nowhere")


@pytest.mark.slow
def test_no_damage_of_a_record_stops_a_report(tmp_path, some_records):
    """With a checksum that fits, so that what gets past the schema meets the tables; all that do, in one report."""
    passed, refused = [], 0
    for number, (path, wrong, content) in enumerate(damaged(some_records[0].content())):
        content["checksum"] = "" if "checksum" in path else _fitting_checksum(content)
        if "run_id" not in path:
            content["run_id"] = f"{number:016x}"
            content["checksum"] = _fitting_checksum(content)
        try:
            passed.append(RunRecord.of_content(json.loads(json.dumps(content)), "here"))
        except ExpectedError:
            refused += 1
        except ValueError:
            assert wrong != wrong, "only NaN is no JSON"
    assert passed and refused
    write_bundle(tmp_path / "all.jsonl", [*some_records, *passed])
    runs = load_runs(tmp_path)
    assert build_report(runs, tmp_path / "report", read_statements(CLAIMS)).finished > 0
    # each on its own too, where nothing hides it
    for record in passed[:: max(1, len(passed) // 40)]:
        write_bundle(tmp_path / "one.jsonl", [*some_records[:3], record])
        material = Material(load_runs(tmp_path / "one.jsonl"))
        assert list(comparison.tables(material))


def _fitting_checksum(content):
    try:
        return _checksum(content)
    except ValueError:
        return ""


def test_damaged_lines_are_listed_and_the_rest_is_used(tmp_path, some_records):
    write_bundle(tmp_path / "a.jsonl", some_records)
    text = (tmp_path / "a.jsonl").read_text()
    lines = [
        '{"run_id": true}',
        "[]",
        "null",
        '{"a": NaN}',
        text.splitlines()[0][:200],
        '{"record_version": 1}',
        "1e308",
        "\udcff",
    ]
    (tmp_path / "a.jsonl").write_bytes((text + "\n".join(lines)).encode("utf-8", "surrogateescape"))
    summary = build_report(load_runs(tmp_path / "a.jsonl"), tmp_path / "report")
    assert summary.finished == len(some_records)
    assert sum(map(len, summary.problems.values())) == len(lines)


@pytest.mark.slow
def test_the_committed_records_make_a_short_report(tmp_path):
    summary = build_report(load_runs(RECORDS), tmp_path, read_statements(CLAIMS))
    assert summary.finished > 700
    assert len((tmp_path / "REPORT.md").read_text().splitlines()) <= 400
    assert sum(path.stat().st_size for path in summary.written) < 10e6
    page = (tmp_path / "report.html").read_text()
    asked = {name for names in re.findall(r'href="#(g[^"]+)"', page) for name in names.split(",")}
    assert asked and asked <= {*re.findall(r'id="(g\d+)"', page)}, "every link to runs leads to some"
    lists = re.findall(r"<summary>(.+ · tuning · study .+)</summary>", page)
    assert lists and len({*lists}) == len(lists), "the headings of tables of trials tell them apart"
    shutil.rmtree(tmp_path)


def test_what_runs_of_a_group_share_is_told_once(make_run):
    runs = tuple(
        make_run("snn", "polystep", seed, data="d" * 16, source="a.gz", commit=c * 40)
        for seed, c in ((1, "a"), (2, "b"))
    )
    columns, shared = _run_columns([Group("g0", "PolyStep", runs)])
    assert [column.title for column in columns][-2:] == ["Record", "Commit"]
    assert [columns[-1].show(run) for run in runs] == ["a" * 9, "b" * 9]
    assert shared.startswith("Context ") and shared.endswith(" · Data dddddddd · File a.gz")
    columns, shared = _run_columns([Group("g0", "PolyStep", runs[:1])])
    assert columns[-1].title == "Record" and shared.startswith("Commit aaaaaaaaa · ")
