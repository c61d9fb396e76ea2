"""What a run has spent: currencies, clocks that sum to the wall time, memory; and the limits on them."""

import contextlib
import math
import resource
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from polystep.candidates import Candidates
from polystep.contracts import Objective, Spent

Clock = Literal[
    "preparation",
    "optimizer",
    "evaluation",
    "compilation",
    "data",
    "validation",
    "test",
    "logging",
    "checkpoint",
    "other",
]
CLOCKS: tuple[Clock, ...] = get_args(Clock)
STEP_CLOCKS: tuple[Clock, ...] = ("optimizer", "evaluation")


class Ledger:
    """Clocks and currencies of one run, continued when the run is resumed.

    Exactly one clock runs at a time, so the clocks sum to the wall time; time that was lost with an interrupted process is
    in none of them.
    """

    def __init__(self) -> None:
        self.seconds: dict[Clock, float] = dict.fromkeys(CLOCKS, 0.0)
        self.spent = Spent()
        self.peak_memory_bytes = 0
        self._running: list[Clock] = ["other"]
        self._since = time.perf_counter()

    @contextlib.contextmanager
    def clock(self, name: Clock) -> Iterator[None]:
        """Charge the time inside to `name` instead of to the clock that ran before."""
        self._charge()
        self._running.append(name)
        try:
            yield
        finally:
            self._charge()
            self._running.pop()

    def move_to_compilation(self, seconds: float) -> None:
        """Seconds that ran on the evaluation clock but were spent on compiling."""
        self.seconds["evaluation"] -= seconds
        self.seconds["compilation"] += seconds

    @property
    def step_seconds(self) -> float:
        """Seconds of optimiser and evaluation: what budgets in seconds limit."""
        return sum((self.seconds[name] for name in STEP_CLOCKS), 0.0)

    @property
    def wall_seconds(self) -> float:
        """Seconds on all clocks until now."""
        self._charge()
        return sum(self.seconds.values())

    def summary(self) -> dict[str, Any]:
        """Everything in JSON values."""
        wall_seconds = self.wall_seconds
        self.peak_memory_bytes = max(self.peak_memory_bytes, _peak_memory_bytes())
        return {
            "spent": asdict(self.spent),
            "clocks": dict(self.seconds),
            "wall_seconds": wall_seconds,
            "peak_memory_bytes": self.peak_memory_bytes,
        }

    def restore(self, summary: dict[str, Any]) -> None:
        """Add what an earlier process of the same run had spent."""
        self.spent = self.spent + Spent(**summary["spent"])
        for name, seconds in summary["clocks"].items():
            self.seconds[name] += seconds
        self.peak_memory_bytes = max(self.peak_memory_bytes, summary["peak_memory_bytes"])

    def _charge(self) -> None:
        now = time.perf_counter()
        self.seconds[self._running[-1]] += now - self._since
        self._since = now


class MeteredObjective:
    """An objective whose evaluations run on the ledger's evaluation clock and are charged to it."""

    def __init__(self, objective: Objective, ledger: Ledger):
        self._objective, self._ledger = objective, ledger

    @property
    def spent(self) -> Spent:
        """What the wrapped objective has cost."""
        return self._objective.spent

    def losses(self, candidates: Candidates) -> Tensor:
        """The wrapped objective's losses."""
        before = self._objective.spent
        with self._ledger.clock("evaluation"):
            losses = self._objective.losses(candidates)
        cost = self._objective.spent - before
        self._ledger.spent = self._ledger.spent + cost
        self._ledger.move_to_compilation(cost.compilation_seconds)
        return losses


@dataclass(frozen=True)
class Budget:
    """Limits of a run; it ends before the first step at which any of them is reached. None: no limit."""

    steps: int | None = None
    candidate_evaluations: int | None = None
    sample_forwards: int | None = None
    seconds: float | None = None

    def __post_init__(self) -> None:
        limits = {field.name: getattr(self, field.name) for field in fields(self)}
        if all(limit is None for limit in limits.values()):
            raise ValueError(f"the budget has no limit, so the run would never end; set one of {', '.join(limits)}")
        for name, limit in limits.items():
            if limit is not None and not (limit > 0 and math.isfinite(limit)):
                raise ValueError(f"budget.{name} must be a positive number, got {limit}")

    def used(self, steps: int, ledger: Ledger) -> float:
        """Largest used share over all limits; the run ends at 1."""
        amounts = {
            "steps": steps,
            "seconds": ledger.step_seconds,
            "candidate_evaluations": ledger.spent.candidate_evaluations,
            "sample_forwards": ledger.spent.sample_forwards,
        }
        shares = [
            amount / float(getattr(self, name)) for name, amount in amounts.items() if getattr(self, name) is not None
        ]
        return max(shares)


def _peak_memory_bytes() -> int:
    """Peak resident memory of this process, plus peak GPU memory where a GPU was used."""
    resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return resident + (torch.cuda.max_memory_allocated() if torch.cuda.is_initialized() else 0)
