"""Fidelity: test scores at the marked steps of the published learning curves, beside the published ones."""

from collections.abc import Iterator

from polystep.report.groups import Group, spread_of
from polystep.report.material import Material, family_section
from polystep.report.published_scores import published_at_steps
from polystep.report.table import (
    RUNS,
    Row,
    Table,
    interval_column,
    number_column,
    spread_column,
    spread_values,
    text_column,
)
from polystep.report.tables.comparison import interval_values
from polystep.report.text import finite


def tables(material: Material) -> Iterator[Table]:
    """One row per step; shorter runs count as well, since a curve does not depend on what follows."""
    rows = [row for group in material.groups if group["edition"] == "first" for row in _rows(group)]
    if rows:
        columns = (
            text_column("task", "Task"),
            text_column("method", "Method"),
            number_column("step", "Step"),
            spread_column("test", "Test, here"),
            spread_column("published", "Test, published"),
            number_column("common", "Common seeds"),
            interval_column("difference", "Here minus published, paired (95 %)", sign=True),
        )
        note = (
            "Published curves have steps of their own for every seed; the difference is over the seeds that both have."
        )
        section = family_section(
            str(next(group["family"] for group in material.groups if group["task"] == rows[0]["task"]))
        )
        yield Table("early_curve", "The start of the published learning curves", columns, rows, (note,), section)


def _rows(group: Group) -> Iterator[Row]:
    curves = {run["seed"]: {step: finite(test) for step, test in dict(run["test_curve"]).items()} for run in group.runs}
    published = published_at_steps(str(group["task"]), str(group["optimizer"]))
    for step in sorted({step for curve in curves.values() for step in curve}):
        theirs = published.get(step)
        here = {seed: score for seed, curve in curves.items() if (score := curve.get(step)) is not None}
        if theirs and here:
            pairs = [score - theirs[seed] for seed, score in here.items() if seed in theirs]
            yield {
                "task": group["task"],
                "method": group.label,
                "step": step,
                "unit": group["unit"],
                **spread_values("test", spread_of(list(here.values()))),
                **spread_values("published", spread_of(list(theirs.values()))),
                "common": len(pairs),
                **interval_values("difference", spread_of(pairs)),
                RUNS: group.key,
            }
