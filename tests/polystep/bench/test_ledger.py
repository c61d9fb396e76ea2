"""Every second is on one clock, every evaluation is charged, and every currency can end a run."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from polystep.bench import ledger as ledger_module
from polystep.bench.ledger import CLOCKS, Budget, BudgetError, Ledger, MeteredObjective
from polystep.candidates import Candidates, DenseCandidates
from polystep.contracts import Spent


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
    assert objective.gradients == ("exact",)
    with ledger.clock("optimizer"):
        loss, gradient = objective.gradient(torch.ones(3), "exact")
        time.sleep(1)
    assert loss == 3 and gradient.tolist() == [5, 5, 5]
    assert clocks(ledger) == {"optimizer": 1, "evaluation": 2}
    assert ledger.spent == objective.spent == Spent(sample_forwards=10, backward_passes=10)


def test_a_metered_objective_offers_no_gradients_of_its_own(time: Time) -> None:
    assert MeteredObjective(CompilingObjective(time), Ledger()).gradients == ()


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


def test_only_optimiser_and_evaluation_use_up_seconds() -> None:
    ledger = Ledger()
    for clock in set(CLOCKS) - {"optimizer", "evaluation"}:
        ledger.seconds[clock] = 1000.0
    assert Budget(seconds=1.0).used(0, ledger) == 0


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
        budget.require_use(1, ledger)
    ledger.spent += Spent(candidate_evaluations=1)
    budget.require_use(1, ledger)
    Budget(steps=10).require_use(1, Ledger())


@pytest.mark.parametrize("name", LIMITS)
@pytest.mark.parametrize("limit", [0, -1, math.inf, math.nan])
def test_a_limit_must_be_positive_and_finite(name: str, limit: float) -> None:
    with pytest.raises(ValueError, match=f"budget.{name} must be a positive number, got {limit}"):
        Budget(**{name: limit})
