"""What a run has spent: currencies, clocks that sum to the wall time, memory; and the limits on them."""

import contextlib
import math
import resource
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, cast, get_args

import torch
from torch import Tensor

from polystep.candidates import Candidates
from polystep.contracts import (
    ClauseView,
    DifferentiableObjective,
    EnvironmentView,
    ExpectedError,
    Found,
    GradientKind,
    Objective,
    Spent,
    clause_objective,
    environment_objective,
)

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

    @property
    def gradients(self) -> Sequence[GradientKind]:
        """The kinds of gradient that the wrapped objective offers."""
        return getattr(self._objective, "gradients", ())

    def losses(self, candidates: Candidates) -> Tensor:
        """The wrapped objective's losses."""
        with self._metered():
            return self._objective.losses(candidates)

    def gradient(self, point: Tensor, kind: GradientKind) -> tuple[Tensor, Tensor]:
        """The wrapped objective's loss and gradient."""
        with self._metered():
            return cast(DifferentiableObjective, self._objective).gradient(point, kind)

    def search(self, solver: Callable[[ClauseView], tuple[Found, Spent]]) -> Found:
        """What `solver` makes of the wrapped objective's clauses."""
        with self._metered():
            return clause_objective(self._objective).search(solver)

    def interact(self, learner: Callable[[EnvironmentView], Found]) -> Found:
        """What `learner` makes of the wrapped objective's environment."""
        with self._metered():
            return environment_objective(self._objective).interact(learner)

    @contextlib.contextmanager
    def _metered(self) -> Iterator[None]:
        before = self._objective.spent
        with self._ledger.clock("evaluation"):
            yield
        cost = self._objective.spent - before
        self._ledger.spent = self._ledger.spent + cost
        self._ledger.move_to_compilation(cost.compilation_seconds)


class BudgetError(ExpectedError):
    """No step of the run uses up any part of its budget, so it would never end."""


@dataclass(frozen=True)
class Budget:
    """Limits of a run; it ends before the first step at which any of them is reached. None: no limit."""

    steps: int | None = None
    candidate_evaluations: int | None = None
    sample_forwards: int | None = None
    backward_passes: int | None = None
    clause_checks: int | None = None
    environment_steps: int | None = None
    seconds: float | None = None

    def __post_init__(self) -> None:
        if not self._limits:
            names = ", ".join(field.name for field in fields(self))
            raise ValueError(f"the budget has no limit, so the run would never end; set one of {names}")
        for name, limit in self._limits.items():
            if not (limit > 0 and math.isfinite(limit)):
                raise ValueError(f"budget.{name} must be a positive number, got {limit}")

    @property
    def _limits(self) -> dict[str, float]:
        limits = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: limit for name, limit in limits.items() if limit is not None}

    def used(self, steps: int, ledger: Ledger) -> float:
        """Largest used share over all limits; the run ends at 1."""
        amounts: dict[str, float] = {"steps": steps, "seconds": ledger.step_seconds, **vars(ledger.spent)}
        return max(amounts[name] / limit for name, limit in self._limits.items())

    def require_use(self, steps: int, ledger: Ledger) -> None:
        """Raise BudgetError where `steps` steps have used up nothing that the budget limits."""
        if self.used(steps, ledger) == 0:
            spent = [name for name, amount in vars(ledger.spent).items() if amount and hasattr(self, name)]
            raise BudgetError(
                f"the optimiser spends no {' and no '.join(self._limits)}, which is all that the budget limits, so the "
                f"run would never end; limit {', '.join(f'budget.{name}' for name in [*spent, 'steps'])} or budget.seconds"
            )


def _peak_memory_bytes() -> int:
    """Peak resident memory of this process, plus peak GPU memory where a GPU was used."""
    resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return resident + (torch.cuda.max_memory_allocated() if torch.cuda.is_initialized() else 0)
