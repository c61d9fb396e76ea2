"""Fidelity: test scores at the marked steps of both editions' learning curves, beside the published ones."""

from collections.abc import Iterator

from polystep.report.groups import Group, spread_of
from polystep.report.material import Material, family_section
from polystep.report.published import published_at_steps
from polystep.report.rows import METHOD, TASK, difference_column, interval_of
from polystep.report.table import RUNS, Row, Table, number_column, spread_column
from polystep.report.text import finite

_CURVES = {
    "first": (
        "early_curve",
        "The start of the published learning curves",
        "Published curves have steps of their own for every seed; the difference is over the seeds that both have.",
    ),
    "revised": (
        "revised_marks",
        "Learning curves, revised edition before tuning",
        "Published means of runs with the settings before tuning, five seeds or, on int8, three; those of single seeds are not "
        "known. On the SNN one seed of five stayed at 82 %.",
    ),
}
_COLUMNS = (
    TASK,
    METHOD,
    number_column("step", "Step"),
    spread_column("test", "Test, here"),
    spread_column("published", "Test, published"),
    number_column("common", "Common seeds"),
    difference_column("Here minus published, paired (95 %)"),
)


def tables(material: Material) -> Iterator[Table]:
    """One row per step; shorter runs count as well, since a curve does not depend on what follows."""
    for edition, (name, title, note) in _CURVES.items():
        groups = [group for group in material.groups if group["edition"] == edition]
        rows = [(group["family"], row) for group in groups for row in _rows(group, edition)]
        if rows:
            yield Table(name, title, _COLUMNS, [row for _, row in rows], (note,), family_section(str(rows[0][0])))


def _rows(group: Group, edition: str) -> Iterator[Row]:
    curves = {run["seed"]: {step: finite(test) for step, test in dict(run["test_curve"]).items()} for run in group.runs}
    for step, theirs in published_at_steps(edition, str(group["task"]), str(group["optimizer"])).items():
        here = {seed: score for seed, curve in curves.items() if (score := curve.get(step)) is not None}
        pairs = [score - theirs[seed] for seed, score in here.items() if seed in theirs]
        if here:
            yield {
                "task": group["task"],
                "method": group.label,
                "step": step,
                "unit": group["unit"],
                "test": spread_of(list(here.values())),
                "published": spread_of(list(theirs.values())),
                "common": len(pairs),
                "difference": interval_of(pairs),
                RUNS: group.key,
            }
