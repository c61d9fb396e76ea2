"""Published settings: test scores as bars, each with the published one below it."""

from collections.abc import Iterator

from polystep.report.charts import Bar, Chart, Panel, rows_of
from polystep.report.groups import Board
from polystep.report.material import Material, family_section
from polystep.report.published import published_score
from polystep.report.score_axis import linear_axis
from polystep.report.text import ENOUGH_SEEDS, file_stem

COLUMNS = 3


def charts(material: Material) -> Iterator[Chart]:
    """One chart for each family and edition; runs that are no complete repetition are left out."""
    for (family, axis), boards in material.main.items():
        panels = [panel for board in boards if board.edition and (panel := _panel(material, board)).bars]
        if panels:
            section = family_section(family)
            name, title = file_stem("scores", family, axis), f"{section}: {axis}, here and published"
            note = (
                "Bars: mean over seeds, which are dots. Hatched: published. Dotted: solved. Returns: the last policy."
            )
            yield Chart(name, title, section, rows_of(panels, COLUMNS), (note,), summary=True)


def _panel(material: Material, board: Board) -> Panel:
    axis = linear_axis(board)
    bars = []
    for group in board.ranked:
        values = axis.shown([*group.values(group.score).values()])
        few = f" (n={len(values)})" if len(values) < ENOUGH_SEEDS else ""
        colour = material.styles[str(group["optimizer"])].colour
        bars.append(Bar(f"{group.label}{few}", float(values.mean()), colour, points=values))
        if theirs := published_score(board.task, str(group["optimizer"]), board.edition):
            bars.append(Bar("published", float(axis.shown(theirs.mean)), colour, published=True))
    return Panel(board.task, bars=tuple(bars), x_label=axis.label, level=axis.level)
