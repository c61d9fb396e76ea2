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

_TINY, _HALVINGS = 1e-150, 64
"""The search for the largest mean halves the exponent of what it lacks so many times, from so little on."""

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
    cannot pass the best possible value, so there the interval is one-sided. Where one is known, the end on its side is that of
    the mean (`_largest_mean`), so that seeds that fail altogether count by how far they fall.
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
    lowest, highest = exact
    if by_rank.any() and numpy.isfinite(feasible[1]):
        highest = _largest_mean(scores, feasible[1], level)
    if by_rank.any() and numpy.isfinite(feasible[0]):
        lowest = -_largest_mean(-scores, -feasible[0], level)
    low, high = numpy.where(by_rank, lowest, mean - half), numpy.where(by_rank, highest, mean + half)
    return numpy.clip(low, *feasible), numpy.clip(high, *feasible)


def _largest_mean(scores: Numbers, best: float, level: float) -> Numbers:
    """The largest mean that scores (..., n), none above `best`, leave possible: a larger one is true with a chance of `level`.

    If the mean is m, (best - score) / (best - m) is at least 0 and has the mean 1. So has (1 + that) / 2, and the product of
    these over seeds; by Markov's inequality it passes 1 / level with a chance of `level` at most, whatever the distribution.
    Waudby-Smith and Ramdas, Estimating means of bounded random variables by betting (2024), with half of the capital at stake.
    """
    missing = numpy.maximum(best - scores, 0.0)

    def is_refuted(room: Numbers) -> Any:
        return numpy.log((1 + missing / room[..., None]) / 2).sum(axis=-1) > -numpy.log(level)

    # the mean itself is never refuted, nor is the best value where nothing is missing
    low, high = numpy.full_like(missing[..., 0], _TINY), numpy.maximum(missing.mean(axis=-1), _TINY)
    for _ in range(_HALVINGS):
        middle = numpy.sqrt(low * high)
        low, high = numpy.where(is_refuted(middle), (middle, high), (low, middle))
    return best - numpy.where(missing.any(axis=-1), high, 0.0)


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
