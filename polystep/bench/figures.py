"""What all figures share: the look of each method, and how figures are written."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from polystep.bench.groups import Group
from polystep.bench.processes import map_in_processes
from polystep.files import atomic_write

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

_LINES: tuple[Any, ...] = ("solid", (0, (1, 1)), "dashdot", (0, (6, 2)))

_WORTH_A_PROCESS = 4
"""So many figures take longer to draw than a process takes to start."""

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


def line_styles(lines: Iterable[tuple[str, str]], looks: Mapping[str, Look]) -> dict[str, dict[str, Any]]:
    """Colour, marker and line style by label, for lines as pairs of optimiser and label.

    Several settings of one optimiser share its colour and marker and differ in their lines.
    """
    settings: Counter[str] = Counter()
    styles: dict[str, dict[str, Any]] = {}
    for optimizer, label in lines:
        if label not in styles:
            colour, marker = looks[optimizer]
            line = _LINES[settings[optimizer] % len(_LINES)]
            styles[label] = {"color": colour, "marker": marker, "linestyle": line}
            settings[optimizer] += 1
    return styles


def entry_label(group: Group, groups: Sequence[Group], width: int) -> str:
    """What a figure of `groups` calls one of them, in lines of at most `width` characters: its study only where they differ."""
    studies = {other.study for other in groups}
    return fill(group.method + (f", study {group.study}" if len(studies) > 1 else ""), width)


def style_axes(axes: "Axes", grid_axis: Literal["x", "both"]) -> None:
    """A quiet frame and grid behind the data."""
    axes.grid(axis=grid_axis, which="major", color="0.9", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def legend_beside(figure: "Figure", lines: Mapping[str, Any], place: tuple[float, float]) -> None:
    """The legend of lines by label right of the panels; `place`: its upper left corner, in fractions of the figure."""
    figure.legend(
        list(lines.values()),
        list(lines),
        loc="upper left",
        bbox_to_anchor=place,
        frameon=False,
        fontsize=9,
        handlelength=3.2,
    )


def logarithmic(axes: "Axes", which: Literal["x", "y"]) -> None:
    """A logarithmic axis, labelled 100, 1k, 10k, ..., 1M, and over less than two decades 1M, 2M, 5M, 10M."""
    from matplotlib.ticker import FuncFormatter

    axes.set(**{f"{which}scale": "log"})
    axis = axes.xaxis if which == "x" else axes.yaxis

    def minor(value: float, _: int) -> str:
        low, high = axis.get_view_interval()
        return _short(value) if high < 100 * low and f"{value:e}"[0] in "25" else ""

    # powers of ten, as by default, take a fifth of the time of a figure to typeset
    axis.set_major_formatter(FuncFormatter(lambda value, _: _short(value)))
    axis.set_minor_formatter(FuncFormatter(minor))


def _short(value: float) -> str:
    for size, suffix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:g}{suffix}"
    return f"{value:g}"


def write_figures(figures: Sequence[tuple[str, Callable[[], "Figure"]]], folder: Path) -> list[Path]:
    """Draw and write every named figure as `write_figure` does, many of them in as many processes as there are cores.

    Raises StorageError where a figure cannot be written.
    """
    written = map_in_processes(lambda item: write_figure(item[1](), folder, item[0]), figures, _WORTH_A_PROCESS)
    return [path for paths in written for path in paths]


def write_figure(figure: "Figure", folder: Path, name: str) -> list[Path]:
    """Write `<folder>/<name>` as PNG (120 dots per inch) and PDF, each atomically.

    Raises StorageError where that is impossible.
    """
    paths = []
    for kind, metadata in _METADATA.items():
        paths.append(folder / f"{name}.{kind}")
        with atomic_write(paths[-1]) as file:
            figure.savefig(file, format=kind, dpi=120, metadata=metadata)
        # Arranging takes as long as drawing, and once is enough.
        figure.set_layout_engine("none")
    return paths
