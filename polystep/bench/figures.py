"""What all figures share: the look of each method, and how figures are written."""

import multiprocessing
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from polystep.bench.files import atomic_path
from polystep.bench.groups import Group

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Known methods have the same look in every report; others come after them, in alphabetical order.
_KNOWN_METHODS = (
    "polystep",
    "openai_es",
    "cma_es",
    "spsa",
    "mezo",
    "finite_differences",
    "random_search",
    "adam",
    "adam_surrogate",
    "adam_straight_through",
    "adam_smooth",
)
# They are in no figure with Adam, whose colours they share.
_CLAUSE_SOLVERS = ("probsat", "walksat", "rc2")
# They share the colours of MeZO and finite differences.
_POLICY_LEARNERS = ("ppo", "dqn")
# Paul Tol's muted palette, which stays distinct under colour blindness, without its sand, too pale for lines, and with two
# of his vibrant one. Black and greys are kept for what is published; markers tell methods apart without any colour.
_COLOURS = (
    *("#332288", "#CC6677", "#117733", "#88CCEE", "#AA4499", "#999933", "#44AA99", "#882255"),
    *("#EE7733", "#0077BB"),
)
# Their number shares no divisor with that of the colours, so that a pair repeats only after 70 methods.
_MARKERS = ("o", "s", "^", "D", "v", "P", "X")

_WORTH_A_PROCESS = 4
"""So many figures take longer to draw than a process takes to start."""
_inherited: Sequence[tuple[str, Callable[[], "Figure"]]] = ()

# Without dates and versions, equal data give equal files.
_METADATA: dict[str, dict[str, Any]] = {
    "png": {"Software": None},
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
}


class Look(NamedTuple):
    """How figures show a method."""

    colour: str
    marker: str


def method_looks(optimizers: Iterable[str]) -> dict[str, Look]:
    """A look for each optimiser; pass those of the whole report, so that all of its figures agree."""
    positions = {name: position for position, name in enumerate(_KNOWN_METHODS)}
    positions |= {name: position for position, name in enumerate(_CLAUSE_SOLVERS, 17)}
    positions |= {name: position for position, name in enumerate(_POLICY_LEARNERS, 14)}
    positions |= {name: position for position, name in enumerate(sorted(set(optimizers) - positions.keys()), 20)}
    return {
        name: Look(_COLOURS[position % len(_COLOURS)], _MARKERS[position % len(_MARKERS)])
        for name, position in positions.items()
    }


def entry_label(group: Group, groups: Sequence[Group], width: int) -> str:
    """What a figure of `groups` calls one of them, in lines of at most `width` characters: its study only where they differ."""
    studies = {other.study for other in groups}
    return fill(group.method + (f", study {group.study}" if len(studies) > 1 else ""), width)


def style_axes(axes: "Axes", grid_axis: Literal["x", "both"]) -> None:
    """A quiet frame and grid behind the data."""
    axes.grid(axis=grid_axis, which="major", color="0.9", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def write_figures(figures: Sequence[tuple[str, Callable[[], "Figure"]]], folder: Path) -> list[Path]:
    """Draw and write every named figure as `write_figure` does, many of them in as many processes as there are cores.

    Raises StorageError where a figure cannot be written.
    """
    global _inherited
    processes = min(len(os.sched_getaffinity(0)), len(figures) // _WORTH_A_PROCESS)
    if processes < 2:
        return [path for name, draw in figures for path in write_figure(draw(), folder, name)]
    # Forked children have the histories already; through a pipe they would take longer than drawing does.
    _inherited = figures
    try:
        with multiprocessing.get_context("fork").Pool(processes) as pool:
            written = pool.starmap(_write_inherited, [(place, folder) for place in range(len(figures))], chunksize=1)
    finally:
        _inherited = ()
    return [path for paths in written for path in paths]


def _write_inherited(place: int, folder: Path) -> list[Path]:
    name, draw = _inherited[place]
    return write_figure(draw(), folder, name)


def write_figure(figure: "Figure", folder: Path, name: str) -> list[Path]:
    """Write `<folder>/<name>` as PNG (150 dots per inch) and PDF, each atomically.

    Raises StorageError where that is impossible.
    """
    paths = []
    for kind, metadata in _METADATA.items():
        paths.append(folder / f"{name}.{kind}")
        with atomic_path(paths[-1]) as temporary:
            figure.savefig(temporary, format=kind, dpi=150, metadata=metadata)
        # Arranging takes as long as drawing, and once is enough.
        figure.set_layout_engine("none")
    return paths
