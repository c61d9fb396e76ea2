"""What readers want first: the error of the hard networks over seconds and over sample forwards."""

from collections.abc import Iterator

from polystep.report.boards import Board
from polystep.report.charts import Chart, Mark, Panel, Style
from polystep.report.groups import Group
from polystep.report.material import HEADLINE, Material
from polystep.report.one_run import DEFAULT, EQUAL_SECONDS, METHOD, TITLE
from polystep.report.published import EDITIONS, published_score
from polystep.report.score_axis import score_axis

TASKS = ("int8", "snn", "argmax", "staircase", "moe")
_AXES = (EQUAL_SECONDS, DEFAULT)
_FINITE_DIFFERENCES = "finite_differences"
_COSTS = {"seconds": "step seconds", "sample_forwards": "sample forwards"}
_MARKERS = {"first": "<", "revised": "d"}


def charts(material: Material) -> Iterator[Chart]:
    """One chart: a column per network, PolyStep with its three kinds of competitors in each."""
    boards: dict[str, Board] = {}
    for axis in _AXES:
        for board in sorted(material.boards, key=lambda board: -len(board.ranked)):
            if board.task in TASKS and board.axis == axis and board.own:
                boards.setdefault(board.task, board)
    shown = [boards[task] for task in TASKS if task in boards]
    if shown:
        axes = " and ".join(axis for axis in _AXES if any(board.axis == axis for board in shown))
        note = (
            "Validation error while training, mean over seeds; bands from the lowest to the highest seed. Best other "
            "black-box method: of those that use losses alone, besides PolyStep and finite differences of the same candidates, "
            "the one with the best validation score. Sample forwards: forward passes x data rows; the backward passes of "
            "gradients come on top. On the right edge: published test errors of PolyStep (first edition: the best of all looks "
            "at the test set)."
        )
        rows = tuple(tuple(_panel(material, board, cost) for board in shown) for cost in _COSTS)
        title = f"Error of the hard networks, {axes}"
        yield Chart("five_networks", title, HEADLINE, rows, (note,), summary=True, first=True)


def _panel(material: Material, board: Board, cost: str) -> Panel:
    axis = score_axis(board)
    curves = (axis.validation(group, cost, label, style) for group, label, style in _chosen(material, board))
    marks = []
    for edition, title in EDITIONS.items():
        if score := published_score(board.task, METHOD, edition):
            marks.append(Mark(f"{TITLE}, published, {title}", _MARKERS[edition], float(axis.shown(score.mean))))
    lines, is_log = tuple(filter(None, curves)), axis.best is not None
    return Panel(board.title, lines, tuple(marks), x_label=_COSTS[cost], y_label=axis.label, log_y=is_log)


def _chosen(material: Material, board: Board) -> Iterator[tuple[Group, str, Style]]:
    """The groups with the names that they have in all panels."""
    differences = [group for group in board.ranked if group["optimizer"] == _FINITE_DIFFERENCES]
    rivals = [group for group in board.rivals if group not in differences]
    chosen = (
        (board.own, TITLE),
        (board.best(differences), "Finite differences"),
        (board.best(rivals), "Best other black-box method: {}"),
        (board.best([group for group in board.ranked if group.uses_gradients]), "Gradients: {}"),
    )
    for group, name in chosen:
        if group:
            yield group, name.format(group.label), material.styles[str(group["optimizer"])]
