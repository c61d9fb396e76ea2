"""The conformance checks pass what obeys its contract, and say what is violated otherwise."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from polystep.candidates import DenseCandidates
from polystep.capabilities import GradientKind
from polystep.conformance import check_optimizer, check_task
from polystep.contracts import Metric, Objective, State, StepReport
from polystep.evaluation.functional import FunctionalEvaluator
from polystep.evaluation.gradients import GradientEvaluator
from polystep.evaluation.objective import BatchObjective
from polystep.layout import ParameterLayout
from polystep.random import named_generator


class Regression:
    """Least squares on fresh random rows."""

    metric = Metric("loss", "minimize", "")
    fingerprint = "none"
    steps_per_epoch = 1
    objective_class: type[BatchObjective] = BatchObjective

    def __init__(self, seed: int):
        module = nn.Linear(3, 2, device="meta").to_empty(device="cpu")
        self.layout = ParameterLayout.of_module(module)
        self._evaluator = FunctionalEvaluator(module, F.mse_loss)
        self._differentiator = GradientEvaluator({"exact": module, "smooth": module}, F.mse_loss, self.layout)
        self._seed, self._step = seed, 0

    def initial_point(self, seed: int) -> Tensor:
        return torch.randn(self.layout.size, generator=named_generator(seed, "start"))

    def next_objective(self) -> BatchObjective:
        rows = torch.randn(6, 5, generator=named_generator(self._seed, "rows", self._step))
        self._step += 1
        return self.objective_class(self._evaluator, rows[:, :3], rows[:, 3:], self._differentiator)

    def validate(self, point: Tensor) -> float:
        return float(point.sum())

    test = validate

    def state_dict(self) -> State:
        return {"step": self._step}

    def load_state_dict(self, state: State) -> None:
        self._step = state["step"]


def test_gradients_of_a_good_task_pass() -> None:
    check_task(Regression)


class WrongLoss(BatchObjective):
    def gradient(self, point: Tensor, kind: GradientKind) -> tuple[Tensor, Tensor]:
        loss, gradient = super().gradient(point, kind)
        return loss + 1, gradient


class WrongSmoothLoss(WrongLoss):
    @property
    def gradients(self) -> tuple[GradientKind, ...]:
        return ("smooth",)


class WrongShape(BatchObjective):
    def gradient(self, point: Tensor, kind: GradientKind) -> tuple[Tensor, Tensor]:
        loss, gradient = super().gradient(point, kind)
        return loss, gradient[1:]


class NotFinite(BatchObjective):
    def gradient(self, point: Tensor, kind: GradientKind) -> tuple[Tensor, Tensor]:
        loss, gradient = super().gradient(point, kind)
        return loss, gradient / 0


class Free(BatchObjective):
    def gradient(self, point: Tensor, kind: GradientKind) -> tuple[Tensor, Tensor]:
        before = self.spent
        result = super().gradient(point, kind)
        self.spent = before
        return result


@pytest.mark.parametrize(
    ("objective", "message"),
    [
        (WrongLoss, "the exact gradient belongs to a loss of"),
        (WrongShape, "the exact gradient has shape"),
        (NotFinite, "the exact gradient at the initial point is not finite"),
        (Free, "the exact gradient charged no backward passes"),
    ],
)
def test_gradients_that_break_the_contract_are_found(objective: type[BatchObjective], message: str) -> None:
    task = type("Task", (Regression,), {"objective_class": objective})
    with pytest.raises(AssertionError, match=message):
        check_task(task)


def test_a_smooth_gradient_may_belong_to_another_loss() -> None:
    check_task(type("Task", (Regression,), {"objective_class": WrongSmoothLoss}))


class Idle:
    """Never asks for anything."""

    def __init__(self, layout: ParameterLayout, point: Tensor, seed: int):
        self.solution = point

    def step(self, objective: Objective, used: float) -> StepReport:
        return StepReport(None)

    def state_dict(self) -> State:
        return {}

    def load_state_dict(self, state: State) -> None:
        pass


def test_an_optimizer_that_evaluates_nothing_is_found() -> None:
    with pytest.raises(AssertionError, match="neither candidates nor gradients"):
        check_optimizer(Idle)


class Descent(Idle):
    """Plain gradient descent: its seed may change nothing."""

    def step(self, objective: Any, used: float) -> StepReport:
        loss, gradient = objective.gradient(self.solution, "exact")
        self.solution = self.solution - 0.1 * gradient
        return StepReport(float(loss))

    def state_dict(self) -> State:
        return {"point": self.solution}

    def load_state_dict(self, state: State) -> None:
        self.solution = state["point"]


def test_an_optimizer_that_follows_gradients_alone_needs_no_seed() -> None:
    check_optimizer(Descent)


class Greedy(Descent):
    """Also evaluates a candidate, always the same one."""

    def step(self, objective: Any, used: float) -> StepReport:
        objective.losses(DenseCandidates(self.solution.unsqueeze(0)))
        return super().step(objective, used)


def test_an_optimizer_with_candidates_that_ignores_its_seed_is_found() -> None:
    with pytest.raises(AssertionError, match="the seed changes nothing"):
        check_optimizer(Greedy)


class Deaf(Idle):
    """Takes a failed evaluation for an idle step."""

    def __init__(self, layout: ParameterLayout, point: Tensor, seed: int):
        super().__init__(layout, point, seed)
        self._seed, self._step = seed, 0

    def step(self, objective: Any, used: float) -> StepReport:
        generator = named_generator(self._seed, "deaf", self._step)
        candidate = self.solution + 0.01 * torch.randn(self.solution.shape, generator=generator)
        self._step += 1
        try:
            losses = objective.losses(DenseCandidates(torch.stack([self.solution, candidate])))
        except ConnectionError:
            return StepReport(None)
        self.solution = candidate
        return StepReport(float(losses[0]))

    def state_dict(self) -> State:
        return {"point": self.solution, "step": self._step}

    def load_state_dict(self, state: State) -> None:
        self.solution, self._step = state["point"], state["step"]


class Forgetful(Deaf):
    """Counts a step that failed."""

    def step(self, objective: Any, used: float) -> StepReport:
        report = super().step(objective, used)
        if report.loss is None:
            raise ConnectionError
        return report


@pytest.mark.parametrize(
    ("optimizer", "message"),
    [
        (Deaf, "an evaluation failed, but the step did not"),
        (Forgetful, "repeating a step whose evaluation failed gives other numbers"),
    ],
)
def test_an_optimizer_that_a_failed_evaluation_changes_is_found(optimizer: type[Idle], message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        check_optimizer(optimizer)
