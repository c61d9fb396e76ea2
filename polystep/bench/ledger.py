"""What a run has spent: counters, clocks that sum to the wall time, memory; and the limits on them."""

import contextlib
import math
import resource
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, fields
from typing import Any, cast

import torch
from torch import Tensor

from polystep.candidates import Candidates
from polystep.capabilities import Gradients, Offered, capability
from polystep.contracts import ExpectedError, Objective, Spent
from polystep.records.record import CLOCKS, STEP_CLOCKS, TOO_MUCH, Clock


class Ledger:
    """Clocks and counters of one run, continued when the run is resumed.

    Exactly one clock runs at a time, so the clocks sum to the wall time; time that was lost with an interrupted process is
    in none of them.
    """

    def __init__(self) -> None:
        self.seconds: dict[Clock, float] = dict.fromkeys(CLOCKS, 0.0)
        self.spent = Spent()
        self.uses: set[str] = set()
        self.peak_memory_bytes = 0
        self.cpu_seconds = 0.0
        self._cpu_since = _cpu_seconds()
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

    def charge(self, use: str, cost: Spent, seconds: float) -> None:
        """What a use of an objective cost; `seconds` of it ran on the evaluation clock, those of compiling among them."""
        self.spent += cost
        self.uses.add(use)
        if cost.backward_passes and not use.startswith("gradient"):
            # a learner that acts in the environment and differentiates its policy
            self.uses.add("gradient:policy")
        compiling = min(cost.compilation_seconds, seconds)
        self.seconds["evaluation"] -= compiling
        self.seconds["compilation"] += compiling

    @property
    def step_seconds(self) -> float:
        """Seconds of STEP_CLOCKS, everything that steps need: what budgets in seconds limit."""
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
        now = _cpu_seconds()
        self.cpu_seconds, self._cpu_since = self.cpu_seconds + now - self._cpu_since, now
        return {
            "spent": asdict(self.spent),
            "uses": sorted(self.uses),
            "clocks": dict(self.seconds),
            "wall_seconds": wall_seconds,
            "cpu_seconds": self.cpu_seconds,
            "peak_memory_bytes": self.peak_memory_bytes,
        }

    def restore(self, summary: dict[str, Any]) -> None:
        """Add what an earlier process of the same run had spent."""
        self.spent += Spent(**summary["spent"])
        self.uses |= set(summary["uses"])
        for name, seconds in summary["clocks"].items():
            self.seconds[name] += seconds
        self.cpu_seconds += summary["cpu_seconds"]
        self.peak_memory_bytes = max(self.peak_memory_bytes, summary["peak_memory_bytes"])

    def _charge(self) -> None:
        now = time.perf_counter()
        # a clock that is set back takes nothing away
        self.seconds[self._running[-1]] += max(0.0, now - self._since)
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
        with self._metered("losses"):
            return self._objective.losses(candidates)

    def capability(self, kind: type[Offered]) -> Offered | None:
        """What the wrapped objective offers of a kind, with every call metered."""
        found = capability(self._objective, kind)
        return None if found is None else cast(Offered, _MeteredCalls(found, kind, self._metered))

    @contextlib.contextmanager
    def _metered(self, use: str) -> Iterator[None]:
        spent, seconds = self._objective.spent, self._ledger.seconds["evaluation"]
        with self._ledger.clock("evaluation"):
            yield
        self._ledger.charge(use, self._objective.spent - spent, self._ledger.seconds["evaluation"] - seconds)


class _MeteredCalls:
    """What an objective offers, each call of which is metered."""

    def __init__(self, offered: object, kind: type, metered: Callable[[str], contextlib.AbstractContextManager[None]]):
        self._offered, self._kind, self._metered = offered, kind, metered

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._offered, name)
        if not callable(found):
            return found

        def call(*arguments: Any) -> Any:
            with self._metered(f"gradient:{arguments[1]}" if self._kind is Gradients else self._kind.__name__.lower()):
                return found(*arguments)

        return call


class BudgetError(ExpectedError):
    """The first step of the run used up no part of its budget, so it may never end."""


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
        return max(self._shares(steps, ledger).values())

    def _shares(self, steps: int, ledger: Ledger) -> dict[str, float]:
        amounts: dict[str, float] = {"steps": steps, "seconds": ledger.step_seconds, **vars(ledger.spent)}
        return {name: amounts[name] / limit for name, limit in self._limits.items()}

    def check_use(self, steps: int, ledger: Ledger) -> None:
        """Raise BudgetError where `steps` steps have used up nothing that the budget limits; warn where the first one has used
        more than all of it.
        """
        shares = self._shares(steps, ledger)
        name, share = max(shares.items(), key=lambda item: item[1])
        if steps == 1 and share > TOO_MUCH:
            warnings.warn(
                f"budget.{name}={_amount(self._limits[name])} is less than one step, which took "
                f"{_amount(share * self._limits[name])}; comparisons of equal budgets leave such runs out, so raise "
                f"budget.{name}",
                stacklevel=2,
            )
        if share == 0:
            spent = [name for name, amount in vars(ledger.spent).items() if amount and hasattr(self, name)]
            raise BudgetError(
                f"the first step spends no {' and no '.join(self._limits)}, which is all that the budget limits, so the run "
                f"may never end; limit {', '.join(f'budget.{name}' for name in [*spent, 'steps'])} or budget.seconds"
            )


def _amount(number: float) -> str:
    return f"{number:,.0f}" if number >= 100 else f"{number:.3g}"


def _cpu_seconds() -> float:
    """Seconds of processors that this process has used, on all its threads, and its children."""
    own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def _peak_memory_bytes() -> int:
    """Peak resident memory of this process, plus peak GPU memory where a GPU was used."""
    # macOS counts bytes, others kilobytes
    resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return resident + (torch.cuda.max_memory_allocated() if torch.cuda.is_initialized() else 0)
