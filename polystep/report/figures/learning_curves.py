"""Per family and axis: validation of every method on every task over what the axis is about."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from polystep.report.boards import Board, groups_by_method
from polystep.report.charts import Chart, Panel, rows_of
from polystep.report.material import Material, family_section
from polystep.report.one_run import DEFAULT, method_title
from polystep.report.score_axis import score_axis
from polystep.report.text import file_stem, told

_COSTS = {
    "equal_evaluations": ("candidate_evaluations", "candidates"),
    "equal_steps": ("step", "steps"),
    "published": ("candidate_evaluations", "candidates"),
}
_OTHER = ("seconds", "step seconds")
COLUMNS = 4
_MOST_BANDS = 6
"""Of more lines the bands cover one another."""


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
                (_note(boards),),
                summary=not axis.startswith("published") and axis != DEFAULT,
            )


def _panel(material: Material, board: Board) -> Panel:
    cost, x_label = _COSTS.get(str(board["protocol"]), _OTHER)
    axis = score_axis(board)
    banded = {group.key for group in (board.own, board.best(board.rivals)) if group}
    lines = []
    methods = groups_by_method([board]).items()
    for optimizer, (group,) in methods:
        line = axis.validation(group, cost, method_title(group.runs[0]), material.styles[optimizer])
        if line and len(methods) > _MOST_BANDS and group.key not in banded:
            line = replace(line, low=(), high=())
        lines.append(line)
    shown, is_log = tuple(filter(None, lines)), axis.best is not None
    return Panel(board.title, shown, x_label=x_label, y_label=axis.label, log_y=is_log, level=axis.level)


def _note(boards: Sequence[Board]) -> str:
    sentences = {
        "Validation of the point at that moment, mean over seeds; the tables have the test score of the best one.": True,
        f"Bands from the lowest to the highest seed; of more than {_MOST_BANDS} methods only those of PolyStep and of the best "
        "other black-box method.": True,
        "An error of nothing is drawn at a ten-thousandth of the best score.": any(
            score_axis(board).best is not None for board in boards
        ),
        "Step seconds of machines that were busy with other runs, too, so that bands show load besides seeds.": (
            boards[0]["protocol"] not in (*_COSTS, "equal_seconds")
        ),
    }
    return told(sentences)
