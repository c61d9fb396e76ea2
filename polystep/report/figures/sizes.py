"""A family over the sizes of its tasks: scores, and candidates per second, of every method."""

from collections.abc import Iterator, Sequence

from polystep.report.charts import Chart, Line, Panel
from polystep.report.groups import Board, Group, is_about_sizes, method_title
from polystep.report.material import Material, family_section
from polystep.report.published import published_score
from polystep.report.score_axis import score_axis
from polystep.report.text import file_stem


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
    axis, edition = score_axis(boards[0]), boards[0].edition
    lines = []
    for optimizer, groups in _by_optimizer(boards).items():
        title, look = method_title(groups[0].runs[0]), material.looks[optimizer]
        here = [(float(g["size"]), score.mean) for g in groups if (score := g.spread("test_selected"))]
        lines.append(Line(title, look, [x for x, _ in here], axis.shown([y for _, y in here]), steps=False))
        theirs = [
            (float(b["size"]), score.mean) for b in boards if (score := published_score(b.task, optimizer, edition))
        ]
        if theirs:
            scores = axis.shown([y for _, y in theirs])
            line = Line(f"{title}, published", look, [x for x, _ in theirs], scores, steps=False, published=True)
            lines.append(line)
    return Panel(axis_name, tuple(lines), x_label="size", y_label=axis.label, log_y=axis.best is not None)


def _speeds(material: Material, boards: Sequence[Board]) -> Panel:
    lines = []
    for optimizer, groups in _by_optimizer(boards).items():
        points = []
        for group in groups:
            candidates, seconds = group.spread("candidate_evaluations"), group.spread("step_seconds")
            if candidates and seconds and candidates.mean and seconds.mean:
                points.append((float(group["size"]), candidates.mean / seconds.mean))
        if points:
            title, look = method_title(groups[0].runs[0]), material.looks[optimizer]
            lines.append(Line(title, look, [x for x, _ in points], [y for _, y in points], steps=False))
    return Panel("", tuple(lines), x_label="size", y_label="candidates per second", log_y=True)


def _by_optimizer(boards: Sequence[Board]) -> dict[str, list[Group]]:
    """One group per size: of several the one with most runs."""
    found: dict[str, dict[str, Group]] = {}
    for board in boards:
        for group in sorted(board.ranked, key=lambda group: len(group.runs)):
            found.setdefault(str(group["optimizer"]), {})[board.task] = group
    return {optimizer: list(groups.values()) for optimizer, groups in found.items()}
