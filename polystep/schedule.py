"""Values that change over the steps of a run."""

import math
from dataclasses import dataclass
from typing import Protocol


class Schedule(Protocol):
    """A number for every step t = 0, 1, ...; `temperature` is the temperature of that step."""

    def at(self, step: int, temperature: float) -> float:
        """The value at `step`."""
        ...


@dataclass(frozen=True)
class Constant:
    """The same value at every step."""

    value: float

    def at(self, step: int, temperature: float) -> float:
        """value"""
        return self.value


@dataclass(frozen=True)
class ProportionalToTemperature:
    """factor x temperature: what the author's library makes of a radius given as a plain number (method section 5)."""

    factor: float

    def at(self, step: int, temperature: float) -> float:
        """factor x temperature"""
        return self.factor * temperature


@dataclass(frozen=True)
class Linear:
    """start + (end - start) min(t/steps, 1)."""

    start: float
    end: float
    steps: int

    def __post_init__(self) -> None:
        _require_steps(self.steps)

    def at(self, step: int, temperature: float) -> float:
        """start + (end - start) min(t/steps, 1)"""
        return self.start + (self.end - self.start) * min(step / self.steps, 1.0)


@dataclass(frozen=True)
class Cosine:
    """end + (start - end)(1 + cos(pi min(t/steps, 1)))/2 (method section 9)."""

    start: float
    end: float
    steps: int

    def __post_init__(self) -> None:
        _require_steps(self.steps)

    def at(self, step: int, temperature: float) -> float:
        """end + (start - end)(1 + cos(pi min(t/steps, 1)))/2"""
        return self.end + (self.start - self.end) * (1 + math.cos(math.pi * min(step / self.steps, 1.0))) / 2


@dataclass(frozen=True)
class ReversedCosine:
    """`end` at t = 0 and `start` ever after: what the published MAX-SAT runs computed where a cosine was meant.

    Their constructor took its arguments in another order than the call gave them (method section 9).
    """

    start: float
    end: float

    def at(self, step: int, temperature: float) -> float:
        """end if t = 0, else start"""
        return self.end if step == 0 else self.start


@dataclass(frozen=True)
class ScaledToSize:
    """schedule x sqrt(size/reference): radii that were tuned at `reference` parameters, used at `size` (protocol section 6)."""

    schedule: Schedule
    size: int
    reference: int

    def __post_init__(self) -> None:
        if self.size < 1 or self.reference < 1:
            raise ValueError(f"size and reference must be at least 1, got {self.size} and {self.reference}")

    def at(self, step: int, temperature: float) -> float:
        """schedule x sqrt(size/reference)"""
        return self.schedule.at(step, temperature) * math.sqrt(self.size / self.reference)


def as_schedule(value: "float | Schedule", name: str) -> Schedule:
    """A schedule from a number (constant) or a schedule; raises ValueError for numbers that are not finite."""
    if isinstance(value, int | float):
        if not math.isfinite(value):
            raise ValueError(f"{name} must be a finite number or a schedule, got {value}")
        return Constant(float(value))
    return value


def _require_steps(steps: int) -> None:
    if steps < 1:
        raise ValueError(f"a schedule needs at least 1 step, got {steps}")
