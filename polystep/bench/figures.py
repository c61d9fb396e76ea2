"""Learning curves as figures: validation and test scores over candidate evaluations and over seconds."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from polystep.bench.files import StorageError, atomic_path
from polystep.bench.groups import Group, marked_scores, number
from polystep.bench.published import published_cost, published_curve
from polystep.bench.records import HISTORY_COLUMNS, RunRecord

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from pandas import DataFrame

# Paul Tol's muted palette, which stays distinct under colour blindness; without its sand, too pale for lines. Black is
# kept for what is published.
COLOURS = ("#332288", "#CC6677", "#117733", "#88CCEE", "#AA4499", "#999933", "#44AA99", "#882255")
LINE_STYLES = ("solid", "dashdot")
PANELS = {
    "candidate_evaluations": "candidate evaluations",
    "seconds": "seconds (optimiser and evaluation; published: wall time)",
}

# Without dates and versions, equal data give equal files.
_METADATA: dict[str, dict[str, Any]] = {
    "png": {"Software": None},
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
}


def read_history(folder: Path) -> "DataFrame":
    """history.csv of a run, one row per logged step.

    Raises StorageError, naming the file, where it is missing, damaged or lacks one of `HISTORY_COLUMNS`.
    """
    import pandas

    path = folder / "history.csv"
    try:
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        if not lines or not lines[-1].endswith("\n") or len({line.count(",") for line in lines}) > 1:
            raise ValueError("it is truncated")
        history = pandas.read_csv(path, dtype=float)
    except (OSError, ValueError) as error:
        raise StorageError(f"{path} cannot be read ({error}); delete the folder and repeat the run") from error
    missing = [column for column in HISTORY_COLUMNS if column not in history]
    if missing:
        raise StorageError(f"{path} lacks the columns {missing}; delete the folder and repeat the run")
    return history


def learning_curves(groups: Sequence[Group], histories: Mapping[str, "DataFrame"]) -> "Figure":
    """One colour per group, one line per seed; published curves dashed in black.

    `groups` share one task and one protocol; `histories` maps names of runs to their `read_history`.
    """
    from matplotlib.figure import Figure

    first = groups[0]
    figure = Figure(figsize=(11, 5.6), layout="constrained")
    figure.suptitle(f"Learning curves on task {first.task}, protocol {first.protocol}", fontsize=13)
    panels = figure.subplots(1, len(PANELS), sharey=True)
    scale = 100 if first.unit == "fraction" else 1
    for axes, (column, title) in zip(panels, PANELS.items(), strict=True):
        axes.set(xscale="log", xlabel=title)
        axes.grid(which="major", color="0.88", linewidth=0.8)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
        for position, group in enumerate(groups):
            colour = COLOURS[position % len(COLOURS)]
            look: dict[str, Any] = {
                "color": colour,
                "linestyle": LINE_STYLES[position // len(COLOURS) % len(LINE_STYLES)],
            }
            runs = [(run, histories[run.name]) for run in group.runs if run.name in histories]
            # The label of an empty line, so that each group has one legend entry however many seeds it has.
            axes.plot([], [], **look, label=f"{group.method}, study {group.study}, n={len(runs)}")
            for run, history in runs:
                seen = history[history["validation"].notna() & (history[column] > 0)]
                axes.plot(seen[column], seen["validation"] * scale, **look, linewidth=1.1, alpha=0.8)
                _draw_test_scores(axes, run, history, column, scale, colour)
        # One published curve per method, however many studies of it there are.
        for group in {group.optimizer: group for group in groups}.values():
            _draw_published(axes, group, column, scale)
    panels[0].set_ylabel(first.score_name)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(
        handles,
        labels,
        loc="outside lower center",
        ncols=1,
        frameon=False,
        title="lines: validation score, one per seed; dots: test score; n: seeds",
    )
    return figure


def write_figure(figure: "Figure", folder: Path, name: str) -> list[Path]:
    """Write `<folder>/<name>` as PNG (150 dots per inch) and PDF, each atomically.

    Raises StorageError where that is impossible.
    """
    paths = []
    for kind, metadata in _METADATA.items():
        paths.append(folder / f"{name}.{kind}")
        with atomic_path(paths[-1]) as temporary:
            figure.savefig(temporary, format=kind, dpi=150, metadata=metadata)
    return paths


def _draw_test_scores(
    axes: "Axes", run: RunRecord, history: "DataFrame", column: str, scale: float, colour: str
) -> None:
    import numpy

    scores = marked_scores(run)
    last_step, last_score = number(run.metrics, "steps"), number(run.metrics, "test_last")
    if last_step is not None and last_score is not None:
        scores[int(last_step)] = last_score
    # A marked step need not be a logged one; its cost lies between those of its neighbours, but is unknown outside.
    inside = [step for step in scores if history["step"].min() <= step <= history["step"].max()]
    costs = numpy.interp(inside, history["step"], history[column]) if inside else []
    points = [(cost, scores[step] * scale) for step, cost in zip(inside, costs, strict=True) if cost > 0]
    horizontal, vertical = zip(*points, strict=True) if points else ((), ())
    axes.plot(
        horizontal, vertical, "o", color=colour, markersize=5, markeredgecolor="white", markeredgewidth=0.7, zorder=3
    )


def _draw_published(axes: "Axes", group: Group, column: str, scale: float) -> None:
    best, cost = group.published_best, published_cost(group.task, group.optimizer)
    curve = published_curve(group.task, group.optimizer)
    if best is None or cost is None or cost.candidates_per_step is None or curve is None:
        return
    horizontal = curve["seconds"] if column == "seconds" else curve.index * cost.candidates_per_step
    mean, std = curve["mean"] * scale, curve["std"] * scale
    name = f"published {group.optimizer}"
    axes.fill_between(horizontal, mean - std, mean + std, color="black", alpha=0.1, linewidth=0, zorder=1)
    label = f"{name} (test accuracy, {cost.hardware}), mean ± standard deviation of {best.n} seeds"
    axes.plot(horizontal, mean, color="black", linestyle="dashed", linewidth=1.4, zorder=2, label=label)
    label = f"{name}, headline: {best} (best of all looks at the test set)"
    axes.axhline(best.mean * scale, color="0.45", linestyle="dotted", linewidth=1.4, label=label)
