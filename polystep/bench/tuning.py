"""What settings for the matched protocols were chosen by: short runs of a grid, judged on validation data alone."""

from collections.abc import Sequence
from itertools import groupby

from polystep.bench.groups import Group
from polystep.bench.quantities import Quantity
from polystep.bench.rendering import Cell, Column, Table
from polystep.bench.tables import MEASURED, NAMES_WITHIN_PROTOCOL, name_cells

TUNING_PROTOCOL = "tuning"


def tuning_table(groups: Sequence[Group]) -> Table:
    """One row per group of the tuning protocol, the best of each method and study first; test scores are left out."""
    rows: list[dict[str, Cell]] = []
    scored = [(score, group) for group in groups if (score := group.validation)]
    for _, members in groupby(scored, key=lambda pair: (pair[1].task, pair[1].study, pair[1].optimizer)):
        found = list(members)
        ranked = sorted(found, key=_mean_score, reverse=found[0][1].direction == "maximize")
        rows += [_row(rank, score, group) for rank, (score, group) in enumerate(ranked, 1)]
    columns = (
        *NAMES_WITHIN_PROTOCOL,
        Column("rank", "Rank"),
        Column("validation", "Validation, best", MEASURED),
        Column("candidates", "Candidates evaluated", ("mean", "by_seed")),
        Column("step_seconds", "Step seconds", MEASURED),
    )
    notes = (
        "Each method has as many settings, and as many seconds for each; in study tuning_evals as many candidates. None of "
        "these runs counts as a result.",
    )
    return Table("tuning", "Tuning of the settings for matched protocols", columns, rows, notes)


def _mean_score(pair: tuple[Quantity, Group]) -> float:
    return pair[0].mean


def _row(rank: int, score: Quantity, group: Group) -> dict[str, Cell]:
    return name_cells(group) | {
        "rank": rank,
        "validation": score,
        "candidates": group.over_seeds("count", "ledger", "spent", "candidate_evaluations"),
        "step_seconds": group.step_seconds(),
    }
