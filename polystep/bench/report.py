"""The report: tables, figures and REPORT.md from whatever records exist, and what is missing."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from polystep.bench.figures import learning_curves, read_history, write_figure
from polystep.bench.files import StorageError, write_text
from polystep.bench.groups import Group, group_runs
from polystep.bench.identity import identifying_settings
from polystep.bench.records import RunRecord, read_records
from polystep.bench.rendering import Table, escape_markdown, to_markdown, write_table
from polystep.bench.tables import early_curve_table, environments_table, results_table

if TYPE_CHECKING:
    from pandas import DataFrame

METHOD_OF_THE_PAPER = "polystep"


@dataclass(frozen=True)
class ReportSummary:
    """What a report was built from and which files it wrote.

    finished: number of runs in the tables. gaps: by kind, one sentence for each thing that is missing or was left out.
    """

    finished: int
    gaps: dict[str, list[str]]
    written: list[Path]


def build_report(records: Path, output: Path, expected: Mapping[str, dict[str, Any]] | None = None) -> ReportSummary:
    """Build tables, figures and REPORT.md in `output` from the folder `records`; only finished runs enter them.

    `expected`: configurations of runs that should exist, by the title under which to list those that do not.

    Every file is replaced as a whole, REPORT.md last, so an interrupted report leaves no damaged file. Records of which
    nothing can be made are listed, never fatal.

    Raises:
        StorageError: `records` cannot be listed, or `output` cannot be written.
    """
    runs, unreadable = _readable(records)
    groups = group_runs(runs)
    used = [run for group in groups for run in group.runs]
    histories, damaged = _histories(used)
    gaps = {
        "Expected runs without a finished record": _absent(runs, expected or {}),
        "Failed runs": [f"{run.name}: {_last_line(run)}" for run in runs if run.status == "failed"],
        "Interrupted or still running": [r.name for r in runs if r.status == "interrupted"] + _without_record(records),
        "Repetitions left out (a later run has the same settings and seed)": [
            run.name for run in runs if run.status == "finished" and run not in used
        ],
        "Unreadable files": unreadable + damaged,
    }
    tables = [results_table(groups), early_curve_table(groups), environments_table(used)]
    written = [path for table in tables for path in write_table(table, output / "tables")]
    figures = []
    for (task, protocol), members in groupby(groups, key=lambda group: (group.task, group.protocol)):
        name = re.sub(r"[^\w.-]", "_", f"learning_curves_{task}_{protocol}")
        written += write_figure(learning_curves(list(members), histories), output / "figures", name)
        figures.append((f"Learning curves on task {task}, protocol {protocol}", f"figures/{name}"))
    lines = [
        "# Report",
        "",
        f"Built from {len(used)} finished runs. Published numbers: arXiv 2605.01928 and its released result files.",
        *("", "## Headline", "", *_bullets(_headlines(groups) or ["No finished run of the paper's method yet."])),
        *("", "## Tables", *(line for table in tables for line in _table_section(table))),
        *("", "## Figures", *(line for figure in figures for line in _figure_section(*figure))),
        *("", "## What is missing or unreadable", "", *_gap_section(gaps, checked=expected is not None)),
    ]
    written.append(output / "REPORT.md")
    write_text(written[-1], "\n".join(lines) + "\n")
    return ReportSummary(len(used), gaps, written)


def _readable(records: Path) -> tuple[list[RunRecord], list[str]]:
    found, problems = read_records(records)
    readable = [run for run in found if _is_complete(run)]
    problems += [
        f"{run.folder}/run.json lacks labels, metric or other content that tables need; delete the folder and repeat the run"
        for run in found
        if not _is_complete(run)
    ]
    return readable, problems


def _is_complete(run: RunRecord) -> bool:
    sections = (run.labels, run.config, run.metric, run.metrics, run.ledger, run.environment)
    if not all(isinstance(section, dict) for section in sections):
        return False
    texts = [run.name, run.protocol, run.ended, *(run.labels.get(name) for name in ("task", "optimizer", "study"))]
    texts += [run.metric.get(name) for name in ("name", "direction", "unit")]
    typed = isinstance(run.labels.get("seed"), int) and isinstance(run.metrics.get("test_curve", []), list)
    return typed and all(isinstance(text, str) for text in texts)


def _without_record(records: Path) -> list[str]:
    if not records.exists():
        return []
    try:
        folders = sorted(path for path in records.iterdir() if path.is_dir() and not path.name.startswith("."))
    except OSError as error:
        raise StorageError(f"cannot list the records in {records}: {error.strerror}; name a readable folder") from error
    return [f"{folder.name}: no run.json yet" for folder in folders if not (folder / "run.json").exists()]


def _histories(runs: Sequence[RunRecord]) -> tuple[dict[str, "DataFrame"], list[str]]:
    found, problems = {}, []
    for run in runs:
        assert run.folder is not None
        try:
            found[run.name] = read_history(run.folder)
        except StorageError as error:
            problems.append(f"{error} (left out of figures)")
    return found, problems


def _absent(runs: Sequence[RunRecord], expected: Mapping[str, dict[str, Any]]) -> list[str]:
    present = [identifying_settings(run.config) for run in runs if run.status == "finished"]
    return [title for title, config in expected.items() if identifying_settings(config) not in present]


def _last_line(run: RunRecord) -> str:
    lines = [line for text in (run.error or {}).values() for line in str(text).splitlines() if line.strip()]
    return lines[-1].strip() if lines else "no error was recorded"


def _headlines(groups: Sequence[Group]) -> list[str]:
    """The paper's method beside what is published for it; then, where methods compete, which one leads."""
    sentences = []
    for group in groups:
        if group.optimizer != METHOD_OF_THE_PAPER:
            continue
        target = "nothing comparable is published"
        if group.published_best:
            target = f"published: {group.published_best} test-selected, {group.published_last} last epoch"
        sentences.append(
            f"{group.title}: test {group.metric} {group.selected or 'unknown'} validation-selected, "
            f"{group.last or 'unknown'} last checkpoint; {target}."
        )
    for (task, protocol), members in groupby(groups, key=lambda group: (group.task, group.protocol)):
        scored = [(score.mean, group) for group in members if (score := group.selected)]
        if len(scored) > 1:
            choose = max if scored[0][1].direction == "maximize" else min
            leader = choose(scored, key=lambda pair: pair[0])[1]
            sentences.append(
                f"Task {task}, protocol {protocol}: the best mean validation-selected test score of {len(scored)} "
                f"entries is {leader.selected} by {leader.method}, study {leader.study}."
            )
    return sentences


def _bullets(sentences: Sequence[str]) -> list[str]:
    return [f"- {escape_markdown(sentence)}" for sentence in sentences]


def _table_section(table: Table) -> list[str]:
    files = f"[CSV](tables/{table.name}.csv), [LaTeX](tables/{table.name}.tex)"
    return ["", f"### {escape_markdown(table.title)}", "", to_markdown(table), files]


def _figure_section(title: str, stem: str) -> list[str]:
    title = escape_markdown(title)
    return ["", f"### {title}", "", f"![{title}]({stem}.png)", "", f"[PDF]({stem}.pdf)"]


def _gap_section(gaps: Mapping[str, Sequence[str]], checked: bool) -> list[str]:
    lines = [] if checked else ["No list of expected runs was given, so runs that never started are not noticed.", ""]
    for kind, sentences in gaps.items():
        if sentences:
            lines += [f"### {kind}", "", *_bullets(sentences), ""]
    return lines if any(gaps.values()) else [*lines, "Nothing else is missing."]
