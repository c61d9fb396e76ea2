"""Control as figures: return over environment steps and over seconds, and what quantised policies lose."""

from collections.abc import Mapping, Sequence
from itertools import groupby
from textwrap import fill
from typing import TYPE_CHECKING, Any

import numpy

from polystep.bench.control_scores import ACTIVATIONS, ENVIRONMENT_STEPS, SOLVED, Entry
from polystep.bench.curves import MeanCurve, after_start, mean_curve, validation_curve
from polystep.bench.figures import Look, entry_label, legend_beside, line_styles, logarithmic, style_axes
from polystep.bench.quantities import Quantity

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from pandas import DataFrame

_PANELS = {ENVIRONMENT_STEPS: "environment steps", "seconds": "seconds (optimiser and evaluation)"}
_WORST = {"cartpole": 0.0, "acrobot": -500.0}
"""Where bars begin."""
_LENGTHS = {"acrobot": (-500, -300, -200, -150, -100, -80, -70)}
"""Where every step costs one, so that a return is the length of an episode: ticks."""
_LABEL_WIDTH = 28


def return_figure(
    entries: Sequence[Entry], histories: Mapping[str, "DataFrame"], looks: Mapping[str, Look]
) -> "Figure":
    """Mean validation return of the `entries` of one environment and protocol, in a band from the lowest to the highest seed.

    One column per activation; above over environment steps, below over seconds. Dotted: from where it counts as solved.
    """
    from matplotlib.figure import Figure

    environment, protocol = entries[0].environment, entries[0].group.protocol
    groups = [entry.group for entry in entries]
    labels = [entry_label(group, groups, _LABEL_WIDTH) for group in groups]
    styles = line_styles(sorted(zip([group.optimizer for group in groups], labels, strict=True)), looks)
    # Finding this layout for every figure would take as long as drawing it.
    figure = Figure(figsize=(13.5, 7.5))
    figure.subplots_adjust(left=0.055, right=0.8, bottom=0.07, top=0.9, wspace=0.05, hspace=0.22)
    figure.suptitle(f"Return on {environment}, validation, protocol {protocol}", fontsize=13, x=0.43)
    shown: dict[str, Any] = {}
    panels = figure.subplots(len(_PANELS), len(ACTIVATIONS), sharey=True, sharex="row")
    for axes, activation in zip(panels[0], ACTIVATIONS, strict=True):
        axes.set_title(f"{activation} policy")
    for axes_row, (column, title) in zip(panels, _PANELS.items(), strict=True):
        axes_row[0].set_ylabel("return")
        for axes, activation in zip(axes_row, ACTIVATIONS, strict=True):
            style_axes(axes, "both")
            logarithmic(axes, "x")
            axes.minorticks_off()
            axes.set_xlabel(title)
            axes.axhline(SOLVED[environment], color="0.45", linestyle="dotted", linewidth=1.2)
            for entry, label in zip(entries, labels, strict=True):
                if entry.activation == activation and (curve := _curve(entry, histories, column)) is not None:
                    shown[label] = _draw(axes, curve, styles[label])
    if environment in _LENGTHS:
        _compare_lengths(panels[0, 0], _LENGTHS[environment])
    legend_beside(figure, {label: shown[label] for label in styles if label in shown}, (0.805, 0.91))
    return figure


def _compare_lengths(axes: "Axes", ticks: Sequence[float]) -> None:
    """A logarithmic axis of returns that are negative lengths of episodes, at least one; shared axes follow."""
    from matplotlib.ticker import FixedLocator

    functions = (lambda value: -numpy.log(numpy.maximum(-value, 1)), lambda place: -numpy.exp(-place))
    axes.set_yscale("function", functions=functions)
    # unlike set_yticks, leaves the limits alone
    axes.yaxis.set_major_locator(FixedLocator(ticks))


def robustness_figure(entries: Sequence[Entry], looks: Mapping[str, Look]) -> "Figure":
    """One panel per environment and activation: last return of every method, seeds as dots, the validation-selected one as a
    bar across; hatched outlines are published last returns. `entries` are sorted by environment.
    """
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    labels = {
        environment: list(dict.fromkeys(_label(entry) for entry in members))
        for environment, members in groupby(entries, key=lambda entry: entry.environment)
    }
    heights = [0.42 * len(known) for known in labels.values()]
    top, between, bottom = 0.9, 0.9, 1.0
    width, height = 13.5, top + sum(heights) + between * (len(labels) - 1) + bottom
    # Finding this layout would take as long as drawing it.
    figure = Figure(figsize=(width, height))
    figure.subplots_adjust(
        left=2.3 / width,
        right=1 - 0.2 / width,
        top=1 - top / height,
        bottom=bottom / height,
        wspace=0.06,
        hspace=between * len(labels) / sum(heights),
    )
    title = "Returns of float, int8 and binary policies, test, last"
    figure.suptitle(title, fontsize=13, y=1 - 0.2 / height)
    panels = figure.subplots(
        len(labels), len(ACTIVATIONS), sharey="row", sharex="row", squeeze=False, height_ratios=heights
    )
    for axes_row, (environment, known) in zip(panels, labels.items(), strict=True):
        for axes, activation in zip(axes_row, ACTIVATIONS, strict=True):
            style_axes(axes, "x")
            axes.set(title=f"{environment}, {activation}", xlabel="return")
            axes.margins(x=0.2)
            for entry in entries:
                if (entry.environment, entry.activation) == (environment, activation):
                    _draw_bars(axes, known.index(_label(entry)), entry, looks[entry.group.optimizer].colour)
        axes_row[0].set_yticks(range(len(known)), [fill(label, _LABEL_WIDTH) for label in known], fontsize=8.5)
        axes_row[0].set_ylim(len(known) - 0.4, -0.6)
    handles = [
        Patch(facecolor="0.6", label="mean over seeds"),
        Line2D([], [], marker="o", linestyle="", color="black", markersize=3.5, label="one seed"),
        Line2D([], [], marker="|", linestyle="", color="black", markersize=11, label="validation-selected, mean"),
        Patch(facecolor="none", edgecolor="0.4", hatch="////", label="published"),
    ]
    figure.legend(handles=handles, loc="lower center", ncols=4, frameon=False, fontsize=9)
    return figure


def _label(entry: Entry) -> str:
    return f"{entry.group.method}, study {entry.group.study}"


def _curve(entry: Entry, histories: Mapping[str, "DataFrame"], column: str) -> MeanCurve | None:
    known = [histories[run.name] for run in entry.group.runs if run.name in histories]
    curves = [validation_curve(history, column) for history in known if column in history]
    return mean_curve([after_start(curve) for curve in curves])


def _draw(axes: "Axes", curve: MeanCurve, style: Mapping[str, Any]) -> Any:
    axes.fill_between(
        curve.cost, curve.lowest, curve.highest, step="post", color=style["color"], alpha=0.12, linewidth=0
    )
    (line,) = axes.plot(
        curve.cost, curve.mean, **style, drawstyle="steps-post", linewidth=1.5, markersize=4, markevery=0.2
    )
    return line


def _draw_bars(axes: "Axes", place: int, entry: Entry, colour: str) -> None:
    worst = _WORST[entry.environment]
    if last := entry.group.last:
        axes.barh(place - 0.17, last.mean - worst, left=worst, height=0.34, color=colour)
        values = [value for _, value in last.by_seed]
        axes.plot(values, [place - 0.17] * len(values), "o", color="black", markersize=3, markeredgecolor="white")
        axes.annotate(str(Quantity(round(last.mean, 1), None, 5, "")), (0.995, place - 0.17), fontsize=8, ha="right",
                      va="center", xycoords=("axes fraction", "data"))  # fmt: skip
    if selected := entry.group.selected:
        axes.plot(selected.mean, place - 0.17, "|", color="black", markersize=11)
    if published := entry.published("final_return"):
        look: dict[str, Any] = {"facecolor": "none", "edgecolor": colour, "hatch": "////"}
        axes.barh(place + 0.2, published.mean - worst, left=worst, height=0.3, **look)
