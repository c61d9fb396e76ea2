"""Broken clauses beside the fewest that anything has been seen to leave, which tell good solvers apart where shares do not."""

from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pandas

from polystep.report.groups import Group, spread_of
from polystep.report.material import Material, family_section
from polystep.report.rows import AXIS, BOARD, METHOD, SEEDS, TASK, group_row
from polystep.report.table import Row, Table, number_column, spread_column, text_column
from polystep.report.text import finite

_FILE = Path(__file__).parent.parent / "best_known.csv"


def tables(material: Material) -> Iterator[Table]:
    """One row per method, protocol and instance that the file of best known costs has."""
    known = best_known()
    rows = [
        {**row, "board": board.remark}
        for board in material.boards
        for group in board.ranked
        if str(group["task"]) in known and (row := _row(group, *known[str(group["task"])]))
    ]
    if rows:
        columns = (
            *(TASK, AXIS, BOARD, METHOD, SEEDS),
            spread_column("broken", "Clauses broken", "count"),
            number_column("best", "Fewest known"),
            spread_column("score", "Score against it", "fraction"),
            text_column("source", "Known from"),
        )
        notes = (
            "Score: the mean of (1 + fewest known) / (1 + broken), as the MaxSAT Evaluation scores incomplete solvers; above "
            "100 % where a run leaves fewer than were known, which belong into polystep/report/best_known.csv. Only those of "
            "100 variables are proved; where PolyStep itself left the fewest, it is measured against itself.",
        )
        yield Table("best_known", "Broken clauses and the fewest known", columns, rows, notes, family_section("maxsat"))


@cache
def best_known() -> dict[str, tuple[int, str]]:
    """By task: the fewest broken clauses that are known, and from where."""
    rows = pandas.read_csv(_FILE).itertuples(index=False)
    return {str(row.task): (int(row.broken), str(row.source)) for row in rows}


def _row(group: Group, best: int, source: str) -> Row | None:
    """The costs of a group, (1 - satisfied share) x clauses in whole clauses; None where it does not say how many those are."""
    costs = group["evaluation_cost"]
    clauses = finite(costs.get("clause_checks")) if isinstance(costs, dict) else None
    if clauses is None:
        return None
    shares = group.values("test_selected").values()
    broken = [round((1 - share) * clauses) for share in shares if 0 <= share <= 1]
    scores = spread_of([(1 + best) / (1 + cost) for cost in broken])
    return {**group_row(group), "broken": spread_of(broken), "best": best, "score": scores, "source": source}
