"""How figures show the scores of a task: against a threshold, or by their distance to the best possible value."""

from dataclasses import dataclass
from typing import Any

import numpy

from polystep.report.boards import Board
from polystep.report.charts import Line, Style
from polystep.report.curves import Numbers, mean_curve
from polystep.report.groups import Group
from polystep.report.text import finite, unit_of

LEAST_SHARE = 1e-4
"""Of the best value: what is closer to it is drawn there, since a logarithmic axis has no zero."""


@dataclass(frozen=True)
class ScoreAxis:
    """label: with the unit. best: distances to it are shown, on a logarithmic axis; None: scores, on a linear one.

    level: the score that counts as solved, as it is shown.
    """

    label: str
    scale: float
    best: float | None
    level: float | None

    def shown(self, scores: Any) -> Numbers:
        """Scores as the axis shows them."""
        values = numpy.asarray(scores, dtype=float)
        if self.best is not None:
            values = numpy.maximum(abs(self.best - values), LEAST_SHARE * abs(self.best) or LEAST_SHARE)
        return self.scale * values

    def validation(self, group: Group, cost: str, label: str, style: Style) -> Line | None:
        """The learning curve of a group over what it spent, with a band over its seeds; None where it is not known."""
        curve = mean_curve(group, cost)
        if curve is None:
            return None
        mean, low, high = (self.shown(scores) for scores in (curve.mean, curve.low, curve.high))
        return Line(label, style, curve.cost, mean, low, high)


def linear_axis(board: Board) -> ScoreAxis:
    """The axis that shows the scores of a board as they are."""
    unit, solved, name = unit_of(board["unit"]), finite(board["solved"]), str(board["metric"])
    label = f"{name} ({unit.symbol.strip()})" if unit.symbol else name
    return ScoreAxis(label, unit.scale, None, None if solved is None else unit.scale * solved)


def score_axis(board: Board) -> ScoreAxis:
    """The axis for the metric of a board: distances where the best value is known and no threshold is."""
    axis, unit, best = linear_axis(board), unit_of(board["unit"]), finite(board["best"])
    if best is None or axis.level is not None:
        return axis
    return ScoreAxis(f"{unit.scale * best:g}{unit.symbol} - {board['metric']}", unit.scale, best, None)
