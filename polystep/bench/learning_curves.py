"""Learning curves as figures: scores of all methods over candidate evaluations and over seconds."""

import math
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy

from polystep.bench.control_scores import control_entries
from polystep.bench.curves import MeanCurve, Numbers, after_start, mean_curve, validation_curve
from polystep.bench.figures import Look, entry_label, legend_beside, line_styles, logarithmic, style_axes
from polystep.bench.groups import Group, marked_scores
from polystep.bench.maxsat_scaling import of_published_distribution
from polystep.bench.published import published_cost, published_curve
from polystep.bench.quantities import number
from polystep.bench.records import RunRecord

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from pandas import DataFrame

CANDIDATES = "candidate_evaluations"
_PANELS = {CANDIDATES: "candidate evaluations", "seconds": "seconds (optimiser and evaluation; published: wall time)"}
_LABEL_WIDTH = 36
_DECADES = 100
"""Ratio of the last to the first cost shown from which an axis is logarithmic."""


@dataclass(frozen=True)
class _Line:
    """One group: its runs that have a history, and how it is drawn. Scores are scaled to what the axis shows."""

    group: Group
    runs: Sequence[tuple[RunRecord, "DataFrame"]]
    label: str
    style: Mapping[str, Any]
    has_published_curve: bool

    @property
    def scale(self) -> float:
        return 100 if self.group.unit == "fraction" else 1

    def curve(self, column: str, spent: bool) -> MeanCurve | None:
        """None where there is nothing to show over this currency. `spent`: from where all seeds have spent something."""
        if column == CANDIDATES and not self.group.evaluates_candidates:
            return None
        curves = [validation_curve(history, column) for _, history in self.runs]
        if spent:
            curves = [after_start(curve) for curve in curves]
        curve = mean_curve(curves)
        return curve and MeanCurve(curve.cost, *(scores * self.scale for scores in curve[1:]))

    def level(self) -> float | None:
        """Mean of the last validation scores."""
        curve = mean_curve([validation_curve(history, "step") for _, history in self.runs])
        return None if curve is None else float(curve.mean[-1]) * self.scale

    def test_points(self, column: str) -> list[tuple[float, float]]:
        """Cost and test score at the end, averaged over the seeds that have it; beside a published curve at its marks, too."""
        points: dict[float, list[tuple[float, float]]] = {}
        for run, history in self.runs:
            end, score_at_end = number(run.metrics, "steps"), number(run.metrics, "test_last")
            marks = marked_scores(run) if self.has_published_curve else {}
            found: list[tuple[float, float, float]] = [
                (step, step, score) for step, score in marks.items() if step != end
            ]
            if end is not None and score_at_end is not None:
                # Under a limit of time, seeds end at different steps.
                found.append((math.inf, end, score_at_end))
            for key, step, score in found:
                # A marked step need not be a logged one; its cost lies between its neighbours', but is unknown outside.
                if history["step"].min() <= step <= history["step"].max():
                    cost = float(numpy.interp(step, history["step"], history[column]))
                    points.setdefault(key, []).append((cost, score * self.scale))
        means = [numpy.mean(pairs, axis=0) for _, pairs in sorted(points.items())]
        return [(float(cost), float(score)) for cost, score in means if cost > 0]


def with_learning_curves(groups: Sequence[Group]) -> list[Group]:
    """Those of `groups` that are drawn as learning curves and score bars: policies have figures of their returns, formulas of
    the published distribution figures over sizes and seconds.
    """
    elsewhere = {entry.group.task for entry in control_entries(groups)}
    return [group for group in groups if group.task not in elsewhere and not of_published_distribution(group.task)]


def learning_curves(
    groups: Sequence[Group], histories: Mapping[str, "DataFrame"], looks: Mapping[str, Look]
) -> "Figure":
    """One line per group: the mean validation score over its seeds, in a band from the lowest to the highest seed.

    `groups` share one task and one protocol; `histories` maps names of runs to their histories, `looks` optimisers to
    their looks. A score holds until the next validation. Methods that evaluate no candidates have no place on that axis; a
    horizontal line shows the level that they reach. Where none evaluates any, there is no such panel. Published curves are
    dashed in black.
    """
    from matplotlib.figure import Figure

    first = groups[0]
    published = _published_curves(groups)
    lines = _lines(groups, histories, looks, {group.optimizer for group, _ in published})
    # Finding this layout for every figure would take as long as drawing it.
    figure = Figure(figsize=(13.5, 5.4))
    figure.subplots_adjust(left=0.055, right=0.745, bottom=0.185, top=0.91, wspace=0.05)
    figure.suptitle(f"Learning curves on task {first.task}, protocol {first.protocol}", fontsize=13, x=0.4)
    known = [column for column in _PANELS if published or any(line.curve(column, spent=True) for line in lines)]
    columns = known or ["seconds"]
    panels = figure.subplots(1, len(columns), sharey=True, squeeze=False).flatten()
    for axes, column in zip(panels, columns, strict=True):
        style_axes(axes, "both")
        axes.set_xlabel(_PANELS[column])
        costs = [curve.cost for line in lines if (curve := line.curve(column, spent=True))]
        if _spans_decades(costs + [curve[column].to_numpy() for _, curve in published]):
            logarithmic(axes, "x")
            axes.minorticks_off()
        for line in lines:
            _draw(axes, line, column)
        for group, values in published:
            _draw_published(axes, group, values, column)
    panels[0].set_ylabel(first.score_name)
    handles, labels = panels[-1].get_legend_handles_labels()
    legend_beside(figure, dict(zip(labels, handles, strict=True)), (0.75, 0.92))
    figure.supxlabel(_explanation(lines, columns), fontsize=9, color="0.3", x=0.4)
    return figure


def _lines(
    groups: Sequence[Group], histories: Mapping[str, "DataFrame"], looks: Mapping[str, Look], published: Set[str]
) -> list[_Line]:
    """In the order of the levels that they reach, best first, so that the legend reads like the figure."""
    known = [[(run, histories[run.name]) for run in group.runs if run.name in histories] for group in groups]
    labels = [
        entry_label(group, groups, _LABEL_WIDTH) + f", n={len(runs)}" for group, runs in zip(groups, known, strict=True)
    ]
    styles = line_styles(zip([group.optimizer for group in groups], labels, strict=True), looks)
    lines = [
        _Line(group, runs, label, styles[label], group.optimizer in published)
        for group, runs, label in zip(groups, known, labels, strict=True)
    ]
    sign = -1 if groups[0].direction == "maximize" else 1
    levels = {id(line): level for line in lines if (level := line.level()) is not None}
    return sorted(lines, key=lambda line: sign * levels.get(id(line), sign * math.inf))


def _draw(axes: "Axes", line: _Line, column: str) -> None:
    colour, marker = line.style["color"], line.style["marker"]
    style = {**line.style, "linewidth": 1.6}
    curve = line.curve(column, spent=axes.get_xscale() == "log")
    if curve is None:
        level = line.level()
        if level is not None and not line.group.evaluates_candidates:
            axes.axhline(level, **style | {"linewidth": 1.0, "marker": ""}, zorder=1.5)
            at_the_edge = axes.get_yaxis_transform()
            axes.plot(1, level, marker, color=colour, markersize=4, transform=at_the_edge, clip_on=False)
        return
    axes.fill_between(
        curve.cost, curve.lowest, curve.highest, step="post", color=colour, alpha=0.15, linewidth=0, zorder=1
    )
    style |= {"drawstyle": "steps-post", "markersize": 4, "markevery": 0.15}
    axes.plot(curve.cost, curve.mean, **style, label=line.label, zorder=2)
    test = numpy.array(line.test_points(column)).reshape(-1, 2)
    axes.plot(*test.T, marker, color=colour, markerfacecolor="white", markersize=5.5, markeredgewidth=1.2, zorder=3)


def _spans_decades(costs: Sequence[Numbers]) -> bool:
    """Whether lines that share a linear axis would lose their early points, or each other."""
    return bool(costs) and bool(max(cost[-1] for cost in costs) >= _DECADES * min(cost[0] for cost in costs))


def _published_curves(groups: Sequence[Group]) -> list[tuple[Group, "DataFrame"]]:
    """The published curve of each method, however many settings of it there are, with its cost in both currencies."""
    found = []
    for group in {group.optimizer: group for group in groups}.values():
        cost, curve = published_cost(group.task, group.optimizer), published_curve(group.task, group.optimizer)
        if group.published_best and cost and cost.candidates_per_step and curve is not None:
            found.append((group, curve.assign(**{CANDIDATES: curve.index * cost.candidates_per_step})))
    return found


def _draw_published(axes: "Axes", group: Group, curve: "DataFrame", column: str) -> None:
    best, cost = group.published_best, published_cost(group.task, group.optimizer)
    assert best and cost
    mean, std = 100 * curve["mean"], 100 * curve["std"]
    axes.fill_between(curve[column], mean - std, mean + std, color="black", alpha=0.1, linewidth=0, zorder=1)
    name = f"published {group.optimizer}"
    label = f"{name}, {cost.hardware}:\ntest, mean ± std of {best.n} seeds"
    axes.plot(curve[column], mean, color="black", linestyle="dashed", linewidth=1.4, zorder=2, label=label)
    label = f"{name}, headline:\n{best}, best of all\nlooks at the test set"
    axes.axhline(100 * best.mean, color="0.45", linestyle="dotted", linewidth=1.4, label=label)


def _explanation(lines: Sequence[_Line], columns: Sequence[str]) -> str:
    text = "line: mean validation score of n seeds; band: lowest to highest seed; open marker: mean test score"
    without = [line.group.method for line in lines if not line.group.evaluates_candidates]
    if without and CANDIDATES in columns:
        text += (
            f"\nhorizontal line on the left: last validation score of {', '.join(without)}, "
            f"which {'evaluates' if len(without) == 1 else 'evaluate'} no candidates"
        )
    return text
