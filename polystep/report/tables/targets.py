"""Time to target: what runs spent until validation was as good as published scores, and as nearly their own best."""

from collections.abc import Iterator
from typing import Any

from polystep.report.curves import Reached, cost_to_reach
from polystep.report.groups import METHOD as OWN_METHOD
from polystep.report.groups import Board, Group
from polystep.report.material import COSTS, Material
from polystep.report.published_scores import EDITIONS, published, published_rival
from polystep.report.rows import AXIS, METHOD, TASK
from polystep.report.table import RUNS, Column, Row, Table, text_column
from polystep.report.text import MISSING, finite, number_text

_SPENT = {
    "seconds": ("step seconds", "seconds"),
    "candidate_evaluations": ("candidates", "count"),
    "sample_forwards": ("sample forwards", "count"),
    "environment_steps": ("environment steps", "count"),
}
_OWN_SHARE = 0.99


def tables(material: Material) -> Iterator[Table]:
    """One row per group and target."""
    rows = [row for board in material.boards for group in board.groups for row in _rows(board, group)]
    columns = (
        TASK,
        AXIS,
        METHOD,
        text_column("target", "Target"),
        Column("Score", lambda row: number_text(row["score"], row["unit"]), "score"),
        Column("Reached by", lambda row: f"{row['reached']} of {row['runs']}", "reached"),
        *(_spent_column(key, title, unit) for key, (title, unit) in _SPENT.items()),
    )
    notes = (
        "Medians over runs until the first validation at least as good as the target, exact to the distance of two "
        "validations. A run that ended before counts with all that it spent; > where the true median is larger.",
        f"Own final: {_OWN_SHARE:g} of the way from the first validation to the mean selected validation score.",
    )
    if rows:
        yield Table("targets", "Time to target", columns, rows, notes, COSTS)


def _rows(board: Board, group: Group) -> Iterator[Row]:
    for name, score in _targets(board, group):
        spent = {key: cost_to_reach(group, key, score) for key in _SPENT}
        if known := next((reached for reached in spent.values() if reached), None):
            row: dict[str, Any] = {"task": board.task, "axis": board.axis, "method": group.label, "target": name}
            row |= {"score": score, "unit": board["unit"], "reached": known.reached, "runs": known.runs}
            for key, reached in spent.items():
                row |= _spent_values(key, reached)
            yield row | {RUNS: group.key}


def _targets(board: Board, group: Group) -> Iterator[tuple[str, float]]:
    for edition, title in EDITIONS.items():
        if rival := published_rival(board.task, edition, board["direction"]):
            yield f"best published rival, {title}", rival.mean
        if own := published(board.task, OWN_METHOD, edition):
            yield f"published PolyStep, {title}", own.mean
    if (solved := finite(board["solved"])) is not None:
        yield "solved", solved
    starts = [score[0] for run in group.runs if (score := _validations(run))]
    if (final := group.spread("validation_selected")) and starts:
        start = sum(starts) / len(starts)
        yield f"{_OWN_SHARE:g} of own final", start + _OWN_SHARE * (final.mean - start)


def _validations(run: Any) -> list[float]:
    history = run["history"] if isinstance(run["history"], dict) else {}
    known = [finite(value) for value in history.get("validation") or ()]
    return [value for value in known if value is not None]


def _spent_values(key: str, reached: Reached | None) -> dict[str, Any]:
    return {key: reached.median if reached else None, f"{key}_exact": reached.exact if reached else None}


def _spent_column(key: str, title: str, unit: str) -> Column:
    def show(row: Row) -> str:
        text = number_text(row[key], unit)
        return text if text == MISSING or row[f"{key}_exact"] else f"> {text}"

    return Column(title, show, key)
