"""FZOO against its equations written out; steps that cannot be taken; memory."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from baselines.fzoo import FZOO
from polystep.layout import ParameterLayout
from polystep.schedule import LinearOverSteps

LAYOUT = ParameterLayout({"x": (7,)})


def test_equals_its_equations(function: Callable[[Tensor], Tensor], objective: Any) -> None:
    start = torch.linspace(-1, 1, 7, dtype=torch.float64)
    optimizer = FZOO(LAYOUT, start, 5, directions=4, learning_rate=LinearOverSteps(0.0002, 0.0, 150), epsilon=2**-7)
    theta = start.numpy().copy()

    def losses(points: Any) -> Any:
        return function(torch.from_numpy(points)).numpy()

    for t in range(150):
        candidates = optimizer.ask(0.0)
        signs = np.stack([candidates.noise(i).double().numpy() for i in range(1, 5)])
        optimizer.tell(objective(function).losses(candidates))
        assert set(np.abs(signs).flatten()) == {1.0}
        ahead, here = losses(theta + 2**-7 * signs), losses(theta[None])[0]
        gradient = ((ahead - here)[:, None] * signs).mean(0) / 2**-7
        theta = theta - 0.0002 * (1 - t / 150) * gradient / ahead.std(ddof=1)
    np.testing.assert_allclose(optimizer.solution.numpy(), theta, rtol=1e-6)
    assert losses(theta[None]) < losses(start.numpy()[None])


def test_steps_do_not_depend_on_the_scale_of_the_losses(objective: Any) -> None:
    def solution(scale: float) -> Tensor:
        optimizer = FZOO(LAYOUT, torch.zeros(7), 0, learning_rate=0.001, epsilon=0.1)
        for _ in range(5):
            optimizer.step(objective(lambda points: scale * (points.double() - 1).square().sum(1)), 0.0)
        return optimizer.solution

    torch.testing.assert_close(solution(1000.0), solution(1.0))


@pytest.mark.parametrize(
    "losses", [[1.0] * 5, [math.nan, 1.0, 2.0, 3.0, 4.0], [1.0, math.inf, math.nan, 2.0, math.inf]]
)
def test_step_that_tells_nothing_is_skipped(losses: list[float]) -> None:
    """A plateau; no loss of the point; one loss beside it."""
    optimizer = FZOO(LAYOUT, torch.zeros(7), 0, directions=4)
    optimizer.ask(0.0)
    optimizer.tell(torch.tensor(losses))
    assert torch.equal(optimizer.solution, torch.zeros(7))


def test_direction_without_a_finite_loss_is_left_out() -> None:
    optimizer = FZOO(LAYOUT, torch.zeros(7), 0, directions=4, learning_rate=1.0, epsilon=0.5)
    candidates = optimizer.ask(0.0)
    optimizer.tell(torch.tensor([1.0, math.inf, 2.0, 4.0, 3.0]))
    gradient = (candidates.noise(2) + 3 * candidates.noise(3) + 2 * candidates.noise(4)) / (3 * 0.5)
    torch.testing.assert_close(optimizer.solution, -gradient)


def test_point_is_changed_in_place_and_is_all_the_memory(objective: Any) -> None:
    optimizer = FZOO(LAYOUT, torch.zeros(7), 0)
    address = optimizer.solution.data_ptr()
    optimizer.step(objective(lambda points: (points - 1).square().sum(1)), 0.0)
    assert optimizer.solution.data_ptr() == address
    assert not torch.equal(optimizer.solution, torch.zeros(7))
    assert set(optimizer.state_dict()) == {"point", "counters"}
