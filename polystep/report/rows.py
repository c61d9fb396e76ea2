"""What most tables show of a group of runs, and the columns of it."""

import math
from collections.abc import Sequence
from typing import Any

from polystep.report.claims.intervals import ANY, at_best, feasible_range, interval
from polystep.report.groups import Group
from polystep.report.table import RUNS, interval_column, number_column, spread_column, text_column
from polystep.report.text import Interval, finite

TASK, AXIS, METHOD = text_column("task", "Task"), text_column("axis", "Protocol"), text_column("method", "Method")
BOARD = text_column("board", "Compared within")
STUDY, SEEDS, RANK = text_column("study", "Study"), number_column("seeds", "Seeds"), number_column("rank", "Rank")
SHARES = (0.0, 1.0)
"""What shares, such as accuracies, can be."""
TEST = spread_column("test", "Test, validation-selected")
STEP_SECONDS = spread_column("step_seconds", "Step seconds", "seconds")


def difference_column(title: str) -> Any:
    """A paired difference with its interval."""
    return interval_column("difference", title, sign=True)


def group_row(group: Group, **spreads: str) -> dict[str, Any]:
    """The names of a group, its seeds and unit, the spread of its step seconds and that of each column in `spreads`."""
    columns = spreads | {"step_seconds": "step_seconds"}
    names = {"task": group["task"], "axis": group.axis, "method": group.label, "study": group["study"]}
    row: dict[str, Any] = {**names, "seeds": len(group.runs), "unit": group["unit"], RUNS: group.key}
    return row | {key: group.spread(column) for key, column in columns.items()}


def mean_of(group: Group, column: str) -> float | None:
    """Mean over the runs; None for what a method spends nothing of."""
    spread = group.spread(column)
    return spread.mean if spread and spread.mean else None


def interval_of(values: Sequence[float], feasible: tuple[float, float] = ANY, *, saturated: bool = False) -> Interval:
    """Mean over seeds with its 95 % interval, by the rules of verdicts (`claims.intervals.interval`); no ends where these know
    none.
    """
    if not values:
        return Interval()
    low, high = (finite(float(end)) for end in interval(values, saturated, feasible))
    return Interval(math.fsum(values) / len(values), low, high)


def score_interval(group: Group, column: str) -> Interval:
    """That of the scores in a column, cut to what scores can be."""
    feasible = feasible_range(finite(group["best"]), group.sign)
    found = interval_of(list(group.values(column).values()), feasible, saturated=is_saturated(group, column))
    return cut(found, SHARES) if group["unit"] == "fraction" else found


def cut(found: Interval, ends: tuple[float, float]) -> Interval:
    """The part of an interval between two ends."""
    low, high = (None if end is None else min(max(end, ends[0]), ends[1]) for end in found[1:])
    return found._replace(low=low, high=high)


def is_saturated(group: Group, column: str) -> bool:
    """Whether a score in a column is as good as the best possible one."""
    return any(at_best(value, finite(group["best"])) for value in group.values(column).values())
