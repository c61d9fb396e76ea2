"""Per family and axis: validation of every method on every task over what the axis is about."""

from collections.abc import Iterator

from polystep.report.charts import Chart, Panel, rows_of
from polystep.report.groups import Board
from polystep.report.material import Material, family_section
from polystep.report.one_run import DEFAULT, method_title
from polystep.report.score_axis import score_axis
from polystep.report.text import file_stem

_COSTS = {
    "equal_evaluations": ("candidate_evaluations", "candidates"),
    "equal_steps": ("step", "steps"),
    "published": ("candidate_evaluations", "candidates"),
}
_OTHER = ("seconds", "step seconds")
COLUMNS = 4


def charts(material: Material) -> Iterator[Chart]:
    """One chart for each family and axis that has several methods on some task."""
    for (family, axis), boards in material.main.items():
        panels = [panel for board in boards if len(board.groups) > 1 and (panel := _panel(material, board)).lines]
        if panels:
            yield Chart(
                file_stem("curves", family, axis),
                f"{family_section(family)}: {axis}",
                family_section(family),
                rows_of(panels, COLUMNS),
                ("Validation, mean over seeds; bands from the lowest to the highest seed.",),
                summary=not axis.startswith("published") and axis != DEFAULT,
            )


def _panel(material: Material, board: Board) -> Panel:
    cost, x_label = _COSTS.get(str(board["protocol"]), _OTHER)
    axis = score_axis(board)
    curves = (
        axis.validation(group, cost, method_title(group.runs[0]), material.styles[str(group["optimizer"])])
        for group in board.groups
    )
    lines, is_log = tuple(filter(None, curves)), axis.best is not None
    return Panel(board.title, lines, x_label=x_label, y_label=axis.label, log_y=is_log, level=axis.level)
