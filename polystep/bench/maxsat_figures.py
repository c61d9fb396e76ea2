"""MAX-SAT as figures: satisfied share over sizes and over seconds, and seconds per step over sizes."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from textwrap import fill
from typing import TYPE_CHECKING, Any

import numpy

from polystep.bench.curves import MeanCurve, Numbers, after_start, mean_curve, validation_curve
from polystep.bench.figures import Look, legend_beside, line_styles, logarithmic, style_axes
from polystep.bench.labels import flat_settings
from polystep.bench.maxsat_scaling import PUBLISHED_SIZES, Entry, published_seconds_per_step, published_share
from polystep.bench.published import published_curve
from polystep.bench.quantities import Quantity

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from pandas import DataFrame

SIZES_OVER_SECONDS = (1000, 100_000, 1_000_000)
_LEAST_UNSATISFIED = 0.01
"""Percent; what satisfies more is drawn here, because a logarithmic axis has no zero."""
_TICKS = (87.5, 95, 98, 99, 99.5, 99.8, 99.9, 99.95, 100 - _LEAST_UNSATISFIED)
_PUBLISHED: dict[str, Any] = {"linestyle": "dashed", "linewidth": 1.0, "markerfacecolor": "white", "markersize": 4.5}

_BySize = Mapping[int, Quantity | None]


def size_figure(entries: Sequence[Entry], looks: Mapping[str, Look]) -> "Figure":
    """Left: the satisfied share of every method and study over the number of variables; right: seconds per step.

    Of several settings of a method the one that most sizes have is shown, then the one with the best share. Published values,
    of every method that has some, are dashed with open markers.
    """
    from matplotlib.figure import Figure

    # Finding this layout would take as long as drawing it.
    figure = Figure(figsize=(13.5, 5.8))
    figure.subplots_adjust(left=0.055, right=0.79, bottom=0.09, top=0.91, wspace=0.16)
    title = "MAX-SAT over sizes: random formulas, 4.27 clauses of three literals per variable"
    figure.suptitle(title, fontsize=13, x=0.42)
    left, right = figure.subplots(1, 2)
    for axes in (left, right):
        style_axes(axes, "both")
        logarithmic(axes, "x")
        axes.set(xlabel="variables")
    logarithmic(right, "y")
    right.minorticks_off()
    right.set(ylabel="seconds per step")
    lines = [(optimizer, f"{optimizer}, study {study}", best) for (optimizer, study), best in _best_by_size(entries)]
    styles = line_styles([(optimizer, label) for optimizer, label, _ in lines], looks)
    for _, label, best in lines:
        style = styles[label] | {"markersize": 5, "linewidth": 1.6}
        _draw_shares(left, {entry.variables: entry.satisfied for entry in best}, style, label)
        _draw_costs(right, {entry.variables: entry.seconds_per_step for entry in best}, style)
    for optimizer, (colour, marker) in looks.items():
        style = {"color": colour, "marker": marker} | _PUBLISHED
        shares = {size: published_share(size, optimizer) for size in PUBLISHED_SIZES}
        _draw_shares(left, shares, style, f"published {optimizer}")
        _draw_costs(right, {size: published_seconds_per_step(size, optimizer) for size in PUBLISHED_SIZES}, style)
    _show_satisfied(left)
    handles, names = left.get_legend_handles_labels()
    legend_beside(figure, dict(zip(names, handles, strict=True)), (0.795, 0.93))
    return figure


def seconds_figure(
    entries: Sequence[Entry], histories: Mapping[str, "DataFrame"], looks: Mapping[str, Look]
) -> "Figure | None":
    """One panel for each of `SIZES_OVER_SECONDS` that has been run: the satisfied share over seconds, all runs of an entry
    pooled; band: lowest to highest run. None where there is nothing to show.
    """
    from matplotlib.figure import Figure

    curves = [(entry, curve) for entry in entries if (curve := _curve_over_seconds(entry, histories)) is not None]
    sizes = [size for size in SIZES_OVER_SECONDS if any(entry.variables == size for entry, _ in curves)]
    if not sizes:
        return None
    drawn = [(entry, curve) for entry, curve in curves if entry.variables in sizes]
    styles = line_styles(sorted((entry.optimizer, _setting(entry)) for entry, _ in drawn), looks)
    width = 4.6 * len(sizes) + 3.4
    # Finding this layout would take as long as drawing it.
    figure = Figure(figsize=(width, 6.0))
    figure.subplots_adjust(left=0.9 / width, right=1 - 3.0 / width, bottom=0.1, top=0.88, wspace=0.08)
    figure.suptitle("MAX-SAT over seconds", fontsize=13)
    shown: dict[str, Any] = {}
    panels = figure.subplots(1, len(sizes), squeeze=False, sharey=True).flatten()
    for axes, size in zip(panels, sizes, strict=True):
        style_axes(axes, "both")
        logarithmic(axes, "x")
        axes.minorticks_off()
        axes.set(xlabel="seconds (optimiser and evaluation)", title=f"{size:,} variables")
        for entry, curve in drawn:
            if entry.variables == size:
                label = _setting(entry)
                shown[label] = _draw_over_seconds(axes, curve, styles[label])
        published = published_curve(f"maxsat_{size}v", "polystep")
        if published is not None:
            unsatisfied = _unsatisfied(100 * published["mean"])
            (shown["published polystep (wall time)"],) = axes.plot(
                published["seconds"], unsatisfied, "k--", linewidth=1.4
            )
    _show_satisfied(panels[0])
    legend_beside(figure, dict(sorted(shown.items())), (1 - 2.9 / width, 0.89))
    return figure


def _setting(entry: Entry) -> str:
    return fill(f"{entry.method}, study {entry.study}", 32)


def _best_by_size(entries: Sequence[Entry]) -> list[tuple[tuple[str, str], list[Entry]]]:
    """By optimiser and study: of each size the entry whose optimiser is set as on most sizes, then the one with the best share;
    smallest size first.
    """

    def key(entry: Entry) -> tuple[str, str]:
        return entry.optimizer, entry.study

    found = []
    for names, members in groupby(sorted(entries, key=key), key=key):
        scored = [(entry.satisfied.mean, entry) for entry in members if entry.satisfied]
        sizes = Counter(_optimizer_settings(entry) for _, entry in scored)
        best: dict[int, tuple[tuple[int, float], Entry]] = {}
        for share, entry in scored:
            rank = (sizes[_optimizer_settings(entry)], share)
            if entry.variables not in best or rank > best[entry.variables][0]:
                best[entry.variables] = (rank, entry)
        found.append((names, [best[size][1] for size in sorted(best)]))
    return found


def _optimizer_settings(entry: Entry) -> frozenset[tuple[str, str]]:
    return frozenset(flat_settings(entry.runs[0].config["optimizer"]).items())


def _draw_shares(axes: "Axes", shares: _BySize, style: Mapping[str, Any], label: str) -> None:
    known = {size: 100 * share.mean for size, share in shares.items() if share}
    if known:
        axes.plot(list(known), _unsatisfied(known.values()), **style, label=label)


def _draw_costs(axes: "Axes", costs: _BySize, style: Mapping[str, Any]) -> None:
    known = {size: cost.mean for size, cost in costs.items() if cost}
    if known:
        axes.plot(list(known), list(known.values()), **style)


def _curve_over_seconds(entry: Entry, histories: Mapping[str, "DataFrame"]) -> MeanCurve | None:
    known = [validation_curve(histories[run.name], "seconds") for run in entry.runs if run.name in histories]
    return mean_curve([after_start(curve) for curve in known])


def _draw_over_seconds(axes: "Axes", curve: MeanCurve, style: Mapping[str, Any]) -> Any:
    lowest, highest = _unsatisfied(100 * curve.lowest), _unsatisfied(100 * curve.highest)
    axes.fill_between(curve.cost, lowest, highest, step="post", color=style["color"], alpha=0.15, linewidth=0)
    mean = _unsatisfied(100 * curve.mean)
    (line,) = axes.plot(curve.cost, mean, **style, markersize=4, markevery=0.15, drawstyle="steps-post", linewidth=1.6)
    return line


def _unsatisfied(percentages: Iterable[float]) -> Numbers:
    """What a logarithmic axis shows of satisfied percentages."""
    shown: Numbers = numpy.maximum(100 - numpy.fromiter(percentages, float), _LEAST_UNSATISFIED)
    return shown


def _show_satisfied(axes: "Axes") -> None:
    """An axis of unsatisfied percentages, logarithmic and downwards, labelled with satisfied ones."""
    axes.set_yscale("log")
    axes.set_yticks([100 - tick for tick in _TICKS], [f"{tick:g}" for tick in _TICKS])
    axes.minorticks_off()
    axes.set_ylim(20, _LEAST_UNSATISFIED * 0.8)
    axes.set_ylabel("satisfied (%)")
