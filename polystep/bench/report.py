"""The report: tables, figures and REPORT.md from whatever records exist, and what is missing."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from polystep.bench.claims.published_runs import findings_page
from polystep.bench.claims.tables import claims_table, conditions_table
from polystep.bench.claims.verdicts import Statements, Verdicts, judge_all
from polystep.bench.comparison import comparison_table, pooled_table
from polystep.bench.control_figures import return_figure, robustness_figure
from polystep.bench.control_scores import control_entries, control_table
from polystep.bench.costs import budget_table, normalised_budget_table, time_to_90_table
from polystep.bench.figures import Look, method_looks, write_figures
from polystep.bench.groups import Group, group_runs
from polystep.bench.headline import headline_table
from polystep.bench.identity import run_identity
from polystep.bench.intake import VERSIONS, name_mixed_versions, take_in
from polystep.bench.learning_curves import learning_curves, with_learning_curves
from polystep.bench.maxsat_figures import seconds_figure, size_figure
from polystep.bench.maxsat_scaling import maxsat_entries, maxsat_table
from polystep.bench.page.document import Chapter, PageContent, report_page
from polystep.bench.records import RunRecord
from polystep.bench.rendering import Table, escape_markdown, file_stem, to_markdown, write_table
from polystep.bench.score_bars import score_bars
from polystep.bench.tables import early_curve_table, environments_table, results_table
from polystep.bench.tuning import TUNING_PROTOCOL, tuning_table
from polystep.files import write_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame

PAGE = "PUBLISHED_RUNS.md"


@dataclass(frozen=True)
class ReportSummary:
    """What a report was built from and which files it wrote.

    finished: number of runs in the tables. gaps: by kind, one sentence for each thing that is missing or was left out.
    """

    finished: int
    gaps: dict[str, list[str]]
    written: list[Path]


def build_report(
    records: Path,
    output: Path,
    expected: Mapping[str, dict[str, Any]] | None = None,
    statements: Statements | None = None,
) -> ReportSummary:
    """Build tables, figures and REPORT.md in `output` from the folder `records`; only finished runs enter them.

    `expected`: configurations of runs that should exist, by the title under which to list those that do not. `statements`: what
    to judge by the records; None: nothing.

    Every file is replaced as a whole, REPORT.md last, so an interrupted report leaves no damaged file. Records of which
    nothing can be made are listed, never fatal.

    Raises:
        StorageError: `records` cannot be listed, or `output` cannot be written.
    """
    intake = take_in(records)
    runs, histories = intake.runs, intake.histories
    everything = group_runs(runs)
    used = [run for group in everything for run in group.runs]
    groups = [group for group in everything if group.protocol != TUNING_PROTOCOL]
    tuning = tuning_table([group for group in everything if group.protocol == TUNING_PROTOCOL])
    intake.problems[VERSIONS] = name_mixed_versions([(group.title, group.runs) for group in groups])
    gaps = {
        "Expected runs without a finished record": _absent(runs, expected or {}),
        "Failed runs": [f"{run.name}: {_last_line(run)}" for run in runs if run.status == "failed"],
        "Interrupted or still running": [run.name for run in runs if run.status == "interrupted"] + intake.unfinished,
        "Repetitions left out (a later run has the same settings and seed)": [
            run.name for run in runs if run.status == "finished" and run not in used
        ],
        **intake.problems,
    }
    verdicts = judge_all(statements, used) if statements else None
    writer = _Writer(output)
    looks = method_looks(group.optimizer for group in groups)
    lines = [
        "# Report",
        "",
        f"Built from {len(used)} finished runs. Published numbers: arXiv 2605.01928 and its released result files. The same "
        "with sortable tables and the runs behind every number: [report.html](report.html), one file for the browser.",
        *(_verdicts_section(verdicts, writer) if verdicts else []),
        *writer.chapter("Headline"),
        *writer.table(headline_table(groups)),
        *("", *_bullets(_leaders(groups) or ["No task has several methods under one protocol yet."])),
        *writer.chapter("All protocols"),
        *(*writer.table(results_table(groups)), *writer.table(early_curve_table(groups))),
        *_maxsat_section(groups, histories, looks, writer),
        *_control_section(groups, histories, looks, writer),
    ]
    for protocol in sorted({group.protocol for group in groups}):
        members = [group for group in groups if group.protocol == protocol]
        lines += writer.chapter(f"Protocol {protocol}", members)
        lines += _protocol_section(members, histories, looks, writer)
    if tuning.rows:
        lines += [*writer.chapter("Tuning"), *writer.table(tuning)]
    lines += [*writer.chapter("Environments"), *writer.table(environments_table(used))]
    lines += ["", "## What is missing or unreadable", "", *_gap_section(gaps, checked=expected is not None)]
    page = report_page(PageContent(verdicts, writer.chapters, everything, histories, looks, gaps))
    writer.text("report.html", page)
    writer.draw_figures()
    writer.text("REPORT.md", "\n".join(lines) + "\n")
    return ReportSummary(len(used), gaps, writer.written)


class _Writer:
    """Writes tables and figures, returns the lines of REPORT.md that show them, and keeps the tables for the page."""

    def __init__(self, output: Path) -> None:
        self.written: list[Path] = []
        self.chapters: list[Chapter] = []
        self._output = output
        self._figures: list[tuple[str, Callable[[], Figure]]] = []

    def chapter(self, title: str, groups: Sequence[Group] = ()) -> list[str]:
        """A heading; the tables that follow belong to it, and the learning curves of `groups`."""
        self.chapters.append(Chapter(title, [], groups))
        return ["", f"## {escape_markdown(title)}"]

    def table(self, table: Table) -> list[str]:
        if self.chapters:
            self.chapters[-1].tables.append(table)
        self.written += write_table(table, self._output / "tables")
        files = f"[CSV](tables/{table.name}.csv), [LaTeX](tables/{table.name}.tex)"
        return ["", f"### {escape_markdown(table.title)}", "", to_markdown(table), files]

    def text(self, name: str, text: str) -> None:
        """A further page."""
        write_text(self._output / name, text)
        self.written.append(self._output / name)

    def figure(self, title: str, figure: "Figure | Callable[[], Figure]", name: str) -> list[str]:
        """The lines that show a figure; what draws one is called when all else is written."""
        self._figures.append((name, figure if callable(figure) else lambda: figure))
        title, stem = escape_markdown(title), f"figures/{name}"
        return ["", f"### {title}", "", f"![{title}]({stem}.png)", "", f"[PDF]({stem}.pdf)"]

    def draw_figures(self) -> None:
        """Draw and write the figures."""
        self.written += write_figures(self._figures, self._output / "figures")


def _verdicts_section(verdicts: Verdicts, writer: _Writer) -> list[str]:
    """The verdicts on the claims of the paper, and the page about its published runs."""
    lines = [
        "",
        "## Claims",
        *writer.table(claims_table(verdicts.claims)),
        *writer.table(conditions_table(verdicts.claims)),
    ]
    if verdicts.findings:
        lines += ["", "## What the published runs really did", "", f"Each with its evidence: [{PAGE}]({PAGE}).", ""]
        lines += _bullets([f"{finding.verdict}: {finding.defect.title}" for finding in verdicts.findings])
        writer.text(PAGE, findings_page(verdicts.findings))
    return lines


def _protocol_section(
    groups: Sequence[Group], histories: Mapping[str, "DataFrame"], looks: Mapping[str, Look], writer: _Writer
) -> list[str]:
    """Tables and figures of one protocol; tables that have nothing to say are left out."""
    protocol = groups[0].protocol
    tables = (
        comparison_table(groups),
        pooled_table(groups),
        budget_table(groups),
        normalised_budget_table(groups, histories),
        time_to_90_table(groups, histories),
    )
    lines = [line for table in tables if table.rows for line in writer.table(table)]
    for environment, entries in groupby(control_entries(groups), key=lambda entry: entry.environment):
        title = f"Return on {environment}, protocol {protocol}"
        name = file_stem("return", environment, protocol)
        lines += writer.figure(title, partial(return_figure, list(entries), histories, looks), name)
    drawn = with_learning_curves(groups)
    if drawn:
        title = f"Test scores, protocol {protocol}"
        lines += writer.figure(title, partial(score_bars, drawn, looks), file_stem("scores", protocol))
    for task, members in groupby(drawn, key=lambda group: group.task):
        title = f"Learning curves on task {task}, protocol {protocol}"
        name = file_stem("learning_curves", task, protocol)
        lines += writer.figure(title, partial(learning_curves, list(members), histories, looks), name)
    return lines


def _maxsat_section(
    groups: Sequence[Group], histories: Mapping[str, "DataFrame"], looks: Mapping[str, Look], writer: _Writer
) -> list[str]:
    """MAX-SAT over its sizes; nothing where it has not run."""
    entries = maxsat_entries(groups)
    if not entries:
        return []
    lines = [
        *writer.table(maxsat_table(entries)),
        *writer.figure("MAX-SAT over sizes", partial(size_figure, entries, looks), "maxsat_sizes"),
    ]
    if (over_seconds := seconds_figure(entries, histories, looks)) is not None:
        lines += writer.figure("MAX-SAT over seconds", over_seconds, "maxsat_seconds")
    return lines


def _control_section(
    groups: Sequence[Group], histories: Mapping[str, "DataFrame"], looks: Mapping[str, Look], writer: _Writer
) -> list[str]:
    """Policies of all protocols and their quantisation; nothing where none has been searched."""
    entries = control_entries(groups)
    if not entries:
        return []
    lines = writer.table(control_table(entries, histories))
    lines += writer.figure("Quantised policies", partial(robustness_figure, entries, looks), "control_quantisation")
    return lines


def _absent(runs: Sequence[RunRecord], expected: Mapping[str, dict[str, Any]]) -> list[str]:
    present = {run_identity(run.config, "") for run in runs if run.status == "finished"}
    return [title for title, config in expected.items() if run_identity(config, "") not in present]


def _last_line(run: RunRecord) -> str:
    lines = [line for text in (run.error or {}).values() for line in str(text).splitlines() if line.strip()]
    return lines[-1].strip() if lines else "no error was recorded"


def _leaders(groups: Sequence[Group]) -> list[str]:
    """Where methods compete, which one leads."""
    sentences = []
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


def _gap_section(gaps: Mapping[str, Sequence[str]], checked: bool) -> list[str]:
    lines = [] if checked else ["No list of expected runs was given, so runs that never started are not noticed.", ""]
    for kind, sentences in gaps.items():
        if sentences:
            lines += [f"### {kind}", "", *_bullets(sentences), ""]
    return lines if any(gaps.values()) else [*lines, "Nothing else is missing."]
