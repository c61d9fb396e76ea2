"""Runs that no comparison counts: those whose settings are not those of their study, and the trials of tuning grids."""

from collections.abc import Iterator, Sequence
from itertools import groupby

from polystep.report.groups import Group
from polystep.report.material import TUNING, Material, family_section
from polystep.report.one_run import APART, settings_of
from polystep.report.rows import AXIS, METHOD, RANK, SEEDS, STEP_SECONDS, STUDY, TASK, TEST, group_row, mean_of
from polystep.report.table import Row, Table, number_column, spread_column, text_column
from polystep.report.text import file_stem, finite

_SCORE = "validation_selected"


def tables(material: Material) -> Iterator[Table]:
    """One table for each family that has runs with other settings, and one of all trials."""
    altered = [group for group in material.groups if not group.is_own and group["protocol"] not in APART]
    for family in sorted({str(group["family"]) for group in altered}):
        rows = [
            {**group_row(group, test="test_selected"), "altered": ", ".join(group["altered"])}
            for group in altered
            if group["family"] == family
        ]
        columns = (TASK, AXIS, METHOD, text_column("altered", "Unlike the study"), SEEDS, TEST, STEP_SECONDS)
        title = f"{family_section(family)}: other settings than those of the study"
        note = "These runs count for no claim and no rank."
        yield Table(file_stem("settings", family), title, columns, rows, (note,), family_section(family))
    if trials := list(trials_of(material)):
        validation = spread_column("validation", "Validation, best")
        candidates, edges = number_column("candidates", "Candidates"), text_column("edges", "Winner at the edge of")
        shown = (TASK, STUDY, METHOD, RANK, validation, edges, candidates, STEP_SECONDS)
        notes = (
            "Every trial of a grid has the same budget. None of these runs counts as a result.",
            "A winner at an edge has the smallest or largest value of a setting that was tried: better ones may lie beyond.",
        )
        yield Table("tuning", "Trials of the tuning grids", shown, trials, notes, TUNING)


def trials_of(material: Material) -> Iterator[Row]:
    """One row per setting, the best of each task, study, method and budget first, by the rule of scripts.tune."""
    trials = sorted((group for group in material.groups if group["protocol"] == "tuning"), key=grid_of)
    for _, members in groupby(trials, key=grid_of):
        tried = list(members)
        known = (group for group in tried if group.knows(_SCORE) and not group.diverged)
        ranked = sorted(known, key=lambda group: (group.signed_mean(_SCORE), -_share(group)), reverse=True)
        for rank, group in enumerate(ranked, 1):
            candidates = mean_of(group, "candidate_evaluations")
            edges = ", ".join(_edges(group, tried)) if rank == 1 else None
            yield {**group_row(group, validation=_SCORE), "rank": rank, "edges": edges, "candidates": candidates}


def grid_of(group: Group) -> tuple[str, str, tuple[str, ...], str, tuple[str, ...]]:
    """What the trials of a grid share: task, study, budget, method, and its rule of weighting."""
    settings = settings_of(group.runs[0]).items()
    budget, rule = (
        tuple(f"{key}={value}" for key, value in settings if key.startswith(start))
        for start in ("budget.", "optimizer.weighting.")
    )
    return str(group["task"]), str(group["study"]), budget, str(group["optimizer"]), rule


def _share(group: Group) -> float:
    """The share of its steps after which the best validation came; 1 where it is unknown."""
    places = [(finite(run["selected_step"]), finite(run["steps"])) for run in group.runs]
    return max(place / steps if place is not None and steps else 1.0 for place, steps in places)


def _edges(best: Group, tried: Sequence[Group]) -> Iterator[str]:
    """The settings of the best trial that no trial, diverged or not, has both larger and smaller."""
    for name in best.runs[0]:
        if name.startswith("optimizer."):
            values = {value for group in tried if (value := finite(group[name])) is not None}
            if len(values) > 1 and finite(best[name]) in (min(values), max(values)):
                yield name.removeprefix("optimizer.")
