"""Values that change over a run: functions of the used share of its budget, or, for published settings, of the step."""

import math
from dataclasses import dataclass
from numbers import Real
from typing import Protocol

from polystep.component import component


@dataclass(frozen=True)
class Moment:
    """Where a run is before a step: t = 0, 1, ...; the share of the budget that is used, 0 to 1; the temperature, if any."""

    step: int
    used: float
    temperature: float | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.used <= 1:
            raise ValueError(f"the used share of the budget must lie in [0, 1], got {self.used}")


class Schedule(Protocol):
    """A number for every moment of a run."""

    def at(self, now: Moment) -> float:
        """The value of the step that begins now."""
        ...


@component("constant", version=1)
@dataclass(frozen=True)
class Constant:
    """The same value throughout."""

    value: float

    def at(self, now: Moment) -> float:
        """value"""
        return self.value


@component("linear", version=1)
@dataclass(frozen=True)
class Linear:
    """start + (end - start) used: from `start` to `end` over the budget, whatever it counts."""

    start: float
    end: float

    def at(self, now: Moment) -> float:
        """start + (end - start) used"""
        return _linear(self.start, self.end, now.used)


@component("cosine", version=1)
@dataclass(frozen=True)
class Cosine:
    """end + (start - end)(1 + cos(pi used))/2: from `start` to `end` over the budget, whatever it counts."""

    start: float
    end: float

    def at(self, now: Moment) -> float:
        """end + (start - end)(1 + cos(pi used))/2"""
        return _cosine(self.start, self.end, now.used)


@component("geometric", version=1)
@dataclass(frozen=True)
class Geometric:
    """start (end/start)^used: from `start` to `end`, both above 0, by the same factor for every share of the budget."""

    start: float
    end: float

    def __post_init__(self) -> None:
        if not (self.start > 0 and self.end > 0):
            raise ValueError(f"start and end must be above 0, got {self.start} and {self.end}")

    def at(self, now: Moment) -> float:
        """start (end/start)^used"""
        return float(self.start * (self.end / self.start) ** now.used)


@component("linear_over_steps", version=1)
@dataclass(frozen=True)
class LinearOverSteps:
    """start + (end - start) min(t/steps, 1), of published settings."""

    start: float
    end: float
    steps: int

    def __post_init__(self) -> None:
        _require_steps(self.steps)

    def at(self, now: Moment) -> float:
        """start + (end - start) min(t/steps, 1)"""
        return _linear(self.start, self.end, min(now.step / self.steps, 1.0))


@component("cosine_over_steps", version=1)
@dataclass(frozen=True)
class CosineOverSteps:
    """end + (start - end)(1 + cos(pi min(t/steps, 1)))/2, of published settings."""

    start: float
    end: float
    steps: int

    def __post_init__(self) -> None:
        _require_steps(self.steps)

    def at(self, now: Moment) -> float:
        """end + (start - end)(1 + cos(pi min(t/steps, 1)))/2"""
        return _cosine(self.start, self.end, min(now.step / self.steps, 1.0))


@component("reversed_cosine", version=1)
@dataclass(frozen=True)
class ReversedCosine:
    """`end` at t = 0 and `start` ever after: what the published MAX-SAT runs computed where a cosine was meant.

    Their constructor took its arguments in another order than the call gave them.
    """

    start: float
    end: float

    def at(self, now: Moment) -> float:
        """end if t = 0, else start"""
        return self.end if now.step == 0 else self.start


@component("cosine_of_default_length", version=1)
@dataclass(frozen=True)
class CosineOfDefaultLength:
    """scale (end + (start - end)(1 + cos(pi min(t/T, 1)))/2) with scale = sqrt(size/reference), T = scale (start - end)/0.01.

    T is rounded up and at least 1: the length that the author's library gives a cosine that is told none, so that it falls by
    0.01 a step on average however long the run is. Published MAX-SAT runs of the revised edition used it.
    """

    start: float
    end: float
    size: int = 1
    reference: int = 1

    def __post_init__(self) -> None:
        _require_sizes(self.size, self.reference)

    @property
    def steps(self) -> int:
        """T"""
        return max(1, math.ceil(self._scale * (self.start - self.end) / 0.01))

    def at(self, now: Moment) -> float:
        """The formula above."""
        return self._scale * _cosine(self.start, self.end, min(now.step / self.steps, 1.0))

    @property
    def _scale(self) -> float:
        return math.sqrt(self.size / self.reference)


@component("power_decay", version=1)
@dataclass(frozen=True)
class PowerDecay:
    """start (t + 1)^-(1/2 + gamma): its sum diverges and the sum of its squares does not, as stochastic approximation asks.

    0 < gamma <= 1/2. Source: Robbins and Monro, A Stochastic Approximation Method (1951), for the two sums.
    """

    start: float
    gamma: float = 0.1

    def __post_init__(self) -> None:
        if not 0 < self.gamma <= 0.5:
            raise ValueError(f"gamma must lie in (0, 0.5], got {self.gamma}")

    def at(self, now: Moment) -> float:
        """start (t + 1)^-(1/2 + gamma)"""
        return float(self.start * (now.step + 1) ** -(0.5 + self.gamma))


@component("proportional_to_temperature", version=1)
@dataclass(frozen=True)
class ProportionalToTemperature:
    """factor x temperature: what the author's library makes of a radius given as a plain number."""

    factor: float

    def at(self, now: Moment) -> float:
        """factor x temperature; ValueError where the method has no temperature."""
        if now.temperature is None:
            raise ValueError("a value proportional to the temperature needs a method that has one, such as PolyStep")
        return self.factor * now.temperature


@component("scaled_to_size", version=1)
@dataclass(frozen=True)
class ScaledToSize:
    """schedule x sqrt(size/reference): radii that were tuned at `reference` parameters, used at `size`."""

    schedule: Schedule
    size: int
    reference: int

    def __post_init__(self) -> None:
        _require_sizes(self.size, self.reference)

    def at(self, now: Moment) -> float:
        """schedule x sqrt(size/reference)"""
        return self.schedule.at(now) * math.sqrt(self.size / self.reference)


def as_schedule(value: "float | Schedule", name: str) -> Schedule:
    """A schedule from a finite number (constant) or a schedule; raises ValueError for anything else."""
    if isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value):
        return Constant(float(value))
    if not hasattr(value, "at"):
        raise ValueError(f"{name} must be a finite number or a schedule, got {value!r}")
    return value


def _linear(start: float, end: float, share: float) -> float:
    return start + (end - start) * share


def _cosine(start: float, end: float, share: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * share)) / 2


def _require_sizes(size: int, reference: int) -> None:
    if size < 1 or reference < 1:
        raise ValueError(f"size and reference must be at least 1, got {size} and {reference}")


def _require_steps(steps: int) -> None:
    if steps < 1:
        raise ValueError(f"a schedule needs at least 1 step, got {steps}")
