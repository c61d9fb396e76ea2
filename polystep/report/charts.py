"""Charts as plain data; `polystep.report.drawing` draws them."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy
from numpy.typing import NDArray

Numbers = Sequence[float] | NDArray[numpy.float64]

# Paul Tol's muted palette without its sand, too pale for lines, and six more.
COLOURS = (
    *("#4b3aa8", "#CC6677", "#117733", "#4aa9d8", "#AA4499", "#999933", "#44AA99", "#882255"),
    *("#EE7733", "#0077BB", "#8a6d3b", "#661100", "#7a808a", "#e58fa6"),
)
# Methods share a colour only where no figure has both: those that use gradients, clauses or an environment.
_KNOWN = {
    **{"polystep": 0, "openai_es": 1, "cma_es": 2, "spsa": 3, "mezo": 4, "finite_differences": 5, "random_search": 6},
    **{"eggroll": 10, "openai_es_rows": 11, "adam": 7, "adam_surrogate": 8, "adam_straight_through": 9},
    **{"polystep_dense": 12, "openai_es_adam": 13, "walksat": 7, "probsat": 8, "rc2": 9, "ppo": 7, "dqn": 8},
}
# Readers who cannot tell colours apart go by these: one for each known method.
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*", "<", ">", "p", "h", "d", "8", "x", "+", "1", "2", "3")


class Style(NamedTuple):
    """How a method is drawn."""

    colour: str
    marker: str


@dataclass(frozen=True)
class Line:
    """A curve with a band from `low` to `high`. steps: values hold until the next; dashed: with open markers, too."""

    label: str
    style: Style
    x: Numbers
    y: Numbers
    low: Numbers = ()
    high: Numbers = ()
    steps: bool = True
    dashed: bool = False


@dataclass(frozen=True)
class Mark:
    """A published value, drawn on the right edge of a panel."""

    label: str
    marker: str
    y: float


@dataclass(frozen=True)
class Dot:
    """A value in a row of its own, with the interval from `low` to `high`; `points` are single seeds; published: drawn open."""

    label: str
    value: float | None
    colour: str
    low: float | None = None
    high: float | None = None
    points: Numbers = ()
    marker: str = "o"
    published: bool = False


@dataclass(frozen=True)
class Panel:
    """One pair of axes with lines or dots. linear_within: of dots, x is logarithmic beyond this distance from zero."""

    title: str
    lines: tuple[Line, ...] = ()
    marks: tuple[Mark, ...] = ()
    dots: tuple[Dot, ...] = ()
    x_label: str = ""
    y_label: str = ""
    log_x: bool = True
    log_y: bool = False
    linear_within: float | None = None
    level: float | None = None


@dataclass(frozen=True)
class Chart:
    """A figure: rows of panels, all of lines or all of dots. summary: shown by REPORT.md, else by the page alone."""

    name: str
    title: str
    section: str
    rows: tuple[tuple[Panel, ...], ...]
    notes: tuple[str, ...] = ()
    summary: bool = False
    first: bool = False


def rows_of(panels: Sequence[Panel], most: int) -> tuple[tuple[Panel, ...], ...]:
    """The panels in rows of nearly equal length, at most `most`."""
    rows = math.ceil(len(panels) / most)
    columns = math.ceil(len(panels) / rows)
    return tuple(tuple(panels[place : place + columns]) for place in range(0, len(panels), columns))


def styles_of(methods: Iterable[str]) -> dict[str, Style]:
    """The same style for a method in every chart; methods that are not known here follow in alphabetical order."""
    places = dict(_KNOWN) | {name: place for place, name in enumerate(sorted(set(methods) - _KNOWN.keys()), 3)}
    return {
        name: Style(COLOURS[colour % len(COLOURS)], _MARKERS[place % len(_MARKERS)])
        for place, (name, colour) in enumerate(places.items())
    }
