"""Grids that settings were chosen from: short runs, judged on validation data alone."""

from collections.abc import Iterator
from itertools import groupby

from polystep.report.material import TUNING, Material
from polystep.report.rows import METHOD, RANK, STEP_SECONDS, STUDY, TASK, group_row, mean_of
from polystep.report.table import Row, Table, number_column, spread_column

_SCORE = "validation_selected"


def tables(material: Material) -> Iterator[Table]:
    """One row per setting, the best of each task, study and method first; test scores are left out."""
    trials = [group for group in material.groups if group["protocol"] == "tuning"]
    rows: list[Row] = []
    for _, members in groupby(trials, key=lambda group: (group["task"], group["study"], group["optimizer"])):
        scored = [(group.sign * score.mean, group) for group in members if (score := group.spread(_SCORE))]
        for rank, (_, group) in enumerate(sorted(scored, key=lambda trial: -trial[0]), 1):
            candidates = mean_of(group, "candidate_evaluations")
            rows.append({**group_row(group, validation=_SCORE), "rank": rank, "candidates": candidates})
    if rows:
        columns = (
            TASK,
            STUDY,
            METHOD,
            RANK,
            spread_column("validation", "Validation, best"),
            number_column("candidates", "Candidates"),
            STEP_SECONDS,
        )
        note = "Every method has as many trials and as large a budget for each. None of these runs counts as a result."
        yield Table("tuning", "Trials of the tuning grids", columns, rows, (note,), TUNING)
