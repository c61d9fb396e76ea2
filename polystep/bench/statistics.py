"""Statistics of a comparison over few seeds: robust means, intervals, paired tests, times with censoring."""

import math
from collections.abc import Callable, Sequence
from itertools import product
from statistics import median
from typing import Any

import numpy
from numpy.typing import ArrayLike, NDArray

from polystep.random import derive_seed

LARGEST_EXACT_TEST = 15
"""Up to this many pairs every pattern of signs is tried."""

Statistic = Callable[..., Any]
"""Reduces an array along its last axis; called as `statistic(values, axis=-1)`."""


def numpy_generator(*purpose: str | int) -> numpy.random.Generator:
    """A numpy generator that belongs to `purpose`, so that equal records give equal reports."""
    return numpy.random.default_rng(derive_seed(0, "report", *purpose))


def interquartile_mean(values: ArrayLike, axis: int = -1) -> Any:
    """Mean without the lowest and the highest quarter, each rounded down to whole values.

    Hence the mean of all below four values. Robust to single failed seeds and, unlike the median, not decided by one
    value (Agarwal et al. 2021, "Deep reinforcement learning at the edge of the statistical precipice").
    """
    from scipy.stats import trim_mean

    return trim_mean(numpy.asarray(values, float), 0.25, axis=axis)


def bootstrap_interval(
    strata: Sequence[Sequence[float]],
    statistic: Statistic,
    generator: numpy.random.Generator,
    level: float = 0.95,
    resamples: int = 10_000,
) -> tuple[float, float] | None:
    """Percentile interval of `statistic` over the values of all strata together (Efron 1979).

    Each resample draws with replacement within every stratum (a task), as many values (seeds) as the stratum has, so that
    tasks of different difficulty never replace each other. None where no stratum has two values. With few values the
    interval is too narrow: its ends cannot pass the extremes that were seen.
    """
    if all(len(stratum) < 2 for stratum in strata):
        return None
    drawn = [generator.choice(numpy.asarray(stratum, float), (resamples, len(stratum))) for stratum in strata]
    values = statistic(numpy.concatenate(drawn, axis=1), axis=-1)
    low, high = numpy.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def paired_p_value(differences: Sequence[float]) -> float | None:
    """Two-sided p-value of the hypothesis that the differences of paired seeds are symmetric about zero.

    Up to `LARGEST_EXACT_TEST` pairs: the sign-flip test, the share of all 2^n patterns of signs whose mean is at least as
    far from zero as the one seen. It is exact for any distribution and uses the sizes of the differences, while with
    so few pairs the ranks of Wilcoxon's test throw much of them away and a t-test rests on normality that nobody can check.
    With more pairs: Wilcoxon's signed-rank test, which needs no enumeration and resists outlying seeds. The smallest
    p-value of n pairs is 2^(1-n); one pair allows no test (None).
    """
    n = len(differences)
    if n < 2:
        return None
    values = numpy.asarray(differences, float)
    if not values.any():
        return 1.0
    if n > LARGEST_EXACT_TEST:
        from scipy.stats import wilcoxon

        return float(wilcoxon(values).pvalue)
    signs: NDArray[numpy.float64] = numpy.array(list(product((1.0, -1.0), repeat=n)))
    sums = numpy.abs(signs @ values)
    # rounding must not turn patterns that tie with the one seen into smaller ones
    return float((sums >= sums[0] - 1e-9 * numpy.abs(values).sum()).mean())


def holm(p_values: Sequence[float]) -> list[float]:
    """The p-values of a family corrected for its size, in the order given.

    p_(i) -> max over j <= i of min(1, (m - j + 1) p_(j)), with p_(1) <= ... <= p_(m): the chance of even one false
    discovery among the m tests stays below the level, whatever their dependence (Holm 1979).
    """
    corrected = [0.0] * len(p_values)
    highest = 0.0
    for rank, position in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[position]))
        corrected[position] = highest
    return corrected


def censored_median(times: Sequence[float], reached: Sequence[bool]) -> tuple[float, bool]:
    """Median of the times to an event of which some were not seen to their end, and whether it is exact.

    `times` holds the time of the event where `reached`, else the time at which watching ended. All that is known of the
    latter is that they are longer, so the median is exact where it is the same however much longer; otherwise the returned
    median is its largest known lower bound. Raises ValueError without times.
    """
    if not times:
        raise ValueError("the median of no times does not exist; leave methods without runs out")
    shortest = median(times)
    longest = median(time if event else math.inf for time, event in zip(times, reached, strict=True))
    return shortest, shortest == longest
