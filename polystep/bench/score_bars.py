"""Test scores of all tasks under one protocol as bars, beside what is published."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from math import ceil, sqrt
from typing import TYPE_CHECKING, Any, NamedTuple

from polystep.bench.figures import Look, entry_label, style_axes
from polystep.bench.groups import Group, best_first
from polystep.bench.published import published_curve
from polystep.bench.quantities import Points, Quantity

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MOST_COLUMNS = 3
_BAR_INCHES = 0.24
_LABEL_WIDTH = 26


class _Bar(NamedTuple):
    """One bar; `place` counts bars from the top."""

    place: float
    score: Quantity
    label: str
    colour: str
    is_published: bool


def score_bars(groups: Sequence[Group], looks: Mapping[str, Look]) -> "Figure":
    """One panel per task; per group, best first, the mean test score at the validation-selected checkpoint, seeds as dots.

    `groups` share one protocol and are sorted by task; `looks` maps optimisers to their looks. A published score is a
    hatched outline below the bar of its method.
    """
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    panels = [(members[0], _bars(members, looks)) for members in _by_task(groups)]
    columns = min(_MOST_COLUMNS, ceil(sqrt(len(panels))))
    rows = ceil(len(panels) / columns)
    height = 1.0 + _BAR_INCHES * max(bars[-1].place + 1 if bars else 0 for _, bars in panels)
    size = (max(7.5, 5.0 * columns), 1.5 + rows * height)
    figure = Figure(figsize=size)
    figure.suptitle(
        f"Test scores, validation-selected, protocol {groups[0].protocol}", fontsize=13, y=1 - 0.2 / size[1]
    )
    all_axes = figure.subplots(rows, columns, squeeze=False, gridspec_kw=_layout(rows, columns, size)).flatten()
    for axes, (group, bars) in zip(all_axes, panels, strict=False):
        _draw(axes, group, bars)
    for axes in all_axes[len(panels) :]:
        axes.set_visible(False)
    handles = [
        Patch(facecolor="0.6", label="mean over seeds"),
        Line2D([], [], marker="o", linestyle="", color="black", markersize=3.5, label="one seed"),
        Patch(
            facecolor="white",
            edgecolor="0.4",
            hatch="////",
            label="published (author's settings): best of all looks at the test set",
        ),
    ]
    figure.legend(handles=handles, loc="lower center", ncols=3, frameon=False, fontsize=9)
    return figure


def _layout(rows: int, columns: int, size: tuple[float, float]) -> dict[str, float]:
    """Places of the panels, with room for labels of `_LABEL_WIDTH`; to find them takes longer than to draw the figure."""
    width, height = size
    left, right, top, bottom, between = 1.95, 0.25, 0.75, 0.95, 0.9
    panel_width = (width - columns * left - right) / columns
    panel_height = (height - top - bottom - (rows - 1) * between) / rows
    return {
        "left": left / width,
        "right": 1 - right / width,
        "top": 1 - top / height,
        "bottom": bottom / height,
        "wspace": left / panel_width,
        "hspace": between / panel_height,
    }


def _by_task(groups: Sequence[Group]) -> Iterable[list[Group]]:
    return (list(members) for _, members in groupby(groups, key=lambda group: group.task))


def _bars(groups: Sequence[Group], looks: Mapping[str, Look]) -> list[_Bar]:
    scored = [(score, group) for group in best_first(groups) if (score := group.selected)]
    bars: list[_Bar] = []
    place = 0.0
    shown = set()
    for score, group in scored:
        colour = looks[group.optimizer].colour
        label = entry_label(group, groups, _LABEL_WIDTH) + _cut_short(group)
        # room for more lines than a bar is high
        room = 0.4 * max(0, label.count("\n") - 1)
        place += room
        bars.append(_Bar(place, score, label, colour, False))
        place += room
        if group.published_best and group.optimizer not in shown:
            # several settings of a method have one published score
            shown.add(group.optimizer)
            place += 1
            bars.append(_Bar(place, group.published_best, "published", colour, True))
        place += 1.4
    return bars


def _cut_short(group: Group) -> str:
    """A line such as "200 of 3540 steps" for runs with published settings that ended before the published ones."""
    curve = published_curve(group.task, group.optimizer) if group.protocol == "paper" else None
    steps = group.over_seeds("count", "metrics", "steps")
    if curve is None or steps is None or steps.mean >= max(curve.index):
        return ""
    return f"\n{steps.mean:.0f} of {max(curve.index)} steps"


def _draw(axes: "Axes", group: Group, bars: Sequence[_Bar]) -> None:
    style_axes(axes, "x")
    scale = 100 if group.unit == "fraction" else 1
    for bar in bars:
        look: dict[str, Any] = (
            {"facecolor": "white", "edgecolor": bar.colour, "hatch": "////"}
            if bar.is_published
            else {"color": bar.colour}
        )
        axes.barh(bar.place, bar.score.mean * scale, height=0.86, **look)
        seeds = [value * scale for _, value in bar.score.by_seed]
        axes.plot(
            seeds,
            [bar.place] * len(seeds),
            "o",
            color="black",
            markersize=3.5,
            markeredgecolor="white",
            markeredgewidth=0.5,
        )
        spread = bar.score.std * scale if bar.is_published and bar.score.std else 0
        if spread:
            axes.errorbar(bar.score.mean * scale, bar.place, xerr=spread, color="0.2", linewidth=1, capsize=2)
        end = max([bar.score.mean * scale + spread, *seeds])
        axes.annotate(
            str(Points(((0, bar.score.mean),), bar.score.unit)),
            (end, bar.place),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            fontsize=8,
        )
    axes.set_yticks([bar.place for bar in bars], [bar.label for bar in bars], fontsize=8.5)
    axes.tick_params(axis="y", length=0)
    axes.invert_yaxis()
    axes.margins(x=0.18)
    axes.set(title=f"task {group.task}", xlabel=group.score_name)
