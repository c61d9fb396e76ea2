"""Published settings: test scores, each with the published one below it."""

from collections.abc import Iterator

from polystep.report.boards import Board
from polystep.report.charts import Chart, Dot, Panel, rows_of
from polystep.report.material import Material, family_section
from polystep.report.published import published_score
from polystep.report.score_axis import linear_axis
from polystep.report.text import ENOUGH_SEEDS, Spread, file_stem, told

COLUMNS = 3


def charts(material: Material) -> Iterator[Chart]:
    """One chart for each family and edition; runs that are no complete repetition are left out."""
    for (family, axis), boards in material.main.items():
        panels = [panel for board in boards if board.edition and (panel := _panel(material, board)).dots]
        if panels:
            section = family_section(family)
            name, title = file_stem("scores", family, axis), f"{section}: {axis}, here and published"
            sentences = {
                "Filled: mean over seeds, which are strokes, from the lowest to the highest.": True,
                "Open: published, mean and standard deviation.": any(d.published for p in panels for d in p.dots),
                "Dotted: solved.": any(panel.level is not None for panel in panels),
                "Returns of the last policy; larger is better, also below zero.": not boards[0]["unit"],
            }
            yield Chart(name, title, section, rows_of(panels, COLUMNS), (told(sentences),), summary=True)


def _panel(material: Material, board: Board) -> Panel:
    axis = linear_axis(board)
    dots = []
    for group in board.ranked:
        values = axis.shown([*group.values(group.score).values()])
        few = f" (n={len(values)})" if len(values) < ENOUGH_SEEDS else ""
        colour = material.styles[str(group["optimizer"])].colour
        ends = float(values.min()), float(values.max())
        dots.append(Dot(f"{group.label}{few}", float(values.mean()), colour, *ends, points=values))
        if theirs := published_score(board.task, str(group["optimizer"]), board.edition):
            dots.append(_published(theirs, axis.scale, colour))
    return Panel(board.task, dots=tuple(dots), x_label=axis.label, level=axis.level)


def _published(score: Spread, scale: float, colour: str) -> Dot:
    mean, half = scale * score.mean, scale * (score.std or 0.0)
    return Dot("published", mean, colour, mean - half, mean + half, published=True)
