"""Fidelity: test scores at the marked steps of both editions' learning curves, beside the published ones."""

from collections.abc import Iterator

from polystep.report.groups import Group, spread_of
from polystep.report.material import Material, family_section
from polystep.report.published_scores import published_at_steps, published_marks
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
    yield from _revised(material)


def _revised(material: Material) -> Iterator[Table]:
    marks = [row for group in material.groups if group["edition"] == "revised" for row in _marks(group)]
    if marks:
        columns = (
            text_column("task", "Task"),
            text_column("method", "Method"),
            number_column("step", "Step"),
            spread_column("test", "Test, here"),
            spread_column("published", "Test, published"),
        )
        note = (
            "Published means of runs with the settings before tuning, five seeds or, on int8, three; those of single seeds "
            "are not known. On the SNN one seed of five stayed at 82 %."
        )
        section = family_section(
            str(next(group["family"] for group in material.groups if group["task"] == marks[0]["task"]))
        )
        yield Table("revised_marks", "Learning curves, revised edition before tuning", columns, marks, (note,), section)


def _marks(group: Group) -> Iterator[Row]:
    curves = [{step: finite(test) for step, test in dict(run["test_curve"]).items()} for run in group.runs]
    for step, theirs in sorted(published_marks(str(group["task"]), str(group["optimizer"])).items()):
        here = [score for curve in curves if (score := curve.get(step)) is not None]
        if here:
            yield {
                "task": group["task"],
                "method": group.label,
                "step": step,
                "unit": group["unit"],
                **spread_values("test", spread_of(here)),
                **spread_values("published", spread_of([theirs])),
                RUNS: group.key,
            }


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
