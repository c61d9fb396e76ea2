"""Adam on the gradients of an objective."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from baselines.adam import Adam
from polystep.ask_tell import NonFiniteLossError
from polystep.bench.composition import compose_config
from polystep.bench.launch import build_run
from polystep.bench.ledger import BudgetError
from polystep.candidates import Candidates
from polystep.capabilities import CapabilityUnavailable
from polystep.conformance import check_optimizer
from polystep.conformance.objectives import QuadraticObjective
from polystep.contracts import Spent
from polystep.layout import ParameterLayout
from polystep.schedule import Cosine, LinearOverSteps, Moment

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
LAYOUT = ParameterLayout({"weight": (2, 3)})


def adam(point: Tensor | None = None, **settings: Any) -> Adam:
    return Adam(LAYOUT, torch.linspace(-1, 1, 6) if point is None else point, 0, **settings)


class Bowl:
    """f(x) = sum_i i x_i^2 / 2, with other gradients for other kinds."""

    gradients = ("surrogate", "smooth")

    def __init__(self) -> None:
        self.spent, self.asked = Spent(), []

    def losses(self, candidates: Candidates) -> Tensor:
        raise AssertionError("Adam needs no candidates")

    def gradient(self, point: Tensor, kind: str) -> tuple[Tensor, Tensor]:
        self.asked.append(kind)
        slopes = torch.arange(6.0) * (1 if kind == "surrogate" else -1)
        return (slopes * point.square()).sum() / 2, slopes * point


@pytest.mark.parametrize("settings", [{}, {"weight_decay": 0.1}, {"learning_rate": Cosine(0.1, 0.0), "beta1": 0.5}])
def test_it_obeys_the_contract(settings: dict[str, Any]) -> None:
    check_optimizer(lambda **arguments: Adam(**arguments, **settings))


@pytest.mark.parametrize("weight_decay", [0.0, 0.3])
def test_it_is_adam_with_decoupled_decay(weight_decay: float) -> None:
    optimizer = adam(gradient="surrogate", learning_rate=LinearOverSteps(0.1, 0.02, 4), beta1=0.8, beta2=0.9, epsilon=1e-3,
                     weight_decay=weight_decay)  # fmt: skip
    point, first, second = torch.linspace(-1, 1, 6).double(), torch.zeros(6).double(), torch.zeros(6).double()
    for step in range(1, 8):
        report = optimizer.step(Bowl(), 0.0)
        gradient = torch.arange(6.0) * point
        assert report.loss == pytest.approx(float((gradient * point).sum()) / 2)
        assert report.diagnostics["gradient_norm"] == pytest.approx(float(gradient.norm()), rel=1e-5)
        first, second = 0.8 * first + 0.2 * gradient, 0.9 * second + 0.1 * gradient**2
        direction = first / (1 - 0.8**step) / ((second / (1 - 0.9**step)).sqrt() + 1e-3)
        point = point - LinearOverSteps(0.1, 0.02, 4).at(Moment(step - 1, 0.0)) * (direction + weight_decay * point)
        torch.testing.assert_close(optimizer.solution.double(), point, rtol=1e-5, atol=1e-6)


def test_it_minimises() -> None:
    optimizer, objective = adam(learning_rate=0.05), QuadraticObjective()
    losses = [optimizer.step(objective, 0.0).loss for _ in range(300)]
    assert losses[-1] is not None and losses[-1] < 1e-6


def test_it_asks_for_its_kind_of_gradient_alone() -> None:
    objective = Bowl()
    adam(gradient="smooth").step(objective, 0.0)
    assert objective.asked == ["smooth"] and objective.spent == Spent()


def test_a_state_is_independent_of_later_steps() -> None:
    optimizer, objective = adam(), QuadraticObjective()
    optimizer.step(objective, 0.0)
    state = optimizer.state_dict()
    ends = []
    for restored in (optimizer, adam(), adam()):
        restored.load_state_dict(state)
        for _ in range(3):
            restored.step(objective, 0.0)
        ends.append(restored.solution)
    assert torch.equal(ends[0], ends[1]) and torch.equal(ends[1], ends[2])


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (
            "exact",
            "no exact gradient; use optimizer=adam_surrogate or optimizer=adam_smooth or a gradient-free optimiser",
        ),
        ("straight_through", "no straight_through gradient; use optimizer=adam_surrogate or "),
    ],
)
def test_a_missing_gradient_is_refused_with_the_alternatives(kind: Any, message: str) -> None:
    optimizer = adam(gradient=kind)
    with pytest.raises(CapabilityUnavailable, match=message):
        optimizer.step(Bowl(), 0.0)
    assert torch.equal(optimizer.solution, torch.linspace(-1, 1, 6))


def test_an_objective_without_gradients_is_refused() -> None:
    class Losses:
        spent = Spent()

        def losses(self, candidates: Candidates) -> Tensor:
            return torch.zeros(len(candidates))

    with pytest.raises(CapabilityUnavailable, match="no exact gradient; use a gradient-free optimiser such as"):
        adam().step(Losses(), 0.0)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"beta1": 1.0}, r"beta1 must lie in \[0, 1\), got 1.0"),
        ({"beta2": -0.1}, r"beta2 must lie in \[0, 1\), got -0.1"),
        ({"epsilon": 0.0}, "epsilon must be a number above 0, got 0.0"),
        ({"weight_decay": -1.0}, "weight_decay must be a number of at least 0, got -1.0"),
        ({"weight_decay": float("nan")}, "weight_decay must be a number of at least 0, got nan"),
        ({"learning_rate": 0.0}, "learning_rate must be a number above 0, got 0.0"),
    ],
)
def test_bad_settings_are_named(settings: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        adam(**settings)


def test_a_gradient_that_is_not_finite_ends_the_run_and_moves_nothing() -> None:
    optimizer = adam(torch.full((6,), float("inf")), gradient="surrogate")
    with pytest.raises(NonFiniteLossError, match="the surrogate gradient of step 0 is NaN or infinite; reduce"):
        optimizer.step(Bowl(), 0.0)
    assert optimizer.solution.isinf().all() and optimizer.state_dict()["step"] == 0


def test_a_point_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match=r"point must have shape \(6,\)"):
        adam(torch.zeros(5))


Start = Callable[..., Any]


@pytest.fixture
def start(tmp_path: Path) -> Start:
    """Execute a short run on the digits."""
    small = ["task.batch_size=100", "task.network.hidden=8", "evaluation.validate_every=2", "threads=1"]
    return lambda *overrides: build_run(*compose_config(CONFIGS, [*small, f"records={tmp_path}", *overrides])).execute()


def test_a_run_without_its_gradient_ends_before_training_and_leaves_no_record(start: Start, tmp_path: Path) -> None:
    with pytest.raises(CapabilityUnavailable, match="the task offers no exact gradient; use optimizer=adam_surrogate"):
        start("task=snn_digits", "optimizer=adam", "budget.steps=4")
    assert not list(tmp_path.rglob("*.json")) and not list(tmp_path.rglob("*.safetensors"))


def test_a_run_that_can_spend_nothing_of_its_budget_ends(start: Start, tmp_path: Path) -> None:
    with pytest.raises(
        BudgetError, match=r"spends no candidate_evaluations, .* budget\.backward_passes, budget\.steps or"
    ):
        start(
            *("task=snn_digits", "optimizer=adam_surrogate", "optimizer.learning_rate=0.001"),
            *("budget.steps=null", "budget.candidate_evaluations=1000"),
        )
    assert not list(tmp_path.rglob("*.json"))


def test_a_run_is_limited_by_backward_passes(start: Start) -> None:
    outcome = start(
        *("task=snn_digits", "optimizer=adam_surrogate", "optimizer.learning_rate=0.01"),
        *("budget.steps=null", "budget.backward_passes=300"),
    )
    assert outcome.record.counters["steps"] == 3
    spent = outcome.record.counters
    assert (spent["candidate_evaluations"], spent["sample_forwards"], spent["backward_passes"]) == (0, 300, 300)
