"""The pages for readers, made of templates: REPORT.md, the summary; report.html, everything else; and one per edition."""

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from pandas import DataFrame

from polystep.report.charts import Chart
from polystep.report.claims.judge import FAILS, HOLDS
from polystep.report.claims.statements import FILES, Statement
from polystep.report.claims.texts import bound_text, value_text
from polystep.report.groups import Group
from polystep.report.material import Material
from polystep.report.one_run import context_of, method_title, shown_settings
from polystep.report.svg import for_page
from polystep.report.table import RUNS, Column, Table, is_best, number_column, telling_columns, text_column, to_markdown
from polystep.report.text import for_markdown, plain

PAGES = {"first": "FIRST_EDITION.md", "revised": "REVISED_EDITION.md"}
"""The files of the pages about the editions."""
EDITIONS = {"first": "First edition", "ours": "Our own protocols", "revised": "Revised edition"}
_RUN_COLUMNS = (
    text_column("seed", "Seed"),
    number_column("test_selected", "Test, validation-selected", None),
    number_column("test_last", "Test, last", None),
    number_column("validation_selected", "Validation", None),
    number_column("selected_step", "at step"),
    number_column("steps", "Steps"),
    number_column("candidate_evaluations", "Candidates"),
    number_column("step_seconds", "Step seconds", "seconds"),
    number_column("wall_seconds", "Wall seconds", "seconds"),
    Column("Started", lambda run: plain(run["started"])[:16].replace("T", " ")),
    text_column("run_id", "Record"),
)
_SHARED_COLUMNS = (
    Column("Commit", lambda run: plain(run["commit"])[:9]),
    Column("Context", context_of),
    Column("Data", lambda run: plain(run["data"])[:8]),
    text_column("source", "File"),
)
"""Those that all runs of a group may have in common, and which are then told once."""


def report_summary(
    material: Material, tables: Sequence[Table], charts: Sequence[Chart], problems: Mapping[str, Sequence[str]]
) -> str:
    """REPORT.md."""
    shown = [table for table in tables if table.summary], [chart for chart in charts if chart.summary]
    return _environment().get_template("REPORT.md.j2").render(
        sections=_sections(material, *shown), problems=problems, **_counts(material), escape=for_markdown,
        to_markdown=to_markdown,
    )  # fmt: skip


def report_page(
    material: Material,
    tables: Sequence[Table],
    charts: Sequence[Chart],
    svgs: Iterable[bytes],
    problems: Mapping[str, Sequence[str]],
) -> str:
    """report.html: one file that needs no other. svgs: of the charts, as drawn."""
    shown = [table for table in tables if not table.summary and table.columns], [c for c in charts if not c.first]
    return _environment().get_template("report.html.j2").render(
        editions=_editions(material),
        first=[chart for chart in charts if chart.first],
        drawn={chart.name: Markup(for_page(svg, chart.title)) for chart, svg in zip(charts, svgs, strict=True)},
        sections=_sections(material, *shown),
        lists=_run_lists(material.groups),
        columns_of=_run_columns,
        problems=problems,
        **_counts(material),
        **{"behind": RUNS, "is_best": is_best, "telling_columns": telling_columns, "shown_settings": shown_settings},
        **{"plain": plain, "method_title": method_title},
    )  # fmt: skip


def findings_page(edition: str, findings: Sequence[Statement], conditions: DataFrame) -> str:
    """The page of an edition: each finding with the numbers that bear it out, published ones and reruns, and what follows."""
    with_rows = [
        (finding, conditions[conditions["claim"] == finding.id].to_dict("records"))
        for finding in findings
        if finding.edition == edition
    ]
    return _environment().get_template("EDITION.md.j2").render(
        edition=edition, findings=with_rows, FILES=FILES, FAILS=FAILS, HOLDS=HOLDS, escape=for_markdown, value_text=value_text,
        bound_text=bound_text,
    )  # fmt: skip


@cache
def _environment() -> Environment:
    # only the page is HTML: REPORT.md gets text that is escaped for Markdown
    return Environment(
        loader=FileSystemLoader(Path(__file__).with_name("templates")),
        autoescape=lambda name: name == "report.html.j2",
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _sections(
    material: Material, tables: Sequence[Table], charts: Sequence[Chart]
) -> list[tuple[str, list[Table], list[Chart]]]:
    """The sections that have any of these tables and charts, with those that they have."""
    shown = [
        (
            name,
            [table for table in tables if table.section == name],
            [chart for chart in charts if chart.section == name],
        )
        for name in material.sections
    ]
    return [section for section in shown if section[1] or section[2]]


def _run_lists(groups: Iterable[Group]) -> list[list[Group]]:
    """The groups whose runs one table shows: a single one, or all trials of a method in a study."""
    lists: dict[tuple[str, ...], list[Group]] = {}
    for group in groups:
        trials = (str(group["task"]), str(group["study"]), str(group["optimizer"]))
        lists.setdefault(trials if group["protocol"] == "tuning" else (group.key,), []).append(group)
    return [*lists.values()]


def _run_columns(groups: Sequence[Group]) -> tuple[list[Column], str]:
    """The columns that tell the runs of groups apart, and what all of them share, in words."""
    runs = [run for group in groups for run in group.runs]
    shared = [column for column in _SHARED_COLUMNS if len({column.show(run) for run in runs}) == 1]
    told = [f"{column.title} {column.show(runs[0])}" for column in shared]
    return [*_RUN_COLUMNS, *(column for column in _SHARED_COLUMNS if column not in shared)], " · ".join(told)


def _counts(material: Material) -> dict[str, int]:
    runs = [run for group in material.groups for run in group.runs]
    return {
        "runs": len(runs),
        "tasks": len({run["task"] for run in runs}),
        "methods": len({run["optimizer"] for run in runs}),
    }


def _editions(material: Material) -> list[tuple[str, dict[str, list[dict[str, str]]]]]:
    """Verdicts by edition: for each claim, by axis, its verdict and the numbers and reason behind it."""
    claims: dict[str, dict[str, list[dict[str, str]]]] = {edition: {} for edition in EDITIONS}
    for row in [] if material.verdicts is None else material.verdicts.to_dict("records"):
        source = f"{row['source']} runs" if row["source"] else ""
        details = "; ".join(filter(None, [row["condition"], value_text(row), source, row["reason"]]))
        axis = plain(row["axis"]).replace("_", " ")
        shown = {"axis": axis, "verdict": row["verdict"], "details": plain(details, 400)}
        claims[row["edition"]].setdefault(plain(row["statement"], 300), []).append(shown)
    return [(title, claims[edition]) for edition, title in EDITIONS.items() if claims[edition]]
