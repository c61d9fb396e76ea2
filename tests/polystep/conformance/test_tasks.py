"""The checks of tasks pass what obeys its contract, and say what is violated otherwise."""

import math
import random
from collections.abc import Callable
from itertools import count
from typing import Any

import numpy
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from polystep.candidates import Candidates
from polystep.capabilities import GradientKind
from polystep.conformance import check_task
from polystep.contracts import Metric, Spent, State
from polystep.evaluation.functional import FunctionalEvaluator
from polystep.evaluation.gradients import GradientEvaluator
from polystep.evaluation.node_perturbation import NodePerturber
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
        self._perturber = NodePerturber(module, F.mse_loss, self.layout)
        self._seed, self._step = seed, 0

    def initial_point(self, seed: int) -> Tensor:
        return torch.randn(self.layout.size, generator=named_generator(seed, "start"))

    def next_objective(self) -> BatchObjective:
        rows = torch.randn(6, 5, generator=named_generator(self._seed, "rows", self._step))
        self._step += 1
        return self.objective_class(self._evaluator, rows[:, :3], rows[:, 3:], self._differentiator, self._perturber)

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


class TwiceAsLong(BatchObjective):
    def gradient(self, point: Tensor, kind: GradientKind) -> tuple[Tensor, Tensor]:
        loss, gradient = super().gradient(point, kind)
        return loss, 2 * gradient


class FreePasses(BatchObjective):
    def perturb_nodes(
        self, point: Tensor, deviation: float, passes: int, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        before = self.spent
        result = super().perturb_nodes(point, deviation, passes, generator)
        self.spent = before
        return result


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


class ChargedAsCandidate(BatchObjective):
    def gradient(self, point: Tensor, kind: GradientKind) -> tuple[Tensor, Tensor]:
        self.spent += Spent(candidate_evaluations=1)
        return super().gradient(point, kind)


class GradientInPlace(BatchObjective):
    def gradient(self, point: Tensor, kind: GradientKind) -> tuple[Tensor, Tensor]:
        result = super().gradient(point, kind)
        point += 1
        return result


class Unequal(BatchObjective):
    def losses(self, candidates: Candidates) -> Tensor:
        return super().losses(candidates) + torch.arange(len(candidates))


class InfiniteLosses(BatchObjective):
    def losses(self, candidates: Candidates) -> Tensor:
        return super().losses(candidates) / 0


class FreeLosses(BatchObjective):
    def losses(self, candidates: Candidates) -> Tensor:
        before = self.spent
        losses = super().losses(candidates)
        self.spent = before
        return losses


@pytest.mark.parametrize(
    ("objective", "message"),
    [
        (WrongLoss, "the exact gradient belongs to a loss of"),
        (WrongShape, "the exact gradient has shape"),
        (TwiceAsLong, "along the exact gradient, whose length is"),
        (FreePasses, "a pass without noise and 2 with noise were charged as 0 candidates"),
        (NotFinite, "the exact gradient at the initial point is not finite"),
        (Free, "the exact gradient charged no backward passes"),
        (ChargedAsCandidate, "the exact gradient was charged as candidates"),
        (GradientInPlace, "the exact gradient changes the point in place"),
        (Unequal, "equal candidates have different losses"),
        (InfiniteLosses, "losses at the initial point are not finite: inf at index "),
        (FreeLosses, "3 candidates were charged as 0"),
    ],
)
def test_objectives_that_break_the_contract_are_found(objective: type[BatchObjective], message: str) -> None:
    task = type("Task", (Regression,), {"objective_class": objective})
    with pytest.raises(AssertionError, match=message):
        check_task(task)


def test_a_smooth_gradient_may_belong_to_another_loss() -> None:
    check_task(type("Task", (Regression,), {"objective_class": WrongSmoothLoss}))


def after(draw: Callable[[], Any]) -> Callable[[Regression], BatchObjective]:
    """`next_objective` of a task that draws numbers from a global generator."""

    def next_objective(task: Regression) -> BatchObjective:
        draw()
        return Regression.next_objective(task)

    return next_objective


NUMBERS = count()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"initial_point": lambda task, seed: torch.zeros(3)}, "initial_point must have shape"),
        ({"initial_point": lambda task, seed: torch.zeros(8)}, "initial_point ignores the seed"),
        (
            {"initial_point": lambda task, seed: Regression.initial_point(task, next(NUMBERS))},
            "initial_point is not determined by the seed",
        ),
        ({"fingerprint": property(lambda task: str(next(NUMBERS)))}, "the fingerprint of the same data differs"),
        ({"steps_per_epoch": 0}, "steps_per_epoch must be at least 1"),
        (
            {"__init__": lambda task, seed: Regression.__init__(task, next(NUMBERS))},
            "the data stream is not determined by the seed",
        ),
        ({"state_dict": lambda task: {"step": 0}}, "the data stream does not resume exactly"),
        ({"validate": lambda task, point: math.nan}, "gives NaN for the initial point"),
        ({"test": lambda task, point: math.nan}, "gives NaN for the initial point"),
        ({"validate": lambda task, point: None}, "validate must give a number, got NoneType"),
        ({"test": lambda task, point: point.sum()}, "test must give a number, got Tensor"),
        (
            {"metric": Metric("accuracy", "maximize", "fraction"), "validate": lambda task, point: 57.6},
            "validate gives 57.6, but the unit of the metric is a fraction",
        ),
        (
            {"initial_point": lambda task, seed: Regression.initial_point(task, seed).double()},
            "initial_point must be float32, got torch.float64",
        ),
        ({"test": lambda task, point: float(next(NUMBERS))}, "gives another score for the same point"),
        (
            {"metric": Metric("loss", "maximize", "", best=1.0), "validate": lambda task, point: 57.6},
            "validate gives 57.6, but metric.best is 1, and metric.direction is maximize",
        ),
        (
            {"initial_point": lambda task, seed: Regression.initial_point(task, seed).log()},
            "initial_point is not finite: nan at index",
        ),
        ({"next_objective": after(lambda: torch.rand(()))}, "the global random state of torch was used"),
        ({"next_objective": after(random.random)}, "the global random state of Python was used"),
        ({"next_objective": after(numpy.random.rand)}, "the global random state of numpy was used"),
        ({"__init__": lambda task, seed: Regression.__init__(task, 0)}, "the data stream ignores the seed"),
        ({"state_dict": lambda task: {"steps": {task._step}}}, r"the state\['steps'\] is of type set"),
    ],
)
def test_tasks_that_break_the_contract_are_found(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        check_task(type("Task", (Regression,), changes))
