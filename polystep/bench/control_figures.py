"""Control as figures: return over environment steps and over seconds, and what quantised policies lose."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from polystep.bench.control_scores import ACTIVATIONS, ENVIRONMENT_STEPS, SOLVED, Entry
from polystep.bench.curves import Curve, MeanCurve, mean_curve, validation_curve
from polystep.bench.figures import Look, logarithmic, style_axes
from polystep.bench.quantities import Quantity

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from pandas import DataFrame

_PANELS = {ENVIRONMENT_STEPS: "environment steps", "seconds": "seconds (optimiser and evaluation)"}
_LINE_STYLES: tuple[Any, ...] = ("solid", (0, (1, 1)), "dashdot", (0, (6, 2)))
_WORST = {"cartpole": 0.0, "acrobot": -500.0}
"""Where bars begin."""


def return_figure(
    environment: str, entries: Sequence[Entry], histories: Mapping[str, "DataFrame"], looks: Mapping[str, Look]
) -> "Figure":
    """Mean validation return of the `entries` on one environment, in a band from the lowest to the highest seed.

    One column per activation; above over environment steps, below over seconds. Dotted: from where it counts as solved.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13.5, 8.0), layout="constrained")
    figure.suptitle(f"Return on {environment}, validation", fontsize=13)
    shown: dict[str, Any] = {}
    panels = figure.subplots(len(_PANELS), len(ACTIVATIONS), sharey=True, sharex="row")
    for axes_row, (column, title) in zip(panels, _PANELS.items(), strict=True):
        axes_row[0].set_ylabel("return")
        for axes, activation in zip(axes_row, ACTIVATIONS, strict=True):
            style_axes(axes, "both")
            logarithmic(axes, "x")
            axes.set(xlabel=title, title=f"{activation} policy")
            axes.axhline(SOLVED[environment], color="0.45", linestyle="dotted", linewidth=1.2)
            for entry, style in _styled([entry for entry in entries if entry.activation == activation], looks):
                if (curve := _curve(entry, histories, column)) is not None:
                    label = _label(entry)
                    shown.setdefault(label, _draw(axes, curve, style))
    figure.legend(shown.values(), shown.keys(), loc="outside right upper", frameon=False, fontsize=9)
    return figure


def robustness_figure(entries: Sequence[Entry], looks: Mapping[str, Look]) -> "Figure":
    """One panel per environment and activation: last return of every method, seeds as dots, the validation-selected one as a
    bar across; hatched outlines are published last returns.
    """
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    environments = sorted({entry.environment for entry in entries})
    labels = list(dict.fromkeys(_label(entry) for entry in entries))
    height = 1.0 + 0.42 * len(labels)
    figure = Figure(figsize=(13.5, 1.0 + height * len(environments)), layout="constrained")
    figure.suptitle("Returns of float, int8 and binary policies, test, last", fontsize=13)
    panels = figure.subplots(len(environments), len(ACTIVATIONS), sharey=True, sharex="row", squeeze=False)
    for axes_row, environment in zip(panels, environments, strict=True):
        for axes, activation in zip(axes_row, ACTIVATIONS, strict=True):
            style_axes(axes, "x")
            axes.set(title=f"{environment}, {activation}", xlabel="return")
            axes.margins(x=0.2)
            for entry in entries:
                if (entry.environment, entry.activation) == (environment, activation):
                    _draw_bars(axes, labels.index(_label(entry)), entry, looks[entry.group.optimizer].colour)
        axes_row[0].set_yticks(range(len(labels)), labels, fontsize=8.5)
        axes_row[0].set_ylim(len(labels) - 0.4, -0.6)
    handles = [
        Patch(facecolor="0.6", label="mean over seeds"),
        Line2D([], [], marker="o", linestyle="", color="black", markersize=3.5, label="one seed"),
        Line2D([], [], marker="|", linestyle="", color="black", markersize=11, label="validation-selected, mean"),
        Patch(facecolor="none", edgecolor="0.4", hatch="////", label="published"),
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=4, frameon=False, fontsize=9)
    return figure


def _label(entry: Entry) -> str:
    return f"{entry.group.method}, study {entry.group.study}"


def _styled(entries: Sequence[Entry], looks: Mapping[str, Look]) -> list[tuple[Entry, dict[str, Any]]]:
    """Several settings of one method share its colour and differ in their lines."""
    settings: Counter[str] = Counter()
    found = []
    for entry in sorted(entries, key=_label):
        optimizer = entry.group.optimizer
        line_style = _LINE_STYLES[settings[optimizer] % len(_LINE_STYLES)]
        settings[optimizer] += 1
        colour, marker = looks[optimizer]
        found.append((entry, {"color": colour, "marker": marker, "linestyle": line_style}))
    return found


def _curve(entry: Entry, histories: Mapping[str, "DataFrame"], column: str) -> MeanCurve | None:
    known = [histories[run.name] for run in entry.group.runs if run.name in histories]
    curves = [validation_curve(history, column) for history in known if column in history]
    # a logarithmic axis has no place for the start
    return mean_curve([Curve(*(values[curve.cost > 0] for values in curve)) for curve in curves])


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
