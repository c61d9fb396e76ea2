"""What histories say: validation over what was spent, its mean over seeds, and when a target was reached."""

from statistics import median, median_high
from typing import NamedTuple

import numpy
from numpy.typing import NDArray

from polystep.report.groups import Group
from polystep.report.one_run import Run

Numbers = NDArray[numpy.float64]


class Curve(NamedTuple):
    """Validation scores of one run and what had been spent by then."""

    cost: Numbers
    score: Numbers


class MeanCurve(NamedTuple):
    """Mean, lowest and highest score over seeds."""

    cost: Numbers
    mean: Numbers
    low: Numbers
    high: Numbers


class Reached(NamedTuple):
    """Median over runs of what they spent until a target; where `exact` is false, the true median lies above."""

    median: float
    exact: bool
    reached: int
    runs: int


def curve_of(run: Run, cost: str) -> Curve:
    """Validation scores over a column of the history, such as "seconds" or "sample_forwards"; empty where it is unknown."""
    history = run["history"]
    if cost not in history or "validation" not in history:
        return Curve(numpy.empty(0), numpy.empty(0))
    spent, score = (numpy.array(history[name], dtype=float) for name in (cost, "validation"))
    known = numpy.isfinite(spent) & numpy.isfinite(score)
    return Curve(spent[known], score[known])


def mean_curve(group: Group, cost: str, points: int = 80) -> MeanCurve | None:
    """The runs of a group on the union of their costs, each carrying its last validation forward; None where one has none.

    Begins where every run has spent something and was validated, ends with the longest run, and is thinned to `points`.
    """
    curves = [curve_of(run, cost) for run in group.runs]
    curves = [Curve(*(values[curve.cost > 0] for values in curve)) for curve in curves]
    if not curves or any(len(curve.cost) == 0 for curve in curves):
        return None
    grid = numpy.unique(numpy.concatenate([curve.cost for curve in curves]))
    grid = grid[grid >= max(curve.cost[0] for curve in curves)]
    if len(grid) > points:
        # evenly over the logarithm, as it is drawn
        wanted = numpy.geomspace(grid[0], grid[-1], points)
        grid = numpy.unique(grid[numpy.searchsorted(grid, wanted).clip(0, len(grid) - 1)])
    scores = numpy.array([c.score[(numpy.searchsorted(c.cost, grid, side="right") - 1).clip(0)] for c in curves])
    # a value holds until the next one
    kept = numpy.r_[True, (numpy.diff(scores) != 0).any(axis=0)] | (grid == grid[-1])
    grid, scores = grid[kept], scores[:, kept]
    with numpy.errstate(over="ignore"):
        return MeanCurve(grid, scores.mean(axis=0), scores.min(axis=0), scores.max(axis=0))


def cost_to_reach(group: Group, cost: str, target: float) -> Reached | None:
    """What the runs spent until the first validation at least as good as `target`, median over runs.

    A run that never got there counts with what it spent in all, as a lower bound. None where a run spent nothing of this kind.
    """
    spent: list[tuple[float, bool]] = []
    for run in group.runs:
        curve = curve_of(run, cost)
        if len(curve.cost) == 0 or not curve.cost[-1] > 0:
            return None
        met = curve.cost[group.sign * curve.score >= group.sign * target]
        spent.append((float(met[0]), True) if len(met) else (float(curve.cost[-1]), False))
    values = [value for value, _ in spent]
    # the median is known where every run that fell short had spent more by then than the runs that it lies between
    exact = all(reached or value > median_high(values) for value, reached in spent)
    return Reached(median(values), exact, sum(reached for _, reached in spent), len(spent))
