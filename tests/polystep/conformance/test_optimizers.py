"""The checks of optimisers pass what obeys its contract, and say what is violated otherwise."""

import math
from itertools import count
from typing import Any

import numpy
import pytest
import torch
from torch import Tensor

from polystep.candidates import DenseCandidates
from polystep.conformance import check_optimizer
from polystep.contracts import State, StepReport
from polystep.layout import ParameterLayout
from polystep.random import named_generator

NUMBERS = count()


class Idle:
    """Never asks for anything."""

    def __init__(self, layout: ParameterLayout, point: Tensor, seed: int):
        self.solution = point

    def step(self, objective: Any, used: float) -> StepReport:
        return StepReport(None)

    def state_dict(self) -> State:
        return {}

    def load_state_dict(self, state: State) -> None:
        pass


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


class Walk(Idle):
    """Goes anywhere, whatever the losses are."""

    def __init__(self, layout: ParameterLayout, point: Tensor, seed: int):
        super().__init__(layout, point, seed)
        self._seed, self._step = seed, 0

    def step(self, objective: Any, used: float) -> StepReport:
        generator = named_generator(self._seed, "walk", self._step)
        candidate = self.solution + 0.01 * torch.randn(self.solution.shape, generator=generator)
        losses = objective.losses(DenseCandidates(torch.stack([self.solution, candidate])))
        self.solution = candidate
        self._step += 1
        return StepReport(float(losses[0]))

    def state_dict(self) -> State:
        return {"point": self.solution, "step": self._step}

    def load_state_dict(self, state: State) -> None:
        self.solution, self._step = state["point"], state["step"]


@pytest.mark.parametrize("optimizer", [Descent, Walk])
def test_optimizers_that_obey_pass(optimizer: type[Idle]) -> None:
    check_optimizer(optimizer)


class Short(Walk):
    def __init__(self, layout: ParameterLayout, point: Tensor, seed: int):
        super().__init__(layout, point[1:], seed)


class Elsewhere(Walk):
    def __init__(self, layout: ParameterLayout, point: Tensor, seed: int):
        super().__init__(layout, point + 1, seed)


class InPlace(Walk):
    def step(self, objective: Any, used: float) -> StepReport:
        start, report = self.solution, super().step(objective, used)
        self.solution = start.copy_(self.solution)
        return report


class Unrepeatable(Walk):
    def __init__(self, layout: ParameterLayout, point: Tensor, seed: int):
        super().__init__(layout, point, next(NUMBERS))


class Unpaid(Walk):
    def step(self, objective: Any, used: float) -> StepReport:
        before = objective.spent
        report = super().step(objective, used)
        objective.spent = before
        return report


class Greedy(Descent):
    """Also evaluates a candidate, always the same one."""

    def step(self, objective: Any, used: float) -> StepReport:
        objective.losses(DenseCandidates(self.solution.unsqueeze(0)))
        return super().step(objective, used)


class Double(Walk):
    def step(self, objective: Any, used: float) -> StepReport:
        report = super().step(objective, used)
        self.solution = self.solution.double()
        return report


class Shrinking(Walk):
    def step(self, objective: Any, used: float) -> StepReport:
        report = super().step(objective, used)
        self.solution = self.solution[:-1]
        return report


class Infinite(Walk):
    def step(self, objective: Any, used: float) -> StepReport:
        report = super().step(objective, used)
        self.solution[0] = math.inf
        return report


class Rounded(Walk):
    def state_dict(self) -> State:
        return super().state_dict() | {"point": self.solution.half().float()}


class Forgetful(Walk):
    def state_dict(self) -> State:
        return super().state_dict() | {"step": 0}


class Pickled(Walk):
    def state_dict(self) -> State:
        return super().state_dict() | {"generator": numpy.random.default_rng(0)}


class Numbered(Walk):
    def state_dict(self) -> State:
        return super().state_dict() | {"losses": {1: 0.5}}


class Deaf(Walk):
    """Takes a failed evaluation for an idle step."""

    def step(self, objective: Any, used: float) -> StepReport:
        try:
            return super().step(objective, used)
        except ConnectionError:
            return StepReport(None)


class Hasty(Walk):
    """Counts a step that failed."""

    def step(self, objective: Any, used: float) -> StepReport:
        step = self._step
        try:
            return super().step(objective, used)
        finally:
            self._step = step + 1


class Global(Walk):
    def step(self, objective: Any, used: float) -> StepReport:
        torch.rand(())
        return super().step(objective, used)


@pytest.mark.parametrize(
    ("optimizer", "message"),
    [
        (Short, "solution must have shape"),
        (Elsewhere, "before the first step the solution must be the starting point"),
        (InPlace, "the starting point was changed in place"),
        (Unrepeatable, "two optimisers with seed 0 part at step 1; draw"),
        (Idle, "neither candidates nor gradients"),
        (Unpaid, "neither candidates nor gradients"),
        (Greedy, "seeds 0 and 1 lead to the same point after 5 steps"),
        (Double, r"after step 1 has shape \(76,\) and torch.float64, not those of the starting point"),
        (Shrinking, r"after step 1 has shape \(75,\) and torch.float32"),
        (Infinite, "the solution after step 1 is not finite: "),
        (Rounded, "resuming after 0 steps gives other numbers"),
        (Forgetful, "resuming after 1 steps gives other numbers"),
        (Pickled, r"the state\['generator'\] is of type Generator; a checkpoint holds tensors"),
        (Numbered, r"the state\['losses'\] has keys that are no strings: \[1\]"),
        (Deaf, "an evaluation failed, but the step did not"),
        (Hasty, "repeating a step whose evaluation failed gives other numbers"),
        (Global, "the global random state of .* was used"),
    ],
)
def test_optimizers_that_break_the_contract_are_found(optimizer: type[Idle], message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        check_optimizer(optimizer)
