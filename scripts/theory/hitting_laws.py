"""Two laws of the first improvement over sizes of a network, compared on settings that they were not fitted to."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy

from scripts.theory.laws import Array, HittingTimes, fit, held_out

SIZES = ("dimension", "depth", "width")
QUANTITIES = (*SIZES, "probe_radius")
LAWS: Mapping[str, Callable[[float], float]] = {"polynomial": math.log, "exponential": float}
"""What the log odds against a hit are linear in, per size; of the probe radius it is the logarithm in both."""
ONE_BY_ONE = "one setting after the other"


def compare_laws(rows: Sequence[Mapping[str, Any]], steps: int) -> dict[str, list[dict[str, Any]]]:
    """The fitted laws; their log-likelihoods on settings left out one by one, and on those of the largest value of a size.

    rows: of settings, with the times `improved_at`. steps: the limit of every run.
    """
    times = _times(rows, steps)
    features = {name: _features(rows, feature) for name, feature in LAWS.items()}
    return {
        "laws": [_law(name, of, times) for name, of in features.items()],
        "held_out": [_compared(rows, times, features, held) for held in (ONE_BY_ONE, *SIZES)],
    }


def _times(rows: Sequence[Mapping[str, Any]], steps: int) -> HittingTimes:
    runs = [(place, time) for place, row in enumerate(rows) for time in row["improved_at"]]
    return HittingTimes(
        numpy.array([place for place, _ in runs]),
        numpy.array([steps if time is None else time for _, time in runs], float),
        numpy.array([time is not None for _, time in runs]),
    )


def _features(rows: Sequence[Mapping[str, Any]], feature: Callable[[float], float]) -> Array:
    return numpy.array([[*(feature(row[size]) for size in SIZES), math.log(row["probe_radius"])] for row in rows])


def _law(name: str, features: Array, times: HittingTimes) -> dict[str, Any]:
    law = fit(features, times)
    return {
        "law": name,
        **dict(zip(QUANTITIES, map(float, law.coefficients[1:-1]), strict=True)),
        "precision": math.exp(law.coefficients[-1]),
        "log_likelihood": float(law.log_likelihoods(features, times).sum()),
        "mean_chances": law.mean_chance(features).tolist(),
    }


def _compared(
    rows: Sequence[Mapping[str, Any]], times: HittingTimes, features: Mapping[str, Array], held: str
) -> dict[str, Any]:
    if held == ONE_BY_ONE:
        groups = numpy.arange(len(rows))
    else:
        largest = max(row[held] for row in rows)
        groups = numpy.array([0 if row[held] == largest else -1 for row in rows])
    scores = {name: held_out(of, times, groups)[groups >= 0] for name, of in features.items()}
    difference = scores["polynomial"] - scores["exponential"]
    return {
        "held_out": held,
        **{name: float(score.sum()) for name, score in scores.items()},
        "difference": float(difference.sum()),
        # one setting says nothing of how much settings differ
        "standard_error": float(difference.std(ddof=1)) * math.sqrt(len(difference)) if len(difference) > 1 else None,
    }
