"""Intervals and fits that several studies use."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from polystep.random import named_generator


def binomial_interval(successes: int, trials: int) -> tuple[float, float]:
    """Exact 95 % interval of a probability. Source: Clopper and Pearson, The Use of Confidence or Fiducial Limits (1934)."""
    from scipy.stats import binomtest

    interval = binomtest(successes, trials).proportion_ci(0.95, method="exact")
    return float(interval.low), float(interval.high)


def share_of(successes: int, trials: int) -> dict[str, Any]:
    """What a row says of a share with its exact interval; nothing of none."""
    if not trials:
        return {"share": (None, None, None), "unit": "fraction"}
    return {"share": (successes / trials, *binomial_interval(successes, trials)), "unit": "fraction"}


def mean_of(values: Tensor) -> Tensor:
    """Means over the last dimension."""
    return values.mean(-1)


def median_of(values: Tensor) -> Tensor:
    """Medians over the last dimension, of an even number the mean of the middle two."""
    return values.quantile(0.5, -1)


def slope_with_band(
    x: Sequence[float],
    values: Tensor,
    draws: int,
    seed: int,
    centre: Callable[[Tensor], Tensor] = mean_of,
    same_runs: bool = False,
) -> tuple[float, float, float]:
    """Least-squares slope of log centre(values) over log x, with its 95 % bootstrap band over repetitions.

    values: (lengths, repetitions), above 0. same_runs: repetition k is one run at all lengths, so runs are drawn; otherwise
    every length has repetitions of its own.
    """
    generator = named_generator(seed, "bootstrap")
    count, repetitions = values.shape
    abscissa = torch.tensor(x, dtype=torch.float64).log()
    abscissa -= abscissa.mean()

    def slope(centres: Tensor) -> Tensor:
        return (centres.log() @ abscissa) / abscissa.square().sum()

    chosen = torch.randint(repetitions, (draws, 1 if same_runs else count, repetitions), generator=generator)
    drawn = values.expand(draws, -1, -1).gather(2, chosen.expand(-1, count, -1))
    low, high = torch.quantile(slope(centre(drawn)), torch.tensor([0.025, 0.975], dtype=torch.float64)).tolist()
    return float(slope(centre(values))), low, high
