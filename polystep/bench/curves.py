"""What the histories of runs say: validation curves, their mean over seeds, and when a threshold was reached."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy
from numpy.typing import NDArray

from polystep.files import StorageError

if TYPE_CHECKING:
    from pandas import DataFrame

NEEDED_COLUMNS = ("step", "validation", "candidate_evaluations", "seconds")

Numbers = NDArray[numpy.float64]


class Curve(NamedTuple):
    """Validation scores of one run (`score`, in the unit of the metric) and what had been spent by then (`cost`)."""

    cost: Numbers
    score: Numbers


class MeanCurve(NamedTuple):
    """Mean, lowest and highest score over seeds wherever any of them changes."""

    cost: Numbers
    mean: Numbers
    lowest: Numbers
    highest: Numbers


def read_history(folder: Path) -> "DataFrame":
    """history.csv of a run, one row per logged step.

    Raises StorageError, naming the file, where it is missing, damaged or lacks one of `NEEDED_COLUMNS`.
    """
    import pandas

    path = folder / "history.csv"
    try:
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        if not lines or not lines[-1].endswith("\n") or len({line.count(",") for line in lines}) > 1:
            raise ValueError("it is truncated")
        history = pandas.read_csv(path, dtype=float)
    except (OSError, ValueError) as error:
        raise StorageError(f"{path} cannot be read ({error}); delete the folder and repeat the run") from error
    missing = [column for column in NEEDED_COLUMNS if column not in history]
    if missing:
        raise StorageError(f"{path} lacks the columns {missing}; delete the folder and repeat the run")
    return history


def validation_curve(history: "DataFrame", column: str) -> Curve:
    """Validation scores over a currency of the history, "candidate_evaluations" or "seconds"."""
    cost, score = history[column].to_numpy(float), history["validation"].to_numpy(float)
    seen = ~(numpy.isnan(cost) | numpy.isnan(score))
    return Curve(cost[seen], score[seen])


def after_start(curve: Curve) -> Curve:
    """What was observed once something had been spent: a logarithmic axis has no place for the start."""
    return Curve(*(values[curve.cost > 0] for values in curve))


def mean_curve(curves: Sequence[Curve]) -> MeanCurve | None:
    """Curves of several seeds on the union of their costs, each carrying its last observation forward.

    Starts where every seed has been observed; ends with the longest run, so that no seed drops out of the mean. None where
    a seed was never observed.
    """
    if not curves or any(len(curve.cost) == 0 for curve in curves):
        return None
    grid = numpy.unique(numpy.concatenate([curve.cost for curve in curves]))
    grid = grid[grid >= max(curve.cost[0] for curve in curves)]
    scores = numpy.array([curve.score[numpy.searchsorted(curve.cost, grid, side="right") - 1] for curve in curves])
    return MeanCurve(grid, scores.mean(axis=0), scores.min(axis=0), scores.max(axis=0))


def cost_to_reach(history: "DataFrame", column: str, threshold: float) -> tuple[float, bool] | None:
    """Cost of the first validation of at least `threshold`, and True; the cost at the end, and False, where none was.

    None where the run spent nothing of this currency, such as candidates by a gradient method.
    """
    end = float(history[column].max())
    if not end > 0:
        return None
    curve = validation_curve(history, column)
    reached = curve.cost[curve.score >= threshold]
    return (float(reached[0]), True) if len(reached) else (end, False)
