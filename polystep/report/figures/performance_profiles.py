"""Over the tasks of a family: the share of runs that end within an error, for every method."""

from collections.abc import Iterator, Sequence

import numpy

from polystep.report.boards import Board, groups_by_method
from polystep.report.charts import Chart, Line, Numbers, Panel, rows_of
from polystep.report.material import Material, family_section
from polystep.report.one_run import method_title
from polystep.report.score_axis import score_axis
from polystep.report.text import file_stem

FEWEST_TASKS = 3
COLUMNS = 3
_DRAWS = 1000
_OUTSIDE = 2.5
"""Percent of the draws that lie beyond either end of a band."""


def charts(material: Material) -> Iterator[Chart]:
    """One chart for each family with several tasks, a panel per axis. Source: Agarwal et al., arXiv 2108.13264."""
    families: dict[str, list[Panel]] = {}
    for (family, axis), boards in material.main.items():
        if len(boards) >= FEWEST_TASKS and all(score_axis(board).best is not None for board in boards):
            panel = _panel(material, axis, boards)
            if len(panel.lines) > 1:
                families.setdefault(family, []).append(panel)
    for family, panels in families.items():
        section = family_section(family)
        note = (
            "Share of runs whose test error is at most so large; every task weighs the same. Bands: 95 % of 1000 draws of "
            "seeds within each task. Methods with complete runs on all tasks of a panel."
        )
        title = f"{section}: performance profiles"
        yield Chart(file_stem("performance_profiles", family), title, section, rows_of(panels, COLUMNS), (note,))


def _panel(material: Material, axis: str, boards: Sequence[Board]) -> Panel:
    shown = score_axis(boards[0])
    methods = [groups for groups in groups_by_method(boards).values() if len(groups) == len(boards)]
    errors = [[shown.shown([*group.values(group.score).values()]) for group in groups] for groups in methods]
    thresholds = numpy.unique([error for tasks in errors for seeds in tasks for error in seeds])
    lines = []
    for (first, *_), tasks in zip(methods, errors, strict=True):
        title, style = method_title(first.runs[0]), material.styles[str(first["optimizer"])]
        lines.append(Line(title, style, thresholds, *profile(tasks, thresholds)))
    return Panel(axis, tuple(lines), x_label=shown.label, y_label="share of runs")


def profile(tasks: Sequence[Numbers], thresholds: Numbers) -> tuple[Numbers, Numbers, Numbers]:
    """Share of the runs with an error of at most each threshold, mean over tasks, and a band over draws of seeds within tasks.

    tasks: the errors of the seeds of each.
    """
    generator = numpy.random.default_rng(0)
    share, draws = numpy.zeros(len(thresholds)), numpy.zeros((_DRAWS, len(thresholds)))
    for errors in tasks:
        within = numpy.asarray(errors)[:, None] <= numpy.asarray(thresholds)
        count = len(within)
        share += within.mean(axis=0) / len(tasks)
        draws += generator.multinomial(count, numpy.full(count, 1 / count), _DRAWS) @ within / (count * len(tasks))
    low, high = numpy.percentile(draws, (_OUTSIDE, 100 - _OUTSIDE), axis=0)
    return share, low, high
