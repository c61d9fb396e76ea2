"""Histories as curves, their mean over seeds, and when they reach a threshold."""

from pathlib import Path

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from polystep.bench.curves import Curve, cost_to_reach, mean_curve, read_history, validation_curve
from polystep.files import StorageError


def curve(*points: tuple[float, float]) -> Curve:
    return Curve(*numpy.array(points, float).reshape(-1, 2).T)


@pytest.mark.parametrize("content", [None, "", "step,loss\n1,2\n", "step,epoch\n1,2,3,4\n1\n", "\x00\xff"])
def test_damaged_histories_are_named(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "history.csv").write_text(content, encoding="latin-1")
    with pytest.raises(StorageError, match=r"history\.csv"):
        read_history(tmp_path)


def test_text_in_a_history_is_damage(add_run) -> None:
    folder = add_run().folder
    path = folder / "history.csv"
    path.write_text(path.read_text() + "1,2,oops,4,5,6,7\n")
    with pytest.raises(StorageError, match=r"history\.csv"):
        read_history(folder)


@pytest.mark.parametrize("column", ["backward_passes", "loss", "epoch"])
def test_histories_need_no_more_columns_than_curves_do(add_run, column: str) -> None:
    path = add_run().folder / "history.csv"
    rows = [line.split(",") for line in path.read_text().splitlines()]
    kept = [i for i, name in enumerate(rows[0]) if name != column]
    path.write_text("".join(",".join(row[i] for i in kept) + "\n" for row in rows))
    assert column not in read_history(path.parent)


def test_validation_curves_leave_other_rows_out(add_run) -> None:
    seen = validation_curve(read_history(add_run().folder), "seconds")
    numpy.testing.assert_allclose(seen.cost, numpy.arange(0, 201, 20) * 0.25)
    numpy.testing.assert_allclose(seen.score, numpy.arange(0, 201, 20) / 250)


def test_the_mean_carries_the_last_observation_forward() -> None:
    mean = mean_curve([curve((0, 0.0), (10, 1.0)), curve((0, 0.2), (4, 0.4), (12, 0.8))])
    assert mean is not None
    assert mean.cost.tolist() == [0, 4, 10, 12]
    numpy.testing.assert_allclose(mean.mean, [0.1, 0.2, 0.7, 0.9])
    numpy.testing.assert_allclose(mean.lowest, [0.0, 0.0, 0.4, 0.8])
    numpy.testing.assert_allclose(mean.highest, [0.2, 0.4, 1.0, 1.0])


def test_the_mean_starts_where_every_seed_has_been_seen() -> None:
    mean = mean_curve([curve((1, 0.1), (5, 0.5)), curve((3, 0.3))])
    assert mean is not None and mean.cost.tolist() == [3, 5]
    numpy.testing.assert_allclose(mean.mean, [0.2, 0.4])
    assert mean_curve([curve((1, 0.1)), curve()]) is None
    assert mean_curve([]) is None


def test_of_several_scores_at_one_cost_the_last_counts() -> None:
    mean = mean_curve([curve((0, 0.1), (0, 0.3), (1, 0.5))])
    assert mean is not None
    numpy.testing.assert_allclose(mean.mean, [0.3, 0.5])


@given(
    st.lists(st.lists(st.tuples(st.integers(0, 50), st.floats(0, 1)), min_size=1, max_size=8), min_size=1, max_size=4)
)
def test_the_mean_of_step_functions_is_the_mean_at_every_point(points: list[list[tuple[int, float]]]) -> None:
    curves = [curve(*sorted(seed, key=lambda point: point[0])) for seed in points]
    mean = mean_curve(curves)
    assert mean is not None
    for place, value, lowest, highest in zip(*mean, strict=True):
        # the last observation at or before `place`, found without the code under test
        values = [[score for cost, score in zip(*seed, strict=True) if cost <= place][-1] for seed in curves]
        assert value == pytest.approx(numpy.mean(values))
        assert (lowest, highest) == (min(values), max(values))


def test_the_cost_of_a_threshold_is_that_of_the_first_validation_there(add_run) -> None:
    history = read_history(add_run(validation=lambda step: 0.9 if step in (100, 140) else 0.5).folder)
    assert cost_to_reach(history, "seconds", 0.9) == (25.0, True)
    assert cost_to_reach(history, "candidate_evaluations", 0.9) == (100 * 8688, True)
    # never reached: censored at the end
    assert cost_to_reach(history, "seconds", 0.91) == (50.0, False)
    gradient = read_history(add_run("adam", candidates=0).folder)
    assert cost_to_reach(gradient, "candidate_evaluations", 0.1) is None
