"""What most tables show of a group of runs, and the columns of it."""

import math
from typing import Any

from scipy.stats import t

from polystep.report.groups import Group
from polystep.report.table import RUNS, interval_column, number_column, spread_column, text_column
from polystep.report.text import Interval, Spread, finite

TASK, AXIS, METHOD = text_column("task", "Task"), text_column("axis", "Protocol"), text_column("method", "Method")
BOARD = text_column("board", "Compared within")
STUDY, SEEDS, RANK = text_column("study", "Study"), number_column("seeds", "Seeds"), number_column("rank", "Rank")
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


def interval_of(spread: Spread | None, unit: str | None = None) -> Interval:
    """Mean and its 95 % interval by Student's t, mean ± t(0.975, n - 1) s / sqrt(n); no interval from one value.

    That of scores whose unit is "fraction" is cut to what they can be, 0 to 1.
    """
    if spread is None:
        return Interval()
    half = None
    if spread.std is not None:
        half = finite(t.ppf(0.975, spread.n - 1) * spread.std / math.sqrt(spread.n))
    if half is None:
        return Interval(spread.mean)
    low, high = spread.mean - half, spread.mean + half
    return (
        Interval(spread.mean, max(low, 0.0), min(high, 1.0)) if unit == "fraction" else Interval(spread.mean, low, high)
    )
