"""The report: every table and figure that there is material for, REPORT.md as a summary and report.html as the rest."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pandas import DataFrame

from polystep.contracts import ExpectedError
from polystep.files import atomic_write, write_text
from polystep.processes import map_in_processes
from polystep.report import figures, tables
from polystep.report.claims.judge import judge, judge_own_first
from polystep.report.claims.statements import Statement
from polystep.report.drawing import render
from polystep.report.material import Material, modules_of
from polystep.report.page import PAGES, findings_page, report_page, report_summary
from polystep.report.table import write_table

_WORTH_A_PROCESS = 4
"""So many charts take longer to draw than a process takes to start."""


@dataclass(frozen=True)
class ReportSummary:
    """What a report was built from, which files it wrote, what is wrong or missing (by kind), and the judged claims."""

    finished: int
    written: Sequence[Path]
    problems: Mapping[str, Sequence[str]]
    conditions: DataFrame | None


def build_report(
    runs: DataFrame,
    output: Path,
    claims: Sequence[Statement] = (),
    findings: Sequence[Statement] = (),
    expected: Mapping[str, str] | None = None,
    judged: DataFrame | None = None,
) -> ReportSummary:
    """Write REPORT.md, report.html, a page per edition, tables/ and figures/ in `output` from the table of runs.

    claims: judged first of all. findings: about the published runs, each with its background and consequence. expected: the
    `settings_id` of runs that should exist, by title. judged: runs that decide both in place of `runs`; with a column `origin`,
    own ones decide before committed ones. Every file is replaced as a whole, REPORT.md last, so an interrupted report leaves no
    damaged file.

    Raises:
        ExpectedError: there is no finished run, so an earlier report stays; or `output` cannot be written.
    """
    if not (runs["status"] == "finished").any():
        raise ExpectedError(
            f"no finished run was found, so nothing is written to {output}; check the folders of the records"
        )
    present = set(runs.loc[runs["status"] == "finished", "settings_id"])
    missing = [title for title, settings in (expected or {}).items() if settings not in present]
    judged = runs if judged is None else judged
    conditions = _judged(judged, claims)
    material = Material(runs, conditions)
    problems = _problems(material, missing)
    made = [table for module in modules_of(tables) for table in module.tables(material)]
    charts = [chart for module in modules_of(figures) for chart in module.charts(material)]
    written = [path for table in made for path in write_table(table, output / "tables")]
    drawn = map_in_processes(render, charts, _WORTH_A_PROCESS)
    for chart, files in zip(charts, drawn, strict=True):
        for kind, content in files.items():
            written.append(output / "figures" / f"{chart.name}.{kind}")
            with atomic_write(written[-1]) as file:
                file.write(content)
    if (found := _judged(judged, findings)) is not None:
        for edition, name in PAGES.items():
            written.append(output / name)
            write_text(written[-1], findings_page(edition, findings, found))
    pages = {
        "missing.txt": "".join(f"{title}\n" for title in missing),
        "report.html": report_page(material, made, charts, (files["svg"] for files in drawn), problems),
        "REPORT.md": report_summary(material, made, charts, problems),
    }
    for name, text in pages.items():
        written.append(output / name)
        write_text(written[-1], text)
    return ReportSummary(sum(len(group.runs) for group in material.groups), written, problems, conditions)


def _judged(runs: DataFrame, statements: Sequence[Statement]) -> DataFrame | None:
    if not statements:
        return None
    return (judge_own_first if "origin" in runs else judge)(runs, statements)


def _problems(material: Material, missing: Sequence[str]) -> dict[str, list[str]]:
    """What was left out of the tables, as sentences by kind."""
    runs = material.runs
    counted = {run["run_id"] for group in material.groups for run in group.runs}
    found = {str(kind): [str(sentence) for sentence in told] for kind, told in runs.attrs.get("problems", {}).items()}
    for status in ("failed", "interrupted"):
        found[f"{status.capitalize()} runs"] = [
            f"{name}: {error}" if isinstance(error, str) else str(name)
            for name, error in runs.loc[runs["status"] == status, ["name", "error"]].itertuples(index=False)
        ]
    finished = runs[runs["status"] == "finished"]
    found["Repetitions left out (a later run has the same settings and seed)"] = [
        str(name) for run_id, name in zip(finished["run_id"], finished["name"], strict=True) if run_id not in counted
    ]
    found["Expected runs without a finished record"] = list(missing)
    return {kind: sentences for kind, sentences in found.items() if sentences}
