"""Statistics against scipy where it has them, against cases computed by hand elsewhere."""

import math
import random

import numpy
import pytest
import scipy.stats
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from polystep.bench.statistics import (
    LARGEST_EXACT_TEST,
    bootstrap_interval,
    censored_median,
    holm,
    interquartile_mean,
    numpy_generator,
    paired_p_value,
)

scores = st.floats(-100, 100, allow_nan=False).map(lambda value: round(value, 6))


def test_interquartile_mean_leaves_out_a_quarter_on_each_side() -> None:
    assert interquartile_mean([1.0, 2.0, 3.0, 100.0]) == 2.5
    assert interquartile_mean([100.0, 2.0, 4.0, 3.0, -50.0]) == 3.0
    # a quarter of three is no whole value
    assert interquartile_mean([1.0, 2.0, 9.0]) == 4.0
    assert interquartile_mean(numpy.arange(16.0).reshape(2, 8)).tolist() == [3.5, 11.5]


def test_the_bootstrap_agrees_with_scipy() -> None:
    values = numpy.random.default_rng(0).normal(5, 2, size=12)
    low, high = bootstrap_interval([values], numpy.mean, numpy_generator("test"), resamples=50_000)
    reference = scipy.stats.bootstrap(
        (values,), numpy.mean, n_resamples=50_000, method="percentile", rng=numpy.random.default_rng(1)
    ).confidence_interval
    assert (low, high) == pytest.approx((reference.low, reference.high), abs=0.02)


def test_the_bootstrap_keeps_strata_apart() -> None:
    # Tasks differ by 100, seeds by at most 1: only drawing within tasks leaves the interval of the mean below 1.
    tasks = [[0.0, 1.0, 0.5], [100.0, 101.0, 100.5]]
    low, high = bootstrap_interval(tasks, numpy.mean, numpy_generator("test"))
    assert 50 <= low < 50.5 < high <= 51
    pooled = bootstrap_interval([[*tasks[0], *tasks[1]]], numpy.mean, numpy_generator("test"))
    assert pooled is not None and pooled[1] - pooled[0] > 50


def test_one_seed_has_no_interval() -> None:
    assert bootstrap_interval([[1.0]], numpy.mean, numpy_generator("test")) is None
    assert bootstrap_interval([[1.0], [2.0]], numpy.mean, numpy_generator("test")) is None
    assert bootstrap_interval([[1.0], [2.0, 3.0]], numpy.mean, numpy_generator("test")) == pytest.approx((5 / 3, 7 / 3))


@given(st.lists(scores, min_size=2, max_size=8))
@settings(max_examples=25, deadline=None)
def test_intervals_stay_within_what_was_seen_and_repeat(values: list[float]) -> None:
    first = bootstrap_interval([values], interquartile_mean, numpy_generator("a", 1), resamples=200)
    assert first == bootstrap_interval([values], interquartile_mean, numpy_generator("a", 1), resamples=200)
    assert first is not None
    tolerance = 1e-9 * max(map(abs, values))
    assert min(values) - tolerance <= first[0] <= first[1] <= max(values) + tolerance


def test_no_global_random_state_is_read_or_written() -> None:
    before = (random.getstate(), str(numpy.random.get_state()), torch.get_rng_state().tolist())
    bootstrap_interval([[1.0, 2.0, 3.0]], numpy.mean, numpy_generator("test"))
    assert before == (random.getstate(), str(numpy.random.get_state()), torch.get_rng_state().tolist())
    assert numpy_generator("a").random() != numpy_generator("b").random()


def test_the_sign_flip_test_counts_patterns() -> None:
    # means of +-1 +-2 +-3: only +++ and --- are as far from zero as 2
    assert paired_p_value([1.0, 2.0, 3.0]) == 2 / 8
    # |sum| >= 2 for all of +-1 +-1 +-4
    assert paired_p_value([-1.0, -1.0, 4.0]) == 1.0
    assert paired_p_value([0.0, 0.0]) == 1.0
    assert paired_p_value([5.0]) is None
    assert paired_p_value([]) is None


@pytest.mark.parametrize("n", range(2, LARGEST_EXACT_TEST + 1))
def test_the_smallest_p_value_of_n_seeds(n: int) -> None:
    # equal differences tie in floating point only if ties are counted with a tolerance
    assert paired_p_value([0.1] * n) == 2 ** (1 - n)


@given(st.lists(scores, min_size=2, max_size=7))
@settings(max_examples=40, deadline=None)
def test_the_sign_flip_test_is_scipys_permutation_test(values: list[float]) -> None:
    # scipy's own tolerance is relative to the statistic, ours to the data
    assume(abs(math.fsum(values)) > 1e-3)
    reference = scipy.stats.permutation_test(
        (values, numpy.zeros(len(values))),
        lambda a, b, axis: numpy.mean(a - b, axis=axis),
        permutation_type="samples",
        n_resamples=numpy.inf,
        vectorized=True,
    )
    assert paired_p_value(values) == pytest.approx(reference.pvalue)


def test_many_pairs_take_wilcoxons_test() -> None:
    values = numpy.random.default_rng(3).normal(0.3, 1, size=LARGEST_EXACT_TEST + 5)
    assert paired_p_value(list(values)) == scipy.stats.wilcoxon(values).pvalue
    assert paired_p_value([0.0] * 30) == 1.0


def test_holm() -> None:
    # 0.005 x 4, 0.01 x 3, 0.03 x 2, and 0.04 not below the one before
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_lies_between_none_and_bonferroni_and_keeps_the_order(p_values: list[float]) -> None:
    corrected = holm(p_values)
    for p_value, adjusted in zip(p_values, corrected, strict=True):
        assert p_value <= adjusted <= min(1.0, len(p_values) * p_value) + 1e-12
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    assert [corrected[position] for position in order] == sorted(corrected)


def test_a_median_is_exact_where_censoring_cannot_move_it() -> None:
    assert censored_median([3.0, 1.0, 2.0], [True, True, True]) == (2.0, True)
    assert censored_median([3.0, 1.0, 9.0], [True, True, False]) == (3.0, True)
    # the run that ended at 2 may have needed 100
    assert censored_median([3.0, 1.0, 2.0], [True, True, False]) == (2.0, False)
    assert censored_median([3.0, 1.0, 2.0], [False, True, False]) == (2.0, False)
    assert censored_median([5.0], [False]) == (5.0, False)
    # even number: the upper middle one is unknown
    assert censored_median([1.0, 2.0, 9.0, 9.0], [True, True, False, False]) == (5.5, False)
    with pytest.raises(ValueError, match="no times"):
        censored_median([], [])


@given(
    st.lists(st.tuples(st.floats(1, 100), st.floats(1, 100)), min_size=1, max_size=9),
)
def test_a_censored_median_is_never_above_the_true_one(pairs: list[tuple[float, float]]) -> None:
    seen = [min(time, end) for time, end in pairs]
    reached = [time <= end for time, end in pairs]
    true_median = float(numpy.median([time for time, _ in pairs]))
    median, exact = censored_median(seen, reached)
    assert median <= true_median + 1e-9
    if exact:
        assert median == pytest.approx(true_median)


def test_equal_censoring_gives_the_median_of_kaplan_and_meier() -> None:
    times = [4.0, 7.0, 12.0, 20.0, 20.0]
    reached = [True, True, True, False, False]
    sample = scipy.stats.CensoredData(uncensored=times[:3], right=times[3:])
    survival = scipy.stats.ecdf(sample).sf
    kaplan_meier = survival.quantiles[survival.probabilities <= 0.5][0]
    assert censored_median(times, reached) == (kaplan_meier, True)
