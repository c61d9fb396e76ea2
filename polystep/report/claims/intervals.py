"""Where the truth lies, from the scores of a few seeds: an interval that two rules make, and what it says about bounds."""

from typing import Any

import numpy
from numpy.typing import ArrayLike, NDArray
from scipy import stats

LEVEL = 0.025
"""The chance, on either side, that an interval misses the truth."""

NEAR_BEST = 1e-3
"""A score within this share of the best possible value is saturated: its spread says nothing about rare failures."""

_SLACK = 1e-9
"""Rounding must not turn equal scores into different ones, or one that equals a bound into one beyond it."""

ANY = (-numpy.inf, numpy.inf)
"""The range of what has no best value."""

Numbers = NDArray[numpy.float64]


def interval(
    values: ArrayLike, saturated: ArrayLike = False, feasible: tuple[float, float] = ANY, level: float = LEVEL
) -> tuple[Numbers, Numbers]:
    """Lower and upper end over the last axis (seeds), each beyond the truth with a chance of at most `level`.

    Student's t for the mean, mean ± t(1 - level, n - 1) s / sqrt(n). Where `saturated`, or where all seeds are equal, s says
    nothing and this would be an interval of no width; there the truth is the median, by its exact interval from order
    statistics (binomial; at 0.025 from six seeds on, infinite below), widened to hold the mean. It tells what a run usually
    reaches, not how often one fails: after ten runs without a failure, 31 % of all may still fail. Cut to `feasible`: a score
    cannot pass the best possible value, so there the interval is one-sided.
    """
    scores = numpy.sort(numpy.asarray(values, float), axis=-1)
    n, mean = scores.shape[-1], scores.mean(axis=-1)
    infinite = numpy.full_like(mean, numpy.inf)
    if n < 2:
        return -infinite, infinite
    half = stats.t.ppf(1 - level, n - 1) * scores.std(axis=-1, ddof=1) / n**0.5
    left_out = int(stats.binom.ppf(level, n, 0.5))
    if stats.binom.cdf(left_out, n, 0.5) > level:
        left_out -= 1
    if left_out < 0:
        exact = -infinite, infinite
    else:
        exact = numpy.minimum(scores[..., left_out], mean), numpy.maximum(scores[..., n - 1 - left_out], mean)
    all_equal = scores[..., -1] - scores[..., 0] <= _SLACK * numpy.maximum(1, numpy.abs(mean))
    by_rank = numpy.asarray(saturated) | all_equal
    low, high = numpy.where(by_rank, exact[0], mean - half), numpy.where(by_rank, exact[1], mean + half)
    return numpy.clip(low, *feasible), numpy.clip(high, *feasible)


def at_best(value: float, best: float | None) -> bool:
    """Whether a score is saturated: within NEAR_BEST of the best possible one."""
    return best is not None and abs(value - best) <= NEAR_BEST * abs(best)


def feasible_range(best: float | None, sign: int) -> tuple[float, float]:
    """What a score can be whose best possible value is `best`; sign: 1 where more is better, -1 where less is."""
    if best is None:
        return ANY
    return (-numpy.inf, best) if sign > 0 else (best, numpy.inf)


def against_bounds(
    ends: tuple[ArrayLike, ArrayLike],
    bounds: tuple[float, float],
    feasible: tuple[float, float] = ANY,
) -> Any:
    """1 where the interval is within the bounds, -1 where it is outside, 0 where it contains one of them.

    An end on a bound is not within it, but for a bound that no score can pass.
    """
    low, high = (numpy.asarray(end, float) for end in ends)
    finite = [abs(bound) for bound in bounds if numpy.isfinite(bound)]
    slack = _SLACK * max([1.0, *finite])
    above = low > bounds[0] + slack if bounds[0] < feasible[1] - slack else low >= bounds[0] - slack
    below = high < bounds[1] - slack if bounds[1] > feasible[0] + slack else high <= bounds[1] + slack
    above, below = above | (bounds[0] == -numpy.inf), below | (bounds[1] == numpy.inf)
    outside = (high < bounds[0] - slack) | (low > bounds[1] + slack)
    return numpy.where(above & below, 1, numpy.where(outside, -1, 0))
