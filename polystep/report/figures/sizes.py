"""A family over the sizes of its tasks: scores, and candidates per second, of every method."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from polystep.report.charts import Chart, Line, Panel, Style
from polystep.report.groups import Board, Group, is_about_sizes, method_title
from polystep.report.material import Material, family_section
from polystep.report.published import published_score
from polystep.report.score_axis import ScoreAxis, score_axis
from polystep.report.text import Spread, file_stem


def charts(material: Material) -> Iterator[Chart]:
    """One chart for each family whose tasks differ in size by orders of magnitude, with a column per axis."""
    families: dict[str, list[tuple[str, Sequence[Board]]]] = {}
    for (family, axis), boards in material.main.items():
        if is_about_sizes(boards):
            families.setdefault(family, []).append((axis, boards))
    for family, axes in families.items():
        section = family_section(family)
        rows = (
            tuple(_scores(material, axis, boards) for axis, boards in axes),
            tuple(_speeds(material, boards) for _, boards in axes),
        )
        note = "Test scores, mean over seeds. Candidates per second of step time: a flip of a local search is one candidate."
        yield Chart(file_stem("sizes", family), f"{section} over sizes", section, rows, (note,), summary=True)


def _scores(material: Material, axis_name: str, boards: Sequence[Board]) -> Panel:
    axis = score_axis(boards[0])
    lines: list[Line] = []
    for optimizer, groups in _by_optimizer(boards).items():
        title, style = method_title(groups[0].runs[0]), material.styles[optimizer]
        lines += _line(title, style, ((group["size"], group.spread("test_selected")) for group in groups), axis)
        theirs = ((board["size"], published_score(board.task, optimizer, board.edition)) for board in boards)
        lines += (replace(line, published=True) for line in _line(f"{title}, published", style, theirs, axis))
    return Panel(axis_name, tuple(lines), x_label="size", y_label=axis.label, log_y=axis.best is not None)


def _line(title: str, style: Style, scores: Iterable[tuple[Any, Spread | None]], axis: ScoreAxis) -> Iterator[Line]:
    """The line through the known scores, if there are any."""
    known = [(float(size), score.mean) for size, score in scores if score]
    if known:
        yield Line(title, style, [size for size, _ in known], axis.shown([mean for _, mean in known]), steps=False)


def _speeds(material: Material, boards: Sequence[Board]) -> Panel:
    lines = []
    for optimizer, groups in _by_optimizer(boards).items():
        points = []
        for group in groups:
            candidates, seconds = group.spread("candidate_evaluations"), group.spread("step_seconds")
            if candidates and seconds and candidates.mean and seconds.mean:
                points.append((float(group["size"]), candidates.mean / seconds.mean))
        if points:
            title, style = method_title(groups[0].runs[0]), material.styles[optimizer]
            lines.append(Line(title, style, [x for x, _ in points], [y for _, y in points], steps=False))
    return Panel("", tuple(lines), x_label="size", y_label="candidates per second", log_y=True)


def _by_optimizer(boards: Sequence[Board]) -> dict[str, list[Group]]:
    """One group per size: of several the one with most runs."""
    found: dict[str, dict[str, Group]] = {}
    for board in boards:
        for group in sorted(board.ranked, key=lambda group: len(group.runs)):
            found.setdefault(str(group["optimizer"]), {})[board.task] = group
    return {optimizer: list(groups.values()) for optimizer, groups in found.items()}
