"""Learning curves of one task and protocol: what is measured here, and what is published."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from polystep.bench.curves import after_start, mean_curve, validation_curve
from polystep.bench.figures import Look
from polystep.bench.groups import Group
from polystep.bench.page.charts import Series, chart_with_legend, line_chart, swatch
from polystep.bench.page.markup import Markup, element, join
from polystep.bench.published import published_cost, published_curve

if TYPE_CHECKING:
    from pandas import DataFrame

_VIEWS = {"seconds": ("seconds", "step seconds"), "candidate_evaluations": ("candidates", "candidates evaluated")}


def learning_curve_section(
    groups: Sequence[Group],
    histories: Mapping[str, "DataFrame"],
    looks: Mapping[str, Look],
    targets: Sequence[str | None],
    is_open: bool,
) -> Markup | None:
    """Mean validation curves of the groups of one task and protocol, over seconds and over candidates, beside published ones.

    targets: where the runs of each group are on the page. is_open: whether it is unfolded at first.
    """
    views = []
    for column, (short, title) in _VIEWS.items():
        series = _series(groups, histories, looks, column)
        name = f"Learning curves on task {groups[0].task}, protocol {groups[0].protocol}, over {title}"
        chart = line_chart(
            [line for line, _ in series], title, groups[0].score_name, True, name, groups[0].unit == "fraction"
        )
        if chart is None:
            continue
        entries = []
        for line, position in series:
            target = None if position is None else targets[position]
            label = element("a", line.label, href=target) if target else element("span", line.label)
            entries.append(join(swatch(line), " ", label))
        views.append((short, chart_with_legend(chart, entries)))
    if not views:
        return None
    tabs = [
        element("button", f"over {short}", type="button", class_="tab", aria_pressed="true" if place == 0 else "false")
        for place, (short, _) in enumerate(views)
    ]
    panels = [element("div", chart, class_="view", hidden=place > 0) for place, (_, chart) in enumerate(views)]
    return element(
        "details",
        element("summary", f"Learning curves, {groups[0].task}"),
        element("div", *tabs, class_="tabs"),
        *panels,
        class_="curves",
        open=is_open,
    )


def _series(
    groups: Sequence[Group], histories: Mapping[str, "DataFrame"], looks: Mapping[str, Look], column: str
) -> list[tuple[Series, int | None]]:
    """The mean validation curve of every group over a currency of its history, in a band from the lowest to the highest seed,
    with the position of the group; then published curves, with None.
    """
    found: list[tuple[Series, int | None]] = []
    scale = 100 if groups[0].unit == "fraction" else 1
    settings: Counter[str] = Counter()
    for position, group in enumerate(groups):
        dash = settings[group.optimizer]
        settings[group.optimizer] += 1
        curves = [validation_curve(histories[run.name], column) for run in group.runs if run.name in histories]
        mean = mean_curve([after_start(curve) for curve in curves])
        if mean is None:
            continue
        lines = [[(float(x), float(y) * scale) for x, y in zip(mean.cost, ys, strict=True)] for ys in mean[1:]]
        label = group.method + (f", study {group.study}" if len({other.study for other in groups}) > 1 else "")
        band = (lines[1], lines[2]) if len(curves) > 1 else None
        line = Series(lines[0], looks[group.optimizer].colour, f"{label} (n={len(curves)})", dash, band=band)
        found.append((line, position))
    for group in {group.optimizer: group for group in groups}.values():
        cost, curve = published_cost(group.task, group.optimizer), published_curve(group.task, group.optimizer)
        if cost is None or curve is None or not cost.candidates_per_step or groups[0].unit != "fraction":
            continue
        costs = curve["seconds"] if column == "seconds" else curve.index * cost.candidates_per_step
        points = [(float(x), 100 * float(y)) for x, y in zip(costs, curve["mean"], strict=True)]
        found.append(
            (
                Series(points, "", f"published {group.optimizer} (test, {cost.hardware})", steps=False, published=True),
                None,
            )
        )
    return found
