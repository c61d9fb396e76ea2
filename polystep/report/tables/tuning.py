"""Grids that settings were chosen from: short runs, judged on validation data alone."""

from collections.abc import Iterator
from itertools import groupby

from polystep.report.material import TUNING, Material
from polystep.report.table import RUNS, Row, Table, number_column, spread_column, spread_values, text_column


def tables(material: Material) -> Iterator[Table]:
    """One row per setting, the best of each task, study and method first; test scores are left out."""
    trials = [group for group in material.groups if group["protocol"] == "tuning"]
    rows: list[Row] = []
    for _, members in groupby(trials, key=lambda group: (group["task"], group["study"], group["optimizer"])):
        scored = [
            (score.mean * group.sign, score, group)
            for group in members
            if (score := group.spread("validation_selected"))
        ]
        for rank, (_, score, group) in enumerate(sorted(scored, key=lambda trial: -trial[0]), 1):
            candidates = group.spread("candidate_evaluations")
            rows.append(
                {
                    "task": group["task"],
                    "study": group["study"],
                    "method": group.label,
                    "rank": rank,
                    "unit": group["unit"],
                    **spread_values("validation", score),
                    "candidates": candidates.mean if candidates else None,
                    **spread_values("step_seconds", group.spread("step_seconds")),
                    RUNS: group.key,
                }
            )
    if rows:
        columns = (
            text_column("task", "Task"),
            text_column("study", "Study"),
            text_column("method", "Method"),
            number_column("rank", "Rank"),
            spread_column("validation", "Validation, best"),
            number_column("candidates", "Candidates"),
            spread_column("step_seconds", "Step seconds", "seconds"),
        )
        note = "Every method has as many trials and as large a budget for each. None of these runs counts as a result."
        yield Table("tuning", "Trials of the tuning grids", columns, rows, (note,), TUNING)
