"""Published results of both editions of the paper, for comparison only; README.md beside this file says where they come from.

Tasks go by the name that the task itself has, methods by the name of their settings file, as in the table of runs.
"""

import math
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pandas

from polystep.report.one_run import METHOD, sign_of
from polystep.report.text import Spread

EDITIONS = {"first": "first edition", "revised": "revised edition"}
_METRICS = {"first": ("test_best", "test_last"), "revised": ("test_selected", "test_last")}
"""Of the score that an edition is about: the headline, else, of returns, that of the last policy."""
_EQUAL_STEPS = "budget: the steps of PolyStep"
"""How notes begin on rivals that had as many steps, rather than as many evaluations."""
_FOLDER = Path(__file__).parent


class Published(NamedTuple):
    """Mean and sample standard deviation over seeds, in the unit of the metric; NaN where unknown.

    direction: of the metric. note: what a reader should know of the number.
    """

    mean: float
    std: float
    seeds: float
    direction: str
    unit: str
    note: str

    @property
    def spread(self) -> Spread:
        """For tables."""
        seeds = 0 if math.isnan(self.seeds) else int(self.seeds)
        return Spread(self.mean, None if math.isnan(self.std) else self.std, seeds)


def published(edition: str, task: str, method: str, metric: str, axis: str = "") -> Published | None:
    """What an edition reports; None where it reports nothing of this.

    metric: test_best (the best of all looks at the test set, hence optimistic), test_selected (the checkpoint that validation
    chose), test_last (the last model), validation_best. axis: equal_evaluations or controlled for runs made for that comparison
    alone; empty for the edition's main table.
    """
    return _numbers(edition).get((task, method, metric, axis))


def published_headline(task: str, method: str, edition: str | None) -> Published | None:
    """What an edition is about: of returns that of the last policy, else the headline; None where it has none."""
    for metric in _METRICS.get(edition or "", ()):
        row = published(str(edition), task, method, metric)
        if row and (row.unit or metric == "test_last"):
            return row
    return None


def published_score(task: str, method: str, edition: str | None) -> Spread | None:
    """The same, as tables show it."""
    row = published_headline(task, method, edition)
    return row.spread if row else None


def published_at_equal_steps(task: str, method: str) -> Spread | None:
    """The score in the revised edition's main table, if its runs had PolyStep's steps; None for those with its evaluations."""
    row = published_headline(task, method, "revised")
    return row.spread if row and had_equal_steps(method, row) else None


def had_equal_steps(method: str, row: Published) -> bool:
    """Whether a row of the revised edition's main table is about runs with PolyStep's steps; others had its evaluations."""
    return method == METHOD or row.note.startswith(_EQUAL_STEPS)


def published_rival(task: str, edition: str, direction: str) -> Spread | None:
    """The best published score of another method without gradients; None where that edition has none."""
    table = published_table(edition)
    rivals = table[(table["task"] == task) & (table["uses"] != "gradients") & (table["method"] != METHOD)]
    scores = [score for method in sorted(set(rivals["method"])) if (score := published_score(task, method, edition))]
    return max(scores, key=lambda score: sign_of(direction) * score.mean, default=None)


def published_curve(edition: str, task: str, method: str) -> pandas.DataFrame:
    """Published learning curves: test score and wall seconds, a row per seed and step; empty where there are none.

    seed: NaN where only a mean over seeds is known. epoch: number of the epoch that ends there; NaN at the marks at every
    20th step up to step 400.
    """
    curves = _read(_FOLDER / f"{edition}_curves.csv")
    return curves[(curves["task"] == task) & (curves["method"] == method)].reset_index(drop=True)


def published_at_steps(edition: str, task: str, method: str) -> Mapping[Any, Mapping[float, float]]:
    """Test scores of an edition by step and seed, which is NaN for a mean over unknown ones; empty where it has no curve."""
    curve = published_curve(edition, task, method)
    return {
        int(step): dict(zip(rows["seed"].astype(float), rows["test"].astype(float), strict=True))
        for step, rows in curve.groupby("step")
    }


@cache
def published_table(edition: str) -> pandas.DataFrame:
    """All that an edition reports, a row per task, method, metric and axis; README.md explains the columns."""
    text = ("task", "method", "uses", "metric", "axis", "direction", "unit", "hardware", "source", "note")
    return pandas.read_csv(_FOLDER / f"{edition}.csv", dtype=dict.fromkeys(text, str)).fillna(dict.fromkeys(text, ""))


@cache
def _numbers(edition: str) -> dict[tuple[str, str, str, str], Published]:
    table = published_table(edition)
    names = table[["task", "method", "metric", "axis"]].itertuples(index=False, name=None)
    return dict(zip(names, map(Published._make, table[[*Published._fields]].itertuples(index=False)), strict=True))


_read = cache(pandas.read_csv)
