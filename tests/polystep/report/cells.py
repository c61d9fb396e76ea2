"""Reading tables as readers see them."""

from typing import Any

from polystep.report.table import Table


def cells(shown: Table, column: str) -> list[Any]:
    """What readers see in a column."""
    (chosen,) = [one for one in shown.columns if one.title == column]
    return [chosen.show(row) for row in shown.rows]
