"""Conditions on scores, judged by an interval over seeds: met, not met, or undecided; never met on missing data."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from polystep.bench.claims.evidence import Evidence, Score
from polystep.bench.quantities import Estimate


class Verdict(StrEnum):
    """What records say about a statement."""

    HOLDS = "holds"
    FAILS = "does not hold"
    UNDECIDED = "undecided"
    NOT_RUN = "not run"


@dataclass(frozen=True)
class Condition:
    """at_least - tolerance <= score - minus <= at_most + tolerance; the bounds and `minus` may be missing.

    `minus_published`: the published score of the same seed at the same step is subtracted. `label`: what readers should see as
    what is compared; else it is made of the names.
    """

    score: Score
    minus: Score | None = None
    minus_published: bool = False
    label: str = ""
    at_least: float | None = None
    at_most: float | None = None
    tolerance: float = 0.0

    def __str__(self) -> str:
        """What is compared."""
        if self.label:
            return self.label
        if self.minus_published:
            return f"{self.score} minus published, seed by seed"
        if self.minus is None:
            return str(self.score)
        if self.minus.task == self.score.task and self.minus.method != self.score.method:
            return f"{self.score.method} minus {self.minus}"
        return f"{self.score} minus {self.minus}"

    @property
    def bounds(self) -> tuple[float, float]:
        """Lowest and highest value that meet the condition."""
        lowest = -math.inf if self.at_least is None else self.at_least - self.tolerance
        return lowest, math.inf if self.at_most is None else self.at_most + self.tolerance

    def published(self) -> float | None:
        """The published value of what is compared; None where nothing is published for one side."""
        value = self.score.published_value()
        if value is None or (self.minus is None and not self.minus_published):
            return value
        other = value if self.minus is None else self.minus.published_value()
        return None if other is None else value - other

    def admits(self, value: float) -> bool:
        """Whether the value is within the bounds."""
        lowest, highest = self.bounds
        return lowest <= value <= highest


@dataclass(frozen=True)
class Outcome:
    """A condition under one study, and what the records say about it.

    value: mean over seeds with its interval; None where the data is not complete. by_seed: the values. reasons: why nothing
    was decided, else empty. runs: names of the runs behind it.
    """

    condition: Condition
    verdict: Verdict
    value: Estimate | None
    by_seed: tuple[tuple[int, float], ...]
    reasons: tuple[str, ...]
    runs: tuple[str, ...]

    @property
    def margin(self) -> float:
        """Distance of the value to the closer bound, negative outside; infinite where there is no value."""
        if self.value is None or self.value.value is None:
            return math.inf
        lowest, highest = self.condition.bounds
        return min(self.value.value - lowest, highest - self.value.value)


def judge(condition: Condition, evidence: Evidence, study: str, seeds: Sequence[int]) -> Outcome:
    """The condition on complete runs of exactly `seeds`: other seeds, and runs with less of a budget, never count.

    The value is the mean over seeds (of the difference seed by seed, where two scores are compared) with its 95 % interval.
    It is met where the whole interval is within the bounds and not met where the whole interval is outside; one seed gives no
    interval and decides nothing.
    """
    measured = evidence.measure(condition.score, study, seeds)
    sides = [measured]
    if condition.minus:
        sides.append(evidence.measure(condition.minus, study, seeds))
    elif condition.minus_published:
        sides.append(evidence.published(condition.score, measured.unit, seeds))
    runs = tuple(name for side in sides for name in side.runs)
    if missing := [side.missing for side in sides if side.missing]:
        verdict = Verdict.UNDECIDED if any(side.touched for side in sides) else Verdict.NOT_RUN
        return Outcome(condition, verdict, None, (), tuple(dict.fromkeys(missing)), runs)
    if len({side.unit for side in sides}) > 1:
        return Outcome(condition, Verdict.UNDECIDED, None, (), (f"{condition}: their metrics differ",), runs)
    values: Mapping[int, float] = measured.by_seed
    if len(sides) > 1:
        values = {seed: value - sides[1].by_seed[seed] for seed, value in values.items()}
    unit = f"difference of {measured.unit}" if len(sides) > 1 else measured.unit
    estimate = mean_with_interval(list(values.values()), unit)
    verdict, reasons = _decide(condition, estimate)
    return Outcome(condition, verdict, estimate, tuple(values.items()), reasons, runs)


def mean_with_interval(values: Sequence[float], unit: str) -> Estimate:
    """Mean and its 95 % interval by Student's t, mean ± t(0.975, n - 1) s / sqrt(n); no interval from one value.

    With few seeds it is wide, as it should be, where a bootstrap cannot pass the extremes that were seen.
    """
    mean = math.fsum(values) / len(values)
    if len(values) < 2:
        return Estimate(mean, None, None, unit)
    from scipy.stats import t

    variance = math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1)
    half = float(t.ppf(0.975, len(values) - 1)) * math.sqrt(variance / len(values))
    return Estimate(mean, mean - half, mean + half, unit)


def _decide(condition: Condition, estimate: Estimate) -> tuple[Verdict, tuple[str, ...]]:
    if estimate.low is None or estimate.high is None:
        return Verdict.UNDECIDED, (f"{condition}: one seed gives no interval",)
    lowest, highest = condition.bounds
    # rounding must not turn a value that equals a bound into one beyond it
    slack = 1e-12 * max(1.0, *(abs(bound) for bound in (lowest, highest) if math.isfinite(bound)))
    if lowest - slack <= estimate.low and estimate.high <= highest + slack:
        return Verdict.HOLDS, ()
    if estimate.high < lowest - slack or estimate.low > highest + slack:
        return Verdict.FAILS, ()
    return Verdict.UNDECIDED, (f"{condition}: the interval contains the bound",)
