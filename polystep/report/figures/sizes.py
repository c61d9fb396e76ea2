"""A family over the sizes of its tasks: scores, and candidates per second, of every method."""

from collections.abc import Iterator, Sequence

from polystep.report.boards import Board, groups_by_method, is_about_sizes
from polystep.report.charts import Chart, Line, Panel
from polystep.report.material import Material, family_section
from polystep.report.one_run import Run, method_title
from polystep.report.published import published_score
from polystep.report.score_axis import score_axis
from polystep.report.text import file_stem, finite


def charts(material: Material) -> Iterator[Chart]:
    """One chart for each family whose tasks differ in size rather than kind, with a column per axis."""
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
        note = (
            "Test scores, mean over seeds; dashed: published. Candidates per second of step time in the fastest run, as most "
            "runs shared their machine with others; a flip of a local search is one candidate."
        )
        yield Chart(file_stem("sizes", family), f"{section} over sizes", section, rows, (note,), summary=True)


def _scores(material: Material, axis_name: str, boards: Sequence[Board]) -> Panel:
    axis = score_axis(boards[0])
    lines: list[Line] = []
    for optimizer, groups in groups_by_method(boards).items():
        title, style = method_title(groups[0].runs[0]), material.styles[optimizer]
        ours = {float(group["size"]): group.spread("test_selected") for group in groups}
        theirs = {float(board["size"]): published_score(board.task, optimizer, board.edition) for board in boards}
        for label, scores in ((title, ours), (f"{title}, published", theirs)):
            if known := {size: score.mean for size, score in scores.items() if score}:
                shown = axis.shown([*known.values()])
                lines.append(Line(label, style, [*known], shown, steps=False, dashed=scores is theirs))
    return Panel(axis_name, tuple(lines), x_label="size", y_label=axis.label, log_y=axis.best is not None)


def _speeds(material: Material, boards: Sequence[Board]) -> Panel:
    lines = []
    for optimizer, groups in groups_by_method(boards).items():
        fastest = ((group["size"], max(map(_speed, group.runs))) for group in groups)
        if speeds := {float(size): speed for size, speed in fastest if speed}:
            title, style = method_title(groups[0].runs[0]), material.styles[optimizer]
            lines.append(Line(title, style, [*speeds], [*speeds.values()], steps=False))
    return Panel("", tuple(lines), x_label="size", y_label="candidates per second", log_y=True)


def _speed(run: Run) -> float:
    candidates, seconds = finite(run["candidate_evaluations"]), finite(run["step_seconds"])
    return candidates / seconds if candidates and seconds else 0.0
