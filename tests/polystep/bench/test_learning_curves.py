"""What the learning curves draw."""

from collections.abc import Sequence
from pathlib import Path

import numpy
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from polystep.bench.curves import read_history
from polystep.bench.figures import method_looks, write_figure
from polystep.bench.groups import Group, group_runs
from polystep.bench.learning_curves import learning_curves
from polystep.bench.records import RunRecord

STEPS = numpy.arange(20.0, 201.0, 20.0)


def histories(groups: list[Group]) -> dict:
    return {run.name: read_history(run.folder) for group in groups for run in group.runs if run.folder is not None}


def draw(runs: Sequence[RunRecord], without: Sequence[str] = ()) -> Figure:
    groups = group_runs(runs)
    known = {name: history for name, history in histories(groups).items() if name not in without}
    return learning_curves(groups, known, method_looks(run.labels["optimizer"] for run in runs))


def data(line: Line2D) -> tuple[numpy.ndarray, numpy.ndarray]:
    return numpy.asarray(line.get_xdata(), float), numpy.asarray(line.get_ydata(), float)


def lines(axes: Axes, **properties: object) -> list[tuple[numpy.ndarray, numpy.ndarray]]:
    """The data of the lines that have these properties."""
    return [data(line) for line in axes.lines if all(getattr(line, f"get_{k}")() == v for k, v in properties.items())]


def legend(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.legends[0].get_texts()]


def test_a_line_is_the_mean_and_its_band_the_extremes_over_seeds(add_run) -> None:
    runs = [add_run(seed=seed, validation=lambda step, s=seed: (step + 10 * s) / 500) for seed in (1, 2, 6)]
    figure = draw(runs)
    assert legend(figure)[0] == "polystep, n=3"
    for axes, per_step in zip(figure.axes, (8688, 0.25), strict=True):
        assert axes.get_xscale() == "log"
        ((cost, score),) = lines(axes, drawstyle="steps-post")
        # step 0 has no place on a logarithmic axis
        numpy.testing.assert_allclose(cost, STEPS * per_step)
        numpy.testing.assert_allclose(score, (STEPS + 30) / 5)
        band = axes.collections[0].get_paths()[0].vertices
        at_start = band[numpy.isclose(band[:, 0], 20 * per_step), 1]
        assert (at_start.min(), at_start.max()) == pytest.approx((6.0, 16.0))


def test_open_markers_are_test_scores(add_run) -> None:
    figure = draw([add_run(seed=1, test=0.9), add_run(seed=2, test=0.8)])
    for axes, per_step in zip(figure.axes, (8688, 0.25), strict=True):
        (points,) = lines(axes, markerfacecolor="white")
        numpy.testing.assert_allclose(points[0], numpy.array([20, 100, 200]) * per_step)
        numpy.testing.assert_allclose(points[1], [35, 55, 84])
    # without a published curve to compare with, the end alone
    (points,) = lines(draw([add_run("spsa")]).axes[0], markerfacecolor="white")
    numpy.testing.assert_allclose(points, ([200 * 8688], [89]))


def test_seeds_that_end_at_different_steps_have_one_mean_end(add_run) -> None:
    first = add_run("spsa", seed=1, test=0.9)
    second = add_run("spsa", seed=2, metrics=first.metrics | {"steps": 100, "test_last": 0.49})
    (points,) = lines(draw([first, second]).axes[1], markerfacecolor="white")
    numpy.testing.assert_allclose(points, ([37.5], [69]))


def test_axes_are_logarithmic_where_costs_differ_by_orders_of_magnitude(add_run) -> None:
    alike = [add_run("spsa", task="mine"), add_run("mezo", task="mine", candidates=4000)]
    assert [axes.get_xscale() for axes in draw(alike).axes] == ["linear", "linear"]
    ((cost, score),) = lines(draw(alike[:1]).axes[1], drawstyle="steps-post")
    assert (cost[0], score[0]) == (0, 0)
    unlike = [add_run("spsa", task="mine", candidates=2), add_run("mezo", task="mine")]
    assert [axes.get_xscale() for axes in draw(unlike).axes] == ["log", "linear"]


def test_gradient_methods_have_a_level_on_the_axis_of_candidates(add_run) -> None:
    runs = [add_run("adam", seed=seed, candidates=0, validation=lambda step, s=seed: s / 10) for seed in (7, 8)]
    figure = draw([*runs, add_run("openai_es")])
    candidates, seconds = figure.axes
    assert len(lines(candidates, drawstyle="steps-post")) == 1 and len(lines(seconds, drawstyle="steps-post")) == 2
    (level,) = [y for x, y in lines(candidates, drawstyle="default") if list(x) == [0, 1]]
    assert level == pytest.approx(75)
    assert "horizontal line on the left: last validation score of adam, which evaluates no candidates" in (
        figure.get_supxlabel()
    )
    assert "horizontal" not in draw([add_run("openai_es")]).get_supxlabel()


def test_without_candidates_there_is_no_panel_of_them(add_run, tmp_path: Path) -> None:
    runs = [add_run("adam", seed=seed, task="mine", candidates=0) for seed in (1, 2)]
    figure = draw(runs)
    (seconds,) = figure.axes
    assert seconds.get_xlabel().startswith("seconds") and seconds.get_ylabel() == "accuracy (%)"
    assert len(lines(seconds, drawstyle="steps-post")) == 1
    assert "horizontal" not in figure.get_supxlabel()
    unknown = draw(runs, without=[run.name for run in runs])
    assert len(unknown.axes) == 1 and all(path.stat().st_size for path in write_figure(unknown, tmp_path, "curves"))


def test_published_curve_and_headline_are_marked_as_published(add_run) -> None:
    figure = draw([add_run(), add_run(study="default"), add_run("openai_es")])
    for axes, first_cost in zip(figure.axes, (20 * 8688, 20.572), strict=True):
        (curve,) = [data(line) for line in axes.lines if line.get_color() == "black"]
        assert (curve[0][0], curve[1][0]) == pytest.approx((first_cost, 43.29))
        (headline,) = lines(axes, color="0.45")
        assert headline[1] == pytest.approx(93.362)
    published = [text for text in legend(figure) if "published" in text]
    assert published == [
        "published polystep, RTX 5090:\ntest, mean ± std of 5 seeds",
        "published polystep, headline:\n93.36 ± 0.22 %, best of all\nlooks at the test set",
    ]


def test_one_colour_per_method_and_one_style_per_setting(add_run) -> None:
    figure = draw([add_run(name, seed, study) for name in "ab" for seed in (1, 2) for study in ("x", "y")])
    assert sorted(legend(figure)) == [f"{name}, study {study}, n=2" for name in "ab" for study in "xy"]
    shown = {(line.get_color(), line.get_linestyle()) for line in figure.axes[0].lines if line.get_label()[0] != "_"}
    assert len(shown) == 4 and len({colour for colour, _ in shown}) == 2


def test_the_legend_reads_from_best_to_worst(add_run) -> None:
    runs = [add_run(name, validation=lambda step, v=value: v) for name, value in (("a", 0.2), ("b", 0.9), ("c", 0.5))]
    assert legend(draw(runs)) == ["b, n=1", "c, n=1", "a, n=1"]
    metric = {"name": "error", "direction": "minimize", "unit": ""}
    runs = [add_run(name, metric=metric, validation=lambda step, v=v: v) for name, v in (("a", 0.2), ("b", 0.9))]
    assert legend(draw(runs)) == ["a, n=1", "b, n=1"]


def test_a_run_without_readable_history_is_left_out(add_run) -> None:
    runs = [add_run(seed=1), add_run(seed=2)]
    assert legend(draw(runs, without=[runs[0].name]))[0] == "polystep, n=1"
    assert not any("n=" in text for text in legend(draw(runs, without=[run.name for run in runs])))


def test_other_metrics_are_drawn_in_their_unit(add_run, tmp_path: Path) -> None:
    metric = {"name": "mean squared error", "direction": "minimize", "unit": ""}
    figure = draw([add_run("adam", candidates=0, metric=metric)])
    assert figure.axes[0].get_ylabel() == "mean squared error"
    assert lines(figure.axes[0], drawstyle="steps-post")[0][1][-1] == pytest.approx(0.8)
    assert all(path.stat().st_size for path in write_figure(figure, tmp_path, "curves"))
