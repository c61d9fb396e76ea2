"""What the bars of the scores show."""

import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba

from polystep.bench.figures import method_looks
from polystep.bench.groups import group_runs
from polystep.bench.score_bars import score_bars

NAMES = ("polystep", "openai_es", "adam", "a", "b")


def draw(runs):
    return score_bars(group_runs(runs), method_looks(NAMES))


def labels(axes: Axes) -> list[str]:
    return [text.get_text() for text in axes.get_yticklabels()]


def test_bars_are_means_with_seeds_as_dots_and_published_scores_hatched(add_run) -> None:
    runs = [
        add_run(seed=1, test=0.92),
        add_run(seed=2, test=0.96),
        add_run("openai_es", test=0.5),
        add_run("a", test=0.7),
    ]
    (axes,) = draw(runs).axes
    assert labels(axes) == ["polystep\n200 of 3540 steps", "published", "a", "openai_es", "published"]
    assert [bar.get_width() for bar in axes.patches] == pytest.approx([94, 93.362, 70, 50, 33.12])
    assert [bar.get_hatch() is not None for bar in axes.patches] == [False, True, False, False, True]
    dots = [line.get_xdata() for line in axes.lines if line.get_marker() == "o"]
    assert [sorted(seeds) for seeds in dots] == [pytest.approx(seeds) for seeds in ([92, 96], [], [70], [50], [])]
    assert [text.get_text() for text in axes.texts] == ["94.00 %", "93.36 %", "70.00 %", "50.00 %", "33.12 %"]
    assert axes.get_xlim()[0] == 0


def test_colours_are_those_of_the_methods(add_run) -> None:
    (axes,) = draw([add_run(test=0.9), add_run("a", test=0.5)]).axes
    looks = method_looks(NAMES)
    measured, published, other = axes.patches
    assert measured.get_facecolor() == published.get_edgecolor() == to_rgba(looks["polystep"].colour)
    assert other.get_facecolor() == to_rgba(looks["a"].colour)
    assert published.get_facecolor() == to_rgba("white")


def test_each_task_has_a_panel(add_run) -> None:
    runs = [add_run("a", task=task) for task in ("snn", "other", "third", "fourth", "fifth")]
    figure = draw(runs)
    titles = [axes.get_title() for axes in figure.axes if axes.get_visible()]
    assert titles == ["task fifth", "task fourth", "task other", "task snn", "task third"]
    assert "protocol paper" in figure.get_suptitle()


def test_settings_of_one_method_share_its_published_score(add_run) -> None:
    whole = {"test_selected": 0.6, "steps": 3540}
    (axes,) = draw([add_run(test=0.5), add_run(study="default", metrics=whole)]).axes
    assert labels(axes) == ["polystep, study default", "published", "polystep, study paper\n200 of 3540 steps"]


@pytest.mark.parametrize(
    ("protocol", "steps", "label"),
    [("paper", 200, "polystep\n200 of 3540 steps"), ("paper", 3540, "polystep"), ("default", 200, "polystep")],
)
def test_runs_with_published_settings_that_ended_early_say_so(add_run, protocol: str, steps: int, label: str) -> None:
    (axes,) = draw([add_run(protocol=protocol, metrics={"test_selected": 0.5, "steps": steps})]).axes
    assert labels(axes)[0] == label


def test_lower_is_better_where_the_metric_says_so(add_run) -> None:
    metric = {"name": "error", "direction": "minimize", "unit": ""}
    (axes,) = draw([add_run("a", test=0.4, metric=metric), add_run("b", test=0.2, metric=metric)]).axes
    assert labels(axes) == ["b", "a"]
    assert [bar.get_width() for bar in axes.patches] == [0.2, 0.4]


def test_groups_without_scores_have_no_bar(add_run) -> None:
    (axes,) = draw([add_run("a", metrics={})]).axes
    assert labels(axes) == []
