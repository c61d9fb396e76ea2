"""Every second is on one clock, every evaluation is charged, and every currency can end a run."""

import math
import warnings
from typing import Any, Protocol, runtime_checkable

import pytest
import torch
from torch import Tensor

from polystep.bench import ledger as ledger_module
from polystep.bench.ledger import Budget, BudgetError, Ledger, MeteredObjective
from polystep.candidates import Candidates, DenseCandidates
from polystep.capabilities import (
    Clauses,
    Environment,
    Gradients,
    capability,
    clauses_of,
    environment_of,
    gradients_of,
)
from polystep.conformance.objectives import QuadraticObjective
from polystep.contracts import Spent
from polystep.evaluation.sharded import Processes, ShardedObjective
from polystep.records import CLOCKS


class Time:
    """A clock that stands still until it is told to move."""

    def __init__(self) -> None:
        self.now = 1000.0

    def perf_counter(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Time:
    time = Time()
    monkeypatch.setattr(ledger_module, "time", time)
    return time


class CompilingObjective:
    """Takes four seconds, three of which it compiles at the first call."""

    def __init__(self, time: Time):
        self.time, self.spent = time, Spent()

    def losses(self, candidates: Candidates) -> Tensor:
        self.time.sleep(4)
        first = not self.spent.candidate_evaluations
        self.spent += Spent(len(candidates), 10 * len(candidates), compilation_seconds=3.0 if first else 0.0)
        return torch.arange(float(len(candidates)))


def clocks(ledger: Ledger) -> dict[str, float]:
    """The clocks that have run."""
    return {name: seconds for name, seconds in ledger.summary()["clocks"].items() if seconds}


def test_clocks_exclude_each_other_and_sum_to_the_wall_time(time: Time) -> None:
    ledger = Ledger()
    time.sleep(1)
    with ledger.clock("optimizer"):
        time.sleep(2)
        with ledger.clock("evaluation"):
            time.sleep(4)
            with ledger.clock("evaluation"):
                time.sleep(8)
        time.sleep(16)
    with pytest.raises(ZeroDivisionError), ledger.clock("validation"):
        time.sleep(32)
        raise ZeroDivisionError
    time.sleep(64)
    assert clocks(ledger) == {"other": 65, "optimizer": 18, "evaluation": 12, "validation": 32}
    summary = ledger.summary()
    assert tuple(summary["clocks"]) == CLOCKS
    assert summary["wall_seconds"] == time.now - 1000 == 127
    assert ledger.step_seconds == 30


def test_a_summary_counts_the_clock_that_is_running(time: Time) -> None:
    ledger = Ledger()
    with ledger.clock("test"):
        time.sleep(5)
        assert clocks(ledger) == {"test": 5}
        assert ledger.summary()["wall_seconds"] == 5


def test_a_metered_objective_charges_what_it_costs_and_moves_compilation(time: Time) -> None:
    ledger = Ledger()
    objective = MeteredObjective(CompilingObjective(time), ledger)
    candidates = DenseCandidates(torch.zeros(3, 2))
    with ledger.clock("optimizer"):
        assert torch.equal(objective.losses(candidates), torch.arange(3.0))
        time.sleep(1)
        objective.losses(candidates)
    assert clocks(ledger) == {"optimizer": 1, "evaluation": 5, "compilation": 3}
    assert ledger.spent == objective.spent == Spent(6, 60, compilation_seconds=3.0)


def test_costs_of_several_objectives_add_up(time: Time) -> None:
    ledger = Ledger()
    for _ in range(3):
        MeteredObjective(CompilingObjective(time), ledger).losses(DenseCandidates(torch.zeros(3, 2)))
    assert ledger.spent == Spent(9, 90, compilation_seconds=9.0)


def test_a_metered_objective_passes_gradients_through_on_the_evaluation_clock(time: Time) -> None:
    class Differentiable(CompilingObjective):
        gradients = ("exact",)

        def gradient(self, point: Tensor, kind: str) -> tuple[Tensor, Tensor]:
            time.sleep(2)
            self.spent += Spent(sample_forwards=10, backward_passes=10)
            return point.sum(), torch.full_like(point, len(kind))

    ledger = Ledger()
    objective = MeteredObjective(Differentiable(time), ledger)
    offered = capability(objective, Gradients)
    assert offered is not None and offered.gradients == ("exact",)
    assert ledger.uses == set()
    with ledger.clock("optimizer"):
        loss, gradient = offered.gradient(torch.ones(3), "exact")
        time.sleep(1)
    assert loss == 3 and gradient.tolist() == [5, 5, 5]
    assert clocks(ledger) == {"optimizer": 1, "evaluation": 2}
    assert ledger.spent == objective.spent == Spent(sample_forwards=10, backward_passes=10)


def test_a_metered_objective_offers_nothing_of_its_own(time: Time) -> None:
    objective = MeteredObjective(CompilingObjective(time), Ledger())
    for kind in (Gradients, Clauses, Environment):
        assert capability(objective, kind) is None


def test_what_a_run_asks_of_its_objectives_is_noted() -> None:
    ledger = Ledger()
    objective = MeteredObjective(QuadraticObjective(), ledger)
    objective.losses(DenseCandidates(torch.zeros(3, 2)))
    assert ledger.uses == {"losses"}
    gradients_of(objective, "smooth").gradient(torch.zeros(2), "smooth")
    assert ledger.uses == {"losses", "gradient:smooth"}
    assert clauses_of(objective).search(lambda clauses: (clauses.variables, Spent(clause_checks=7))) == 76
    environment_of(objective).interact(lambda view: view.make().reset())
    assert ledger.uses == {"losses", "gradient:smooth", "clauses", "environment"}
    assert ledger.spent == Spent(3, backward_passes=1, clause_checks=7)
    resumed = Ledger()
    resumed.restore(ledger.summary())
    assert resumed.uses == ledger.uses


@runtime_checkable
class Odd(Protocol):
    """A capability that this project does not know."""

    def oddness(self, number: int) -> bool: ...


def test_a_capability_of_your_own_passes_every_wrapper(time: Time) -> None:
    class WithOddness(CompilingObjective):
        def oddness(self, number: int) -> bool:
            time.sleep(2)
            self.spent += Spent(clause_checks=number)
            return number % 2 == 1

    ledger = Ledger()
    offered = capability(MeteredObjective(ShardedObjective(WithOddness(time), Processes()), ledger), Odd)
    assert offered is not None and offered.oddness(3) and not offered.oddness(4)
    assert ledger.uses == {"odd"} and ledger.spent == Spent(clause_checks=7) and clocks(ledger) == {"evaluation": 4}
    assert capability(MeteredObjective(CompilingObjective(time), ledger), Odd) is None


def test_compiling_takes_no_more_than_the_evaluation_that_it_is_part_of(time: Time) -> None:
    """Kernels may compile in several threads, whose seconds add up to more."""

    class Threaded(CompilingObjective):
        def losses(self, candidates: Candidates) -> Tensor:
            time.sleep(1)
            self.spent += Spent(1, compilation_seconds=5.0)
            return torch.zeros(1)

    ledger = Ledger()
    MeteredObjective(Threaded(time), ledger).losses(DenseCandidates(torch.zeros(1, 2)))
    assert clocks(ledger) == {"compilation": 1}


def test_a_clock_that_is_set_back_takes_nothing_away(time: Time) -> None:
    ledger = Ledger()
    with ledger.clock("evaluation"):
        time.sleep(3)
        assert ledger.wall_seconds == 3
        time.sleep(-100)
    time.sleep(2)
    assert clocks(ledger) == {"evaluation": 3, "other": 2}


def test_a_failing_evaluation_stops_its_clock(time: Time) -> None:
    ledger = Ledger()
    objective = MeteredObjective(CompilingObjective(time), ledger)
    with pytest.raises(TypeError):
        objective.losses(None)  # type: ignore[arg-type]
    time.sleep(2)
    assert clocks(ledger) == {"evaluation": 4, "other": 2}


def test_a_resumed_run_adds_to_what_was_spent(time: Time) -> None:
    first = Ledger()
    with first.clock("evaluation"):
        time.sleep(3)
    first.spent = Spent(5, 50, 2, 3, 4, 0.5)
    first.peak_memory_bytes = 2**60
    summary = first.summary()
    time.sleep(1000)
    second = Ledger()
    time.sleep(7)
    second.restore(summary)
    second.spent += Spent(1, 10, 1, 1, 1, 0.25)
    with second.clock("evaluation"):
        time.sleep(1)
    assert clocks(second) == {"evaluation": 4, "other": 7}
    assert second.summary()["wall_seconds"] == 11
    assert second.spent == Spent(6, 60, 3, 4, 5, 0.75)
    assert second.summary()["peak_memory_bytes"] == 2**60


def test_seconds_of_processors_add_up_over_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    used = iter([10.0, 13.0, 100.0, 102.0, 107.0])
    monkeypatch.setattr(ledger_module, "_cpu_seconds", lambda: next(used))
    first = Ledger().summary()
    resumed = Ledger()
    resumed.restore(first)
    assert [summary["cpu_seconds"] for summary in (first, resumed.summary(), resumed.summary())] == [3, 5, 10]


def test_peak_memory_is_measured() -> None:
    assert 2**20 < Ledger().summary()["peak_memory_bytes"] < 2**45


LIMITS = {
    "steps": 10,
    "candidate_evaluations": 100,
    "sample_forwards": 1000,
    "backward_passes": 500,
    "clause_checks": 2000,
    "environment_steps": 4000,
    "seconds": 30.0,
}


def used(name: str, amount: float, **limits: Any) -> float:
    """Share of the limits that is used after spending `amount` of one currency."""
    ledger = Ledger()
    if name == "seconds":
        ledger.seconds["optimizer"] = ledger.seconds["evaluation"] = amount / 2
    elif name != "steps":
        ledger.spent = Spent(**{name: int(amount)})
    return Budget(**limits).used(int(amount) if name == "steps" else 0, ledger)


@pytest.mark.parametrize(("name", "limit"), LIMITS.items())
def test_every_currency_is_a_limit(name: str, limit: float) -> None:
    assert used(name, limit, **{name: limit}) == 1
    assert used(name, limit / 2, **{name: limit}) == 0.5
    assert used(name, limit / 2, **LIMITS) == 0.5
    assert all(used(other, amount, **{name: limit}) == 0 for other, amount in LIMITS.items() if other != name)


def test_what_a_step_needs_uses_up_seconds_and_nothing_else() -> None:
    ledger = Ledger()
    for clock in set(CLOCKS) - {"optimizer", "evaluation", "data"}:
        ledger.seconds[clock] = 1000.0
    assert Budget(seconds=1.0).used(0, ledger) == 0
    for clock in ("optimizer", "evaluation", "data"):
        ledger.seconds[clock] = 0.25
    assert Budget(seconds=1.0).used(0, ledger) == 0.75


def test_a_budget_without_limit_is_refused() -> None:
    with pytest.raises(
        ValueError,
        match=r"no limit.*set one of steps, candidate_evaluations, sample_forwards, backward_passes, .*seconds",
    ):
        Budget()


def test_a_budget_of_which_nothing_is_spent_is_refused_with_what_could_limit_the_run() -> None:
    ledger = Ledger()
    ledger.spent = Spent(sample_forwards=10, backward_passes=10)
    budget = Budget(candidate_evaluations=100)
    with pytest.raises(
        BudgetError,
        match=r"spends no candidate_evaluations, .*; limit budget.sample_forwards, budget.backward_passes, budget.steps or",
    ):
        budget.check_use(1, ledger)
    ledger.spent += Spent(candidate_evaluations=1)
    budget.check_use(1, ledger)
    Budget(steps=10).check_use(1, Ledger())


def test_a_budget_of_less_than_one_step_is_told_at_once() -> None:
    ledger = Ledger()
    ledger.spent = Spent(candidate_evaluations=44160)
    with pytest.warns(
        UserWarning, match=r"budget.candidate_evaluations=1,000 is less than one step, which took 44,160;"
    ):
        Budget(candidate_evaluations=1000, steps=9).check_use(1, ledger)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Budget(candidate_evaluations=43000).check_use(1, ledger)
        Budget(candidate_evaluations=1000).check_use(2, ledger)


@pytest.mark.parametrize("name", LIMITS)
@pytest.mark.parametrize("limit", [0, -1, math.inf, math.nan])
def test_a_limit_must_be_positive_and_finite(name: str, limit: float) -> None:
    with pytest.raises(ValueError, match=f"budget.{name} must be a positive number, got {limit}"):
        Budget(**{name: limit})
