"""Published results of both editions of the paper, for comparison only; README.md beside this file says where they come from.

Tasks go by the name that the task itself has, methods by the name of their settings file, as in the table of runs.
"""

from functools import cache
from pathlib import Path
from typing import NamedTuple

import pandas

EDITIONS = ("first", "revised")
_FOLDER = Path(__file__).parent


class Published(NamedTuple):
    """Mean and sample standard deviation over seeds, in the unit of the metric, and what one run cost; NaN where unknown.

    direction: of the metric. seconds: wall time on `hardware`.
    """

    mean: float
    std: float
    seeds: float
    direction: str
    unit: str
    candidate_evaluations: float
    steps: float
    seconds: float
    peak_memory_mb: float
    hardware: str


def published(edition: str, task: str, method: str, metric: str, axis: str = "") -> Published | None:
    """What an edition reports; None where it reports nothing of this.

    metric: test_best (the best of all looks at the test set, hence optimistic), test_selected (the checkpoint that validation
    chose), test_last (the last model), validation_best. axis: equal_evaluations for runs made for that comparison alone; empty
    for the edition's main table.
    """
    return _rows(edition).get((task, method, metric, axis))


def published_table(edition: str) -> pandas.DataFrame:
    """All that an edition reports, a row per task, method, metric and axis; README.md explains the columns."""
    return _table(edition).copy()


def published_curve(edition: str, task: str, method: str) -> pandas.DataFrame:
    """Published learning curves: test score and wall seconds, a row per seed and step; empty where there are none.

    seed: NaN where only a mean over seeds is known. epoch: number of the epoch that ends there; NaN at the marks at every
    20th step up to step 400.
    """
    curves = _curves(edition)
    return curves[(curves["task"] == task) & (curves["method"] == method)].reset_index(drop=True)


@cache
def _table(edition: str) -> pandas.DataFrame:
    text = dict.fromkeys(
        ("task", "method", "uses", "metric", "axis", "direction", "unit", "hardware", "source", "note"), str
    )
    table = pandas.read_csv(_FOLDER / f"{edition}.csv", dtype=text)
    return table.fillna(dict.fromkeys(text, ""))


@cache
def _rows(edition: str) -> dict[tuple[str, str, str, str], Published]:
    table = _table(edition)
    names = table[["task", "method", "metric", "axis"]].itertuples(index=False, name=None)
    return dict(zip(names, map(Published._make, table[[*Published._fields]].itertuples(index=False)), strict=True))


@cache
def _curves(edition: str) -> pandas.DataFrame:
    path = _FOLDER / f"{edition}_curves.csv"
    return (
        pandas.read_csv(path) if path.exists() else pandas.DataFrame(columns=["task", "method", "seed", "step", "test"])
    )
