"""The two pages for readers, made of templates: REPORT.md, the summary, and report.html, everything else."""

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from polystep.report.charts import Chart
from polystep.report.claims.texts import value_text
from polystep.report.groups import Group, context_of, settings_of
from polystep.report.material import Material
from polystep.report.svg import for_page
from polystep.report.table import RUNS, Column, Table, is_best, number_column, number_of, text_column, to_markdown
from polystep.report.text import for_markdown, plain

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
    Column("Commit", lambda run: plain(run["commit"])[:9]),
    Column("Context", context_of),
    Column("Data", lambda run: plain(run["data"])[:8]),
    text_column("started", "Started"),
    text_column("name", "Record"),
    text_column("source", "File"),
)


def report_summary(
    material: Material, tables: Sequence[Table], charts: Sequence[Chart], problems: Mapping[str, Sequence[str]]
) -> str:
    """REPORT.md."""
    sections = [
        (
            section,
            [(table, to_markdown(table)) for table in tables if table.summary and table.section == section],
            [chart for chart in charts if chart.summary and chart.section == section],
        )
        for section in material.sections
    ]
    shown = [section for section in sections if section[1] or section[2]]
    return _environment().get_template("REPORT.md.j2").render(
        sections=shown, problems=problems, **_counts(material), escape=for_markdown
    )  # fmt: skip


def report_page(
    material: Material,
    tables: Sequence[Table],
    drawn: Sequence[tuple[Chart, bytes]],
    problems: Mapping[str, Sequence[str]],
) -> str:
    """report.html: one file that needs no other. drawn: the charts with their SVG."""
    folder = Path(__file__).with_name("templates")
    sections = [
        (
            section,
            [_embedded(*pair) for pair in drawn if not pair[0].first and pair[0].section == section],
            [_cells(table) for table in tables if not table.summary and table.columns and table.section == section],
        )
        for section in material.sections
    ]
    return _environment().get_template("report.html.j2").render(
        style=Markup((folder / "style.css").read_text(encoding="utf-8")),
        script=Markup((folder / "page.js").read_text(encoding="utf-8")),
        editions=_editions(material),
        first=[_embedded(*pair) for pair in drawn if pair[0].first],
        sections=[section for section in sections if section[1] or section[2]],
        groups=[_group(group) for group in material.groups],
        problems={kind: [plain(sentence, 400) for sentence in told] for kind, told in problems.items()},
        **_counts(material),
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


def _counts(material: Material) -> dict[str, int]:
    runs = [run for group in material.groups for run in group.runs]
    return {
        "runs": len(runs),
        "tasks": len({run["task"] for run in runs}),
        "methods": len({run["optimizer"] for run in runs}),
    }


def _editions(material: Material) -> list[dict[str, Any]]:
    """Verdicts by edition: for each claim, by axis, its verdict and what is told about it."""
    rows = [] if material.verdicts is None else material.verdicts.to_dict("records")
    editions = []
    for edition, title in EDITIONS.items():
        claims: dict[str, list[dict[str, str]]] = {}
        for row in rows:
            if row["edition"] == edition:
                told = f"{value_text(row)}; {row['source'] or 'no'} runs; {row['reason']}".rstrip("; ")
                axis = plain(row["axis"]).replace("_", " ")
                shown = {"axis": axis, "verdict": row["verdict"], "told": plain(told, 400)}
                claims.setdefault(plain(row["statement"], 300), []).append(shown)
        if claims:
            editions.append({"title": title, "claims": claims})
    return editions


def _embedded(chart: Chart, svg: bytes) -> tuple[Chart, Markup]:
    return chart, Markup(for_page(svg, chart.title))


def _cells(table: Table) -> tuple[Table, list[tuple[list[tuple[str, Any, bool]], str | None]]]:
    """Per row: the text, the number to sort by and the highlight of every cell, and the address of the runs behind it."""
    rows = []
    for row in table.rows:
        cells = [(c.show(row), number_of(c, row), is_best(c, row)) for c in table.columns]
        rows.append((cells, f"#{row[RUNS]}" if row.get(RUNS) else None))
    return table, rows


def _group(group: Group) -> dict[str, Any]:
    return {
        "key": group.key,
        "title": f"{plain(group['task'])} · {group.label} · {group.axis} · study {plain(group['study'])}",
        "head": [column.title for column in _RUN_COLUMNS],
        "rows": [[column.show(run) for column in _RUN_COLUMNS] for run in group.runs],
        "settings": "\n".join(f"{key}: {text}" for key, text in sorted(settings_of(group.runs[0]).items())),
    }
