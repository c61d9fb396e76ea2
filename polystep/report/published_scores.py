"""What both editions of the paper report, as tables and figures need it."""

import math

from polystep.report.groups import METHOD
from polystep.report.published import published as published_number
from polystep.report.published import published_curve, published_table
from polystep.report.text import Spread

EDITIONS = {"first": "first edition", "revised": "revised edition"}
_METRICS = {"first": ("test_best", "test_last"), "revised": ("test_selected", "test_last")}


def edition_of(axis: str) -> str | None:
    """The edition whose settings an axis is about; None where it is about no edition's."""
    return next((edition for edition, title in EDITIONS.items() if axis == f"published settings, {title}"), None)


def published(task: str, method: str, edition: str | None) -> Spread | None:
    """The score that an edition is about: of returns that of the last policy, else the headline; None where it has none."""
    for metric in _METRICS[edition] if edition else ():
        row = published_number(str(edition), task, method, metric)
        if row and (row.unit or metric == "test_last"):
            seeds = 0 if math.isnan(row.seeds) else int(row.seeds)
            return Spread(row.mean, None if math.isnan(row.std) else row.std, seeds)
    return None


def published_rival(task: str, edition: str, direction: str) -> Spread | None:
    """The best published score of another method without gradients; None where that edition has none."""
    table = published_table(edition)
    rivals = table[(table["task"] == task) & (table["uses"] != "gradients") & (table["method"] != METHOD)]
    methods = set(rivals["method"])
    scores = [score for method in sorted(methods) if (score := published(task, method, edition))]
    sign = -1 if direction == "minimize" else 1
    return max(scores, key=lambda score: sign * score.mean, default=None)


def published_at_steps(edition: str, task: str, method: str) -> dict[int, dict[float, float]]:
    """Test scores of an edition by step and seed, which is NaN for a mean over unknown ones; empty where it has no curve."""
    curve = published_curve(edition, task, method)
    return {
        int(step): dict(zip(rows["seed"].astype(float), rows["test"].astype(float), strict=True))
        for step, rows in curve.groupby("step")
    }
