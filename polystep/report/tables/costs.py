"""What runs spent: every counter and clock, and what it took until validation was as good as some target."""

from collections.abc import Iterator
from typing import Any

from polystep.report.boards import Board
from polystep.report.curves import Reached, cost_to_reach, curve_of
from polystep.report.groups import Group
from polystep.report.material import COSTS, Material
from polystep.report.one_run import METHOD as OWN_METHOD
from polystep.report.published import EDITIONS, published_rival, published_score
from polystep.report.rows import AXIS, METHOD, SEEDS, TASK, mean_of
from polystep.report.table import RUNS, Column, Row, Table, number_column, text_column
from polystep.report.text import MISSING, finite, number_text

_COUNTERS = {
    "candidate_evaluations": "Candidates",
    "sample_forwards": "Sample forwards",
    "backward_passes": "Backward passes",
    "clause_checks": "Clause checks",
    "environment_steps": "Environment steps",
}
_CLOCKS = {
    "step_seconds": "Step seconds",
    "seconds_compilation": "Compilation",
    "seconds_validation": "Validation",
    "seconds_preparation": "Preparation",
    "wall_seconds": "Wall seconds",
    "cpu_seconds": "CPU seconds",
}
_SPENT = {
    "seconds": ("step seconds", "seconds"),
    "candidate_evaluations": ("candidates", "count"),
    "sample_forwards": ("sample forwards", "count"),
    "environment_steps": ("environment steps", "count"),
}
_OWN_SHARE = 0.99


def tables(material: Material) -> Iterator[Table]:
    """One row per group, and one per group and target."""
    if rows := [_row(group) for group in material.groups if group["protocol"] != "tuning"]:
        yield _costs(rows)
    if rows := [row for board in material.boards for group in board.groups for row in _target_rows(board, group)]:
        yield _targets(rows)


def _costs(rows: list[Row]) -> Table:
    columns: list[Column] = [TASK, AXIS, METHOD, SEEDS, number_column("steps", "Steps")]
    for key, title in _COUNTERS.items():
        columns += [number_column(key, title), number_column(f"{key}_per_step", f"{title} per step")]
    columns += [number_column(key, title, "seconds") for key, title in _CLOCKS.items()]
    columns.append(number_column("milliseconds_per_step", "Milliseconds per step", None))
    columns.append(number_column("peak_memory_bytes", "Peak memory", "bytes"))
    notes = (
        "Means over seeds. Sample forwards: candidates x data rows; backward passes: gradients x data rows; clause checks: "
        "candidates x clauses. Step seconds: optimiser, evaluation and data, which budgets in seconds limit; compilation, "
        "validation and preparation are off that clock.",
        "Peak memory: of the whole process, data and libraries included, plus that of the GPU where one was used.",
    )
    used = [column for column in columns if column.number is None or any(row[column.number] for row in rows)]
    return Table("costs", "What the runs spent", used, rows, notes, COSTS)


def _row(group: Group) -> Row:
    row: dict[str, Any] = {"task": group["task"], "axis": group.axis, "method": group.label, "seeds": len(group.runs)}
    for key in ("steps", *_COUNTERS, *_CLOCKS, "peak_memory_bytes"):
        row[key] = mean_of(group, key)
    for key in _COUNTERS:
        row[f"{key}_per_step"] = row[key] / row["steps"] if row[key] and row["steps"] else None
    known = row["step_seconds"] and row["steps"]
    row["milliseconds_per_step"] = 1000 * row["step_seconds"] / row["steps"] if known else None
    return row | {RUNS: group.key}


def _targets(rows: list[Row]) -> Table:
    columns = (
        TASK,
        AXIS,
        METHOD,
        text_column("target", "Target"),
        number_column("score", "Score", None),
        Column("Reached by", lambda row: f"{row['reached']} of {row['runs']}", "reached"),
        *(_spent_column(key, title, unit) for key, (title, unit) in _SPENT.items()),
    )
    notes = (
        "Medians over runs until the first validation at least as good as the target, exact to the distance of two "
        "validations. A run that ended before counts with all that it spent; > where the true median is larger.",
        f"Own final: {_OWN_SHARE:g} of the way from the first validation to the mean selected validation score.",
    )
    return Table("targets", "Time to target", columns, rows, notes, COSTS)


def _target_rows(board: Board, group: Group) -> Iterator[Row]:
    for name, score in _targets_of(board, group):
        spent = {key: cost_to_reach(group, key, score) for key in _SPENT}
        if known := next((reached for reached in spent.values() if reached), None):
            row = {"task": board.task, "axis": board.axis, "method": group.label, "target": name, "score": score}
            yield row | {"unit": board["unit"], "reached": known.reached, "runs": known.runs, **spent, RUNS: group.key}


def _targets_of(board: Board, group: Group) -> Iterator[tuple[str, float]]:
    for edition, title in EDITIONS.items():
        if rival := published_rival(board.task, edition, board["direction"]):
            yield f"best published rival, {title}", rival.mean
        if own := published_score(board.task, OWN_METHOD, edition):
            yield f"published PolyStep, {title}", own.mean
    if (solved := finite(board["solved"])) is not None:
        yield "solved", solved
    starts = [score[0] for run in group.runs if len(score := curve_of(run, "validation").score)]
    if (final := group.spread("validation_selected")) and starts:
        start = sum(starts) / len(starts)
        yield f"{_OWN_SHARE:g} of own final", start + _OWN_SHARE * (final.mean - start)


def _spent_column(key: str, title: str, unit: str) -> Column:
    def show(row: Row) -> str:
        reached: Reached | None = row[key]
        if reached is None:
            return MISSING
        return f"{'' if reached.exact else '> '}{number_text(reached.median, unit)}"

    return Column(title, show, key, parts=("", "_exact"))
