"""The report: tables, figures and REPORT.md from whatever records exist, and what is missing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from polystep.bench.comparison import comparison_table, pooled_table
from polystep.bench.control_figures import return_figure, robustness_figure
from polystep.bench.control_scores import control_entries, control_table
from polystep.bench.costs import budget_table, time_to_90_table
from polystep.bench.curves import read_history
from polystep.bench.figures import Look, method_looks, write_figure
from polystep.bench.files import StorageError, write_text
from polystep.bench.groups import METHOD_OF_THE_PAPER, Group, group_runs
from polystep.bench.identity import identifying_settings
from polystep.bench.learning_curves import learning_curves
from polystep.bench.maxsat_figures import seconds_figure, size_figure
from polystep.bench.maxsat_scaling import maxsat_entries, maxsat_table
from polystep.bench.records import RunRecord, read_records
from polystep.bench.rendering import Table, escape_markdown, file_stem, to_markdown, write_table
from polystep.bench.score_bars import score_bars
from polystep.bench.tables import early_curve_table, environments_table, results_table
from polystep.bench.tuning import TUNING_PROTOCOL, tuning_table

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame


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
    everything = group_runs(runs)
    used = [run for group in everything for run in group.runs]
    groups = [group for group in everything if group.protocol != TUNING_PROTOCOL]
    tuning = tuning_table([group for group in everything if group.protocol == TUNING_PROTOCOL])
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
    writer = _Writer(output)
    looks = method_looks(group.optimizer for group in groups)
    lines = [
        "# Report",
        "",
        f"Built from {len(used)} finished runs. Published numbers: arXiv 2605.01928 and its released result files.",
        *("", "## Headline", "", *_bullets(_headlines(groups) or ["No finished run of the paper's method yet."])),
        *("", "## All protocols", *writer.table(results_table(groups)), *writer.table(early_curve_table(groups))),
        *_maxsat_section(groups, histories, looks, writer),
        *_control_section(groups, histories, looks, writer),
    ]
    for protocol in sorted({group.protocol for group in groups}):
        members = [group for group in groups if group.protocol == protocol]
        lines += ["", f"## Protocol {escape_markdown(protocol)}"]
        lines += _protocol_section(members, histories, looks, writer)
    if tuning.rows:
        lines += ["", "## Tuning", *writer.table(tuning)]
    lines += ["", "## Environments", *writer.table(environments_table(used))]
    lines += ["", "## What is missing or unreadable", "", *_gap_section(gaps, checked=expected is not None)]
    write_text(output / "REPORT.md", "\n".join(lines) + "\n")
    return ReportSummary(len(used), gaps, [*writer.written, output / "REPORT.md"])


class _Writer:
    """Writes tables and figures, and returns the lines of REPORT.md that show them."""

    def __init__(self, output: Path) -> None:
        self.written: list[Path] = []
        self._output = output

    def table(self, table: Table) -> list[str]:
        self.written += write_table(table, self._output / "tables")
        files = f"[CSV](tables/{table.name}.csv), [LaTeX](tables/{table.name}.tex)"
        return ["", f"### {escape_markdown(table.title)}", "", to_markdown(table), files]

    def figure(self, title: str, figure: "Figure", name: str) -> list[str]:
        self.written += write_figure(figure, self._output / "figures", name)
        title, stem = escape_markdown(title), f"figures/{name}"
        return ["", f"### {title}", "", f"![{title}]({stem}.png)", "", f"[PDF]({stem}.pdf)"]


def _protocol_section(
    groups: Sequence[Group], histories: Mapping[str, "DataFrame"], looks: Mapping[str, Look], writer: _Writer
) -> list[str]:
    """Tables and figures of one protocol; tables that have nothing to say are left out."""
    protocol = groups[0].protocol
    tables = (comparison_table(groups), pooled_table(groups), budget_table(groups), time_to_90_table(groups, histories))
    lines = [line for table in tables if table.rows for line in writer.table(table)]
    title = f"Test scores, protocol {protocol}"
    lines += writer.figure(title, score_bars(groups, looks), file_stem("scores", protocol))
    for task, members in groupby(groups, key=lambda group: group.task):
        title = f"Learning curves on task {task}, protocol {protocol}"
        name = file_stem("learning_curves", task, protocol)
        lines += writer.figure(title, learning_curves(list(members), histories, looks), name)
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
        *writer.figure("MAX-SAT over sizes", size_figure(entries, looks), "maxsat_sizes"),
    ]
    if (over_seconds := seconds_figure(entries, histories, looks)) is not None:
        lines += writer.figure("MAX-SAT over seconds", over_seconds, "maxsat_seconds")
    return lines


def _control_section(
    groups: Sequence[Group], histories: Mapping[str, "DataFrame"], looks: Mapping[str, Look], writer: _Writer
) -> list[str]:
    """Policies and their quantisation; nothing where none has been searched."""
    entries = control_entries(groups)
    if not entries:
        return []
    lines = writer.table(control_table(entries, histories))
    lines += writer.figure("Quantised policies", robustness_figure(entries, looks), "control_quantisation")
    for environment, members in groupby(entries, key=lambda entry: entry.environment):
        figure = return_figure(environment, list(members), histories, looks)
        lines += writer.figure(f"Return on {environment}", figure, file_stem("control", environment))
    return lines


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


def _gap_section(gaps: Mapping[str, Sequence[str]], checked: bool) -> list[str]:
    lines = [] if checked else ["No list of expected runs was given, so runs that never started are not noticed.", ""]
    for kind, sentences in gaps.items():
        if sentences:
            lines += [f"### {kind}", "", *_bullets(sentences), ""]
    return lines if any(gaps.values()) else [*lines, "Nothing else is missing."]
