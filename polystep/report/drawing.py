"""The one place where matplotlib draws: grouped curves and grouped dots, as SVG and PDF."""

import io
import math
import os
import warnings
from typing import TYPE_CHECKING, Any, Literal

from polystep.report.charts import Chart, Dot, Line
from polystep.report.svg import GRID, GROUND, INK, compact
from polystep.report.text import for_figure, short_number

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

_SETTINGS: Any = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 9.0,
    "text.color": INK,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.titlesize": 10.0,
    # found by itself, the place of titles takes a tenth of the time
    "axes.titley": 1.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.facecolor": "none",
    "figure.facecolor": GROUND,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.labelsize": 8.0,
    "ytick.labelsize": 8.0,
    "legend.fontsize": 8.5,
    "legend.frameon": False,
}


Kind = Literal["svg", "pdf"]
_UNDATED: dict[str, Any] = {
    "svg": {"Date": None, "Creator": None},
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
}


def render(chart: Chart) -> dict[Kind, bytes]:
    """The chart as SVG, and as PDF where it belongs to the summary.

    Equal data give equal bytes, whatever the environment says about matplotlib.
    """
    matplotlib = _matplotlib()
    from matplotlib.figure import Figure

    files: dict[Kind, bytes] = {}
    kinds: tuple[Kind, ...] = ("svg", "pdf") if chart.summary else ("svg",)
    with matplotlib.rc_context(), warnings.catch_warnings():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_SETTINGS | {"svg.hashsalt": chart.name})
        # a letter that the font lacks is drawn as a box, or by the reader's own fonts
        warnings.filterwarnings("ignore", "Glyph")
        figure = Figure()
        (_draw_dots if any(panel.dots for row in chart.rows for panel in row) else _draw_curves)(figure, chart)
        for kind in kinds:
            output = io.BytesIO()
            figure.savefig(output, format=kind, metadata=_UNDATED[kind])
            files[kind] = output.getvalue()
    return files | {"svg": compact(files["svg"])}


def _matplotlib() -> Any:
    """The package, which refuses to be imported where a notebook has left its backend in the environment."""
    backend = os.environ.pop("MPLBACKEND", None)
    try:
        import matplotlib
    finally:
        if backend is not None:
            os.environ["MPLBACKEND"] = backend
    return matplotlib


def _draw_curves(figure: "Figure", chart: Chart) -> None:
    """The grouped-curve figure: a legend for all panels below them, logarithmic axes with plain numbers."""
    from matplotlib.lines import Line2D

    columns = max(len(row) for row in chart.rows)
    handles: dict[str, Any] = {}
    panels = [panel for row in chart.rows for panel in row]
    labels = {line.label for panel in panels for line in panel.lines}
    labels |= {mark.label for panel in panels for mark in panel.marks}
    # in points, so that none reaches into the next panel
    title_size = 10 * min(1.0, 28 / max(len(panel.title) or 1 for panel in panels))
    width, panel_height, between = max(6.4, 0.5 + 2.5 * columns), 2.1, 0.68
    legend_columns = max(1, int(width / (0.6 + 0.068 * max(map(len, labels)))))
    legend = 0.22 * math.ceil(len(labels) / legend_columns) + 0.12
    height = 0.65 + panel_height * len(chart.rows) + between * (len(chart.rows) - 1) + 0.45 + legend
    _set_size_and_title(figure, width, height, chart.title)
    figure.subplots_adjust(
        left=0.62 / width, right=1 - 0.2 / width, top=1 - 0.65 / height, bottom=(0.45 + legend) / height,
        wspace=0.32, hspace=between / panel_height,
    )  # fmt: skip
    for row, members in enumerate(chart.rows):
        for column, panel in enumerate(members):
            axes = figure.add_subplot(len(chart.rows), columns, row * columns + column + 1)
            axes.set_title(for_figure(panel.title), loc="left", fontsize=title_size)
            axes.set_xlabel(for_figure(panel.x_label))
            if column == 0 or panel.y_label != members[0].y_label:
                axes.set_ylabel(for_figure(panel.y_label))
            axes.grid(color=GRID, linewidth=0.7)
            axes.set_xscale("log" if panel.log_x else "linear")
            axes.set_yscale("log" if panel.log_y else "linear")
            for line in panel.lines:
                handles.setdefault(line.label, _draw_line(axes, line))
            for place, mark in enumerate(panel.marks):
                look: Any = {"color": INK, "marker": mark.marker, "markerfacecolor": GROUND, "linestyle": ""}
                # beside one another, as values may be equal
                at_edge: Any = {"transform": axes.get_yaxis_transform(), "clip_on": False, "zorder": 5}
                axes.plot([1.0 + 0.05 * place], [mark.y], markersize=6, **at_edge, **look)
                handles.setdefault(mark.label, Line2D([], [], **look))
            if panel.level is not None:
                axes.axhline(panel.level, color=INK, linewidth=0.8, linestyle=(0, (1, 2)))
            for axis, is_logarithmic in ((axes.xaxis, panel.log_x), (axes.yaxis, panel.log_y)):
                if is_logarithmic:
                    _label_logarithms(axis)
    figure.legend(
        list(handles.values()), [for_figure(label) for label in handles], loc="lower left", ncols=legend_columns,
        bbox_to_anchor=(0.01, 0.0), columnspacing=1.4, handlelength=2.6,
    )  # fmt: skip


def _set_size_and_title(figure: "Figure", width: float, height: float, title: str) -> None:
    figure.set_size_inches(width, height)
    figure.suptitle(for_figure(title), fontsize=11, x=0.01, ha="left", y=1 - 0.1 / height, va="top")


def _draw_line(axes: "Axes", line: Line) -> Any:
    colour = line.style.colour
    if len(line.low):
        axes.fill_between(
            line.x, line.low, line.high, step="post" if line.steps else None, color=colour, alpha=0.15, linewidth=0
        )
    (drawn,) = axes.plot(
        line.x,
        line.y,
        color=colour,
        linewidth=1.5,
        linestyle=(0, (4, 2)) if line.dashed else "solid",
        drawstyle="steps-post" if line.steps else "default",
        marker=line.style.marker,
        # a single point has no line that shows it
        markersize=3.6 if len(line.x) > 1 else 7,
        zorder=2 if len(line.x) > 1 else 4,
        markevery=0.2 if line.steps else 1,
        markerfacecolor=GROUND if line.dashed else colour,
    )
    return drawn


_TICKS = ((2.2, (1.0,)), (1.1, (1.0, 3.0)), (0.5, (1.0, 2.0, 5.0)), (-1.0, (1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0)))
"""Multiples of powers of ten that are labelled where an axis spans more than so many decades."""


def _label_logarithms(axis: "Axis") -> None:
    """100, 1k, 10k; between powers of ten where an axis spans less than two of them."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

    low, high = sorted(axis.get_view_interval())
    decades = math.log10(high / low) if low > 0 else 0
    factors = next(steps for range_, steps in _TICKS if decades > range_)
    skip = max(1, math.ceil(decades / 5))
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ticks = [f * 10.0**p for p in powers if p % skip == 0 for f in factors if low <= f * 10.0**p <= high]
    if len(ticks) < 3 and decades < 1:
        ticks = [tick for tick in MaxNLocator(4).tick_values(low, high) if low <= tick <= high]
    axis.set_major_locator(FixedLocator(ticks))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: short_number(float(f"{value:.6g}"))))


def _draw_dots(figure: "Figure", chart: Chart) -> None:
    """The figure of grouped dots: values with intervals in rows, labels on the left."""
    columns = max(len(row) for row in chart.rows)
    deepest = [max(max(len(panel.dots) for panel in row), 1) for row in chart.rows]
    longest = max(len(dot.label) for row in chart.rows for panel in row for dot in panel.dots)
    label_width = 0.062 * max(min(longest, 60), 12) + 0.15
    width = columns * (label_width + 2.9) + 0.2
    heights = [0.68 + 0.21 * dots for dots in deepest]
    height = 0.55 + sum(heights)
    _set_size_and_title(figure, width, height, chart.title)
    top = height - 0.55
    for row, panels in enumerate(chart.rows):
        for column, panel in enumerate(panels):
            left = column * (label_width + 2.9) + label_width
            place = (left / width, (top - heights[row] + 0.42) / height, 2.65 / width, 0.21 * deepest[row] / height)
            axes = figure.add_axes(place)
            axes.set_title(for_figure(panel.title), loc="left", pad=3)
            axes.grid(axis="x", color=GRID, linewidth=0.7)
            ends = (end for dot in panel.dots for end in (dot.value, dot.low, dot.high) if end is not None)
            if panel.linear_within is not None and max(map(abs, ends), default=0.0) > panel.linear_within:
                axes.set_xscale("symlog", linthresh=panel.linear_within)
                axes.xaxis.set_major_formatter(lambda value, _: short_number(value))
            axes.spines["left"].set_visible(False)
            axes.tick_params(axis="y", length=0)
            axes.set_ylim(deepest[row] - 0.5, -0.5)
            axes.set_xlabel(for_figure(panel.x_label), labelpad=1)
            axes.set_yticks(range(len(panel.dots)), [for_figure(dot.label) for dot in panel.dots])
            for spot, dot in enumerate(panel.dots):
                _draw_dot(axes, spot, dot)
            if panel.level is not None:
                axes.axvline(panel.level, color=INK, linewidth=0.8, linestyle=(0, (1, 2)))
        top -= heights[row]


def _draw_dot(axes: "Axes", spot: int, dot: Dot) -> None:
    if dot.low is not None and dot.high is not None:
        axes.plot([dot.low, dot.high], [spot, spot], color=dot.colour, linewidth=2.2, alpha=0.65, solid_capstyle="butt")
    if len(dot.points):
        axes.plot(dot.points, [spot] * len(dot.points), "|", color=INK, markersize=6, alpha=0.7)
    if dot.value is not None:
        face = GROUND if dot.published else dot.colour
        axes.plot([dot.value], [spot], dot.marker, color=dot.colour, markersize=5, markerfacecolor=face)
