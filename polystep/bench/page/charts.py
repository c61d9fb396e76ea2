"""Line charts as inline SVG whose colours follow the page."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy

from polystep.bench.page.markup import Markup, element, join

WIDTH, HEIGHT = 640, 340
_LEFT, _RIGHT, _TOP, _BOTTOM = 62, 14, 12, 50
_MOST_POINTS = 64
_CLOSE_TO_FULL = 85
_LEAST_DISTANCE = 0.02
_PERCENT_TICKS = (0, 50, 80, 90, 95, 98, 99, 99.5, 99.8, 99.9, 99.95, 99.98)
_DASHES = ("", "2 4", "9 4 2 4", "14 5")

Points = Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Series:
    """A line of a chart: `steps` holds each value until the next; `dash` tells settings of one colour apart; `dots` marks the
    points; `band` is the area between two lines over the same places.
    """

    points: Points
    colour: str
    label: str = ""
    dash: int = 0
    steps: bool = True
    dots: bool = False
    published: bool = False
    band: tuple[Points, Points] | None = None


def line_chart(
    series: Sequence[Series], x_title: str, y_title: str, logarithmic: bool, name: str, percent: bool = False
) -> Markup | None:
    """The chart, named `name` for screen readers; None where nothing can be drawn.

    `logarithmic` is the axis of costs. Scores in `percent` that come close to 100 are shown by their distance to it, on a
    logarithmic axis, where they can be told apart.
    """
    shown = [line for line in series if _drawable(line.points, logarithmic)]
    if not shown:
        return None
    xs = [x for line in shown for x, _ in _drawable(line.points, logarithmic)]
    ys = [y for line in shown for _, y in _drawable(line.points, logarithmic)]
    x_axis = _LogarithmicAxis(min(xs), max(xs)) if logarithmic else _LinearAxis(min(xs), max(xs))
    close = percent and max(ys) >= _CLOSE_TO_FULL
    y_axis = _DistanceAxis(min(ys), max(ys)) if close else _LinearAxis(min(ys), max(ys))
    across, down = WIDTH - _LEFT - _RIGHT, HEIGHT - _TOP - _BOTTOM

    def place(x: float, y: float) -> tuple[float, float]:
        return round(_LEFT + across * x_axis.share(x), 1), round(_TOP + down * (1 - y_axis.share(y)), 1)

    grid = []
    for value, label in y_axis.ticks():
        y = round(_TOP + down * (1 - y_axis.share(value)), 1)
        grid += [
            element("line", x1=_LEFT, x2=WIDTH - _RIGHT, y1=y, y2=y, class_="grid"),
            element("text", label, x=_LEFT - 8, y=y + 4, text_anchor="end"),
        ]
    for value, label in x_axis.ticks():
        x = round(_LEFT + across * x_axis.share(value), 1)
        grid += [
            element("line", x1=x, x2=x, y1=HEIGHT - _BOTTOM, y2=HEIGHT - _BOTTOM + 5, class_="tick"),
            element("text", label, x=x, y=HEIGHT - _BOTTOM + 20, text_anchor="middle"),
        ]
    grid.append(element("text", x_title, x=_LEFT + across / 2, y=HEIGHT - 8, text_anchor="middle", class_="axis"))
    grid.append(
        element(
            "text",
            y_title,
            transform=f"translate(13 {_TOP + down / 2}) rotate(-90)",
            text_anchor="middle",
            class_="axis",
        )
    )
    lines = []
    for line in shown:
        points = [place(*point) for point in _thinned(_drawable(line.points, logarithmic))]
        parts = []
        if line.band:
            low, high = (_thinned(_drawable(edge, logarithmic)) for edge in line.band)
            outline = _path([place(*p) for p in low], line.steps) + _path(
                [place(*p) for p in high], line.steps, back=True
            )
            parts.append(element("path", d=f"{outline}Z", class_="band"))
        dash = "6 4" if line.published else _DASHES[line.dash % len(_DASHES)]
        parts.append(element("path", d=_path(points, line.steps), class_="line", stroke_dasharray=dash or None))
        if line.dots or len(points) == 1:
            parts += [element("circle", cx=x, cy=y, r=3.2, class_="dot") for x, y in points]
        title = element("title", line.label) if line.label else None
        style = None if line.published else f"--c:{line.colour}"
        lines.append(
            element("g", title, *parts, class_="series published" if line.published else "series", style=style)
        )
    return element("svg", *grid, *lines, viewBox=f"0 0 {WIDTH} {HEIGHT}", role="img", aria_label=name)


def swatch(line: Series) -> Markup:
    """A short piece of the line, for legends."""
    dash = "6 4" if line.published else _DASHES[line.dash % len(_DASHES)]
    piece = element("line", x1=0, x2=28, y1=5, y2=5, class_="line", stroke_dasharray=dash or None)
    style = None if line.published else f"--c:{line.colour}"
    kind = "series published" if line.published else "series"
    return element(
        "svg", element("g", piece, class_=kind, style=style), viewBox="0 0 28 10", class_="swatch", aria_hidden="true"
    )


class _LinearAxis:
    def __init__(self, low: float, high: float) -> None:
        span = high - low or abs(high) or 1.0
        self._low, self._high = low - 0.03 * span, high + 0.03 * span

    def share(self, value: float) -> float:
        return (value - self._low) / (self._high - self._low)

    def ticks(self) -> list[tuple[float, str]]:
        raw = (self._high - self._low) / 5
        power = 10.0 ** math.floor(math.log10(raw))
        step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= raw)
        first = math.ceil(self._low / step)
        count = math.floor(self._high / step) - first
        values = [(first + index) * step for index in range(count + 1)]
        return [(value, compact(value)) for value in values]


class _DistanceAxis:
    """Percent by their distance to 100, logarithmic; what is closer than `_LEAST_DISTANCE` is drawn there."""

    def __init__(self, low: float, high: float) -> None:
        self._low, self._high = self._place(low), self._place(high)
        margin = 0.03 * (self._high - self._low or 1.0)
        self._low, self._high = self._low - margin, self._high + margin

    @staticmethod
    def _place(value: float) -> float:
        return -math.log10(max(100 - value, _LEAST_DISTANCE))

    def share(self, value: float) -> float:
        return (self._place(value) - self._low) / (self._high - self._low)

    def ticks(self) -> list[tuple[float, str]]:
        values = [value for value in _PERCENT_TICKS if 0 <= self.share(value) <= 1]
        if len(values) < 3:
            return _LinearAxis(100 - 10**-self._low, 100 - 10**-self._high).ticks()
        return [(value, compact(value)) for value in values]


class _LogarithmicAxis:
    def __init__(self, low: float, high: float) -> None:
        self._low, self._high = math.log10(low), math.log10(high)
        if self._high - self._low < 1e-9:
            self._low, self._high = self._low - 0.5, self._high + 0.5

    def share(self, value: float) -> float:
        return (math.log10(value) - self._low) / (self._high - self._low)

    def ticks(self) -> list[tuple[float, str]]:
        factors = (
            (1.0,) if self._high - self._low > 2.5 else (1.0, 3.0) if self._high - self._low > 1 else (1.0, 2.0, 5.0)
        )
        powers = range(math.floor(self._low), math.ceil(self._high) + 1)
        skip = max(1, round((self._high - self._low) / 5))
        values = [factor * 10.0**power for power in powers if not power % skip for factor in factors]
        return [(value, compact(value)) for value in values if self._low <= math.log10(value) <= self._high]


def compact(value: float) -> str:
    """A number for an axis: 12k, 3M."""
    for size, suffix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.4g}{suffix}"
    return f"{value:.4g}"


def _drawable(points: Points, logarithmic: bool) -> list[tuple[float, float]]:
    return [(x, y) for x, y in points if math.isfinite(x) and math.isfinite(y) and (x > 0 or not logarithmic)]


def _thinned(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """At most `_MOST_POINTS` of them, the first and the last among them."""
    if len(points) <= _MOST_POINTS:
        return points
    return [points[index] for index in numpy.linspace(0, len(points) - 1, _MOST_POINTS).round().astype(int)]


def _path(points: Sequence[tuple[float, float]], steps: bool, back: bool = False) -> str:
    """A path in absolute coordinates; `back` runs from its end to its start and continues another path."""
    if not points:
        return ""
    corners = [points[0]]
    for (_, before), (x, y) in pairwise(points):
        corners += [(x, before), (x, y)] if steps else [(x, y)]
    if back:
        corners.reverse()
    parts = [f"{'L' if back else 'M'}{corners[0][0]:g} {corners[0][1]:g}"]
    for (x_before, y_before), (x, y) in pairwise(corners):
        # horizontal and vertical pieces in half the characters
        if y == y_before:
            parts.append(f"H{x:g}")
        else:
            parts.append(f"V{y:g}" if x == x_before else f"L{x:g} {y:g}")
    # pieces of one line that goes on and on
    return re.sub(r"(?:H[\d.]+)+(H[\d.]+)", r"\1", "".join(parts))


def chart_with_legend(chart: Markup, entries: Sequence[Markup]) -> Markup:
    """A chart and the list of its lines beside or below it."""
    legend = element("ul", *(element("li", entry) for entry in entries), class_="legend")
    return element("div", join(element("div", chart, class_="plot"), legend), class_="chart")
