"""DeepZero's estimator: slopes along single parameters, sparse sets of them, momentum; candidates of one row each."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from baselines.deep_zero import DeepZero
from polystep import BatchObjective
from polystep.candidates import DenseCandidates
from polystep.layout import ParameterLayout
from polystep.schedule import LinearOverSteps
from tests.exactness import CLASSES, INPUTS, NETWORKS

LAYOUT = ParameterLayout({"fc1.weight": (3, 5), "fc1.bias": (3,), "fc2.weight": (2, 3), "fc2.bias": (2,)})
START = torch.linspace(-1, 1, LAYOUT.size)


def bowl(points: Tensor) -> Tensor:
    return (points - 0.5).square().sum(1)


@pytest.mark.parametrize("layout", [LAYOUT, ParameterLayout({"x": (26,)})], ids=["layers", "one vector"])
def test_two_steps_equal_their_equations(layout: ParameterLayout, objective: Any) -> None:
    """Forward differences of the bowl are its gradient plus the radius."""
    rate = LinearOverSteps(0.1, 0.0, 4)
    optimizer = DeepZero(layout, START, 3, share=1.0, radius=0.25, learning_rate=rate, momentum=0.5, weight_decay=0.125)
    theta, velocity = START, torch.zeros(26)
    for t in range(2):
        optimizer.step(objective(bowl), 0.0)
        velocity = 0.5 * velocity + 2 * (theta - 0.5) + 0.25 + 0.125 * theta
        theta = theta - 0.1 * (1 - t / 4) * velocity
    torch.testing.assert_close(optimizer.solution, theta, rtol=1e-5, atol=1e-5)


def test_a_share_of_the_parameters_moves_until_others_are_drawn(objective: Any) -> None:
    optimizer = DeepZero(LAYOUT, START, 3, share=0.25, momentum=0.0, weight_decay=0.0, redraw_every=3)
    moved = []
    for _ in range(6):
        before = optimizer.solution
        candidates = optimizer.ask(0.0)
        points = candidates.dense(slice(None))
        assert torch.equal(points[0], before)
        assert ((points[1:] != before).sum(1) == 1).all()
        optimizer.tell(objective(bowl).losses(candidates))
        moved.append(frozenset((optimizer.solution != before).nonzero().flatten().tolist()))
    assert [len(places) for places in moved] == [round(0.25 * 26)] * 6
    assert len(set(moved[:3])) == len(set(moved[3:])) == 1
    assert moved[0] != moved[3]


def test_at_least_one_parameter_moves(objective: Any) -> None:
    optimizer = DeepZero(LAYOUT, START, 3, share=1e-9)
    assert len(optimizer.ask(0.0)) == 2


def test_parameter_without_a_finite_slope_stays() -> None:
    optimizer = DeepZero(LAYOUT, START, 3, share=1.0, momentum=0.0, weight_decay=0.0)
    points = optimizer.ask(0.0).dense(slice(None))
    losses = bowl(points)
    losses[1:5] = torch.tensor([math.nan, math.inf, -math.inf, math.nan])
    lost = (points[1:5] != START).any(0)
    optimizer.tell(losses)
    assert torch.equal(optimizer.solution != START, ~lost)


def test_a_step_without_a_finite_loss_of_the_point_moves_nothing() -> None:
    optimizer = DeepZero(LAYOUT, START, 3, share=1.0)
    optimizer.tell(bowl(optimizer.ask(0.0).dense(slice(None))))
    before = optimizer.solution.clone()
    losses = bowl(optimizer.ask(0.0).dense(slice(None)))
    losses[0] = math.nan
    optimizer.tell(losses)
    assert torch.equal(optimizer.solution, before)


def test_losses_of_single_parameters_equal_those_of_whole_points(monkeypatch: pytest.MonkeyPatch) -> None:
    """And need no whole points, in a network with more than one layer."""
    paths = NETWORKS["mnist"]
    point = paths.layout.point_of(paths.module)
    candidates = DeepZero(paths.layout, point, 0, share=1.0, radius=0.5).ask(0.0)
    objective = BatchObjective(paths.fused, torch.randn(32, INPUTS), torch.randint(CLASSES, (32,)))
    whole = objective.losses(DenseCandidates(candidates.dense(slice(None))))
    monkeypatch.setattr(type(candidates), "dense", None)
    found = objective.losses(candidates)
    torch.testing.assert_close(found, whole)
    assert len(torch.unique(found)) > 20
