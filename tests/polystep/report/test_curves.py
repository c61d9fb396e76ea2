"""What histories say."""

from math import inf, nan

import pytest

from polystep.report.curves import cost_to_reach, curve_of, mean_curve
from polystep.report.groups import group_runs


def group(table, make_run, *histories, **columns):
    runs = [make_run("snn", "polystep", seed, history=history, **columns) for seed, history in enumerate(histories)]
    (found,) = group_runs(table(*runs))
    return found


def history(seconds, validation):
    return {"seconds": seconds, "validation": validation}


def test_a_mean_carries_the_last_validation_of_every_run_forward(table, make_run):
    curve = mean_curve(group(table, make_run, history([0, 1, 3], [0, 0.2, 0.6]), history([0, 2], [0, 0.4])), "seconds")
    assert list(curve.cost) == [2, 3]
    assert list(curve.mean) == pytest.approx([0.3, 0.5])
    assert list(curve.low) == pytest.approx([0.2, 0.4])
    assert list(curve.high) == pytest.approx([0.4, 0.6])


def test_long_curves_are_thinned_and_keep_their_ends(table, make_run):
    many = list(range(1, 5001))
    curve = mean_curve(group(table, make_run, history(many, many)), "seconds", points=50)
    assert len(curve.cost) <= 50
    assert (curve.cost[0], curve.cost[-1]) == (1, 5000)


@pytest.mark.parametrize(
    "odd", [{}, {"seconds": [3]}, {"seconds": [inf, nan], "validation": [1, 2]}, {"validation": [1]}]
)
def test_odd_histories_give_no_curve(table, make_run, odd):
    assert mean_curve(group(table, make_run, odd), "seconds") is None
    assert cost_to_reach(group(table, make_run, odd), "seconds", 0.5) is None


def test_unknown_values_are_left_out(make_run):
    curve = curve_of(make_run("snn", "polystep", history=history([1, 2, None, 4], [0.1, None, 0.3, 0.4])), "seconds")
    assert list(curve.cost) == [1, 4]


def test_cost_to_reach_is_a_median_over_runs(table, make_run):
    found = cost_to_reach(group(table, make_run, *(history([0, t], [0, 0.9]) for t in (1, 2, 9))), "seconds", 0.9)
    assert found == (2, True, 3, 3)


def test_runs_that_fell_short_bound_the_median(table, make_run):
    reached, short = history([0, 5], [0, 0.9]), history([0, 3], [0, 0.5])
    assert cost_to_reach(group(table, make_run, reached, short, short), "seconds", 0.9) == (3, False, 1, 3)
    late = history([0, 30], [0, 0.5])
    assert cost_to_reach(group(table, make_run, reached, reached, late), "seconds", 0.9) == (5, True, 2, 3)


@pytest.mark.parametrize("end", [20, 3, 5])
def test_of_two_runs_the_median_is_a_bound_where_one_fell_short(table, make_run, end):
    reached, short = history([0, 5], [0, 0.9]), history([0, end], [0, 0.5])
    assert cost_to_reach(group(table, make_run, reached, short), "seconds", 0.9) == ((5 + end) / 2, False, 1, 2)
    both = cost_to_reach(group(table, make_run, reached, history([0, end], [0, 0.9])), "seconds", 0.9)
    assert both == ((5 + end) / 2, True, 2, 2)
    # of four, the two in the middle are known
    four = group(table, make_run, reached, reached, reached, history([0, 20], [0, 0.5]))
    assert cost_to_reach(four, "seconds", 0.9) == (5, True, 3, 4)


def test_where_less_is_better_a_target_is_reached_from_above(table, make_run):
    falling = group(table, make_run, history([0, 1, 2], [9, 5, 1]), direction="minimize")
    assert cost_to_reach(falling, "seconds", 5).median == 1
