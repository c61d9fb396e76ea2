"""Published settings: test scores as bars, each with the published one below it."""

from collections.abc import Iterator

from polystep.report.charts import Bar, Chart, Panel, rows_of
from polystep.report.groups import Board
from polystep.report.material import Material, family_section
from polystep.report.published_scores import edition_of, published
from polystep.report.text import ENOUGH_SEEDS, file_stem, finite, unit_of

COLUMNS = 3


def charts(material: Material) -> Iterator[Chart]:
    """One chart for each family and edition; runs that are no complete repetition are left out."""
    for (family, axis), boards in material.main.items():
        edition = edition_of(axis)
        panels = [panel for board in boards if edition and (panel := _panel(material, board, edition)).bars]
        if panels:
            section = family_section(family)
            name, title = file_stem("scores", family, axis), f"{section}: {axis}, here and published"
            note = "Bars: mean over seeds, which are dots. Hatched: published. Dotted: solved."
            yield Chart(name, title, section, rows_of(panels, COLUMNS), (note,), summary=True)


def _panel(material: Material, board: Board, edition: str) -> Panel:
    unit, level = unit_of(board["unit"]), finite(board["solved"])
    bars = []
    for group in board.ranked:
        values = [unit.scale * value for value in group.values("test_selected").values()]
        few = f" (n={len(values)})" if len(values) < ENOUGH_SEEDS else ""
        colour = material.looks[str(group["optimizer"])].colour
        bars.append(Bar(f"{group.label}{few}", sum(values) / len(values), colour, points=values))
        if theirs := published(board.task, str(group["optimizer"]), edition):
            bars.append(Bar("published", unit.scale * theirs.mean, colour, published=True))
    label = f"{board['metric']} ({unit.symbol.strip()})" if unit.symbol else str(board["metric"])
    return Panel(board.task, bars=tuple(bars), x_label=label, level=None if level is None else unit.scale * level)
