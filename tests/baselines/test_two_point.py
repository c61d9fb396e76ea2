"""SPSA and MeZO against their equations written out; memory; steps that cannot be taken."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from baselines.mezo import MeZO
from baselines.spsa import SPSA
from polystep.layout import ParameterLayout
from polystep.schedule import LinearOverSteps

LAYOUT = ParameterLayout({"x": (7,)})


def spsa_reference(
    start: Tensor, loss: Callable[[Any], float], signs: Any, a: float, c: float, stability: float
) -> Any:
    """The rule in numpy."""
    theta = start.numpy().copy()
    for k, delta in enumerate(signs, 1):
        a_k, c_k = a / (stability + k) ** 0.602, c / k**0.101
        theta = theta - a_k * (loss(theta + c_k * delta) - loss(theta - c_k * delta)) / (2 * c_k) * delta
    return theta


def directions_of(optimizer: SPSA | MeZO, objective: Any, steps: int) -> Any:
    directions = []
    for _ in range(steps):
        candidates = optimizer.ask(0.0)
        directions.append(candidates.noise(0).double().numpy())
        optimizer.tell(objective.losses(candidates))
    return directions


def test_spsa_equals_its_equations(function: Callable[[Tensor], Tensor], objective: Any) -> None:
    start = torch.linspace(-1, 1, 7, dtype=torch.float64)
    optimizer = SPSA(LAYOUT, start, 5, a=0.0005, c=0.125, A=20)
    signs = directions_of(optimizer, objective(function), 200)
    assert all(set(np.abs(delta)) == {1.0} for delta in signs)

    def loss(x: Any) -> float:
        return float(function(torch.from_numpy(x)[None]))

    # the perturbations are rounded to float32
    np.testing.assert_allclose(
        optimizer.solution.numpy(), spsa_reference(start, loss, signs, 0.0005, 0.125, 20), rtol=1e-5
    )
    assert loss(optimizer.solution.numpy()) < loss(start.numpy())


def test_the_stability_of_spsa_follows_the_used_share_of_the_budget(objective: Any) -> None:
    """A tenth of the steps, whatever limits them; they are not known before the first."""

    def after(steps: int, stability: float | None, used: Callable[[int], float]) -> list[Tensor]:
        optimizer = SPSA(LAYOUT, torch.zeros(7, dtype=torch.float64), 5, a=0.01, c=0.125, A=stability)
        points = [optimizer.solution.clone()]
        for step in range(steps):
            optimizer.step(objective(lambda points: (points - 1).square().sum(1)), used(step))
            points.append(optimizer.solution.clone())
        return points

    given, followed = after(10, 2.0, lambda _: 0.0), after(10, None, lambda step: step / 20)
    assert torch.equal(followed[1], followed[0])
    assert (given[2] - given[1]).norm() == pytest.approx(float((followed[2] - followed[1]).norm()), rel=0.1)
    late = after(3, None, lambda step: step / 200)
    assert 0 < (late[3] - late[2]).norm() < (followed[3] - followed[2]).norm() / 2


def test_mezo_equals_its_equations(function: Callable[[Tensor], Tensor], objective: Any) -> None:
    start = torch.linspace(-1, 1, 7, dtype=torch.float64)
    optimizer = MeZO(LAYOUT, start, 5, learning_rate=LinearOverSteps(0.0005, 0.0, 200), epsilon=2**-7)
    directions = directions_of(optimizer, objective(function), 200)
    theta = start.clone()
    for t, z in enumerate(map(torch.from_numpy, directions)):
        ahead, behind = (function((theta + sign * 2**-7 * z)[None]) for sign in (1, -1))
        theta = theta - 0.0005 * (1 - t / 200) * (ahead - behind) / 2**-6 * z
    torch.testing.assert_close(optimizer.solution, theta, rtol=1e-9, atol=0)
    assert function(theta[None]) < function(start[None])
    assert np.std(directions) == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize(
    "build",
    [lambda *a: SPSA(*a, a=0.01, A=10), lambda *a: MeZO(*a, learning_rate=1e-3)],
    ids=["spsa", "mezo"],
)
class TestBoth:
    def test_point_is_changed_in_place_and_is_all_the_memory(self, build: Callable[..., Any], objective: Any) -> None:
        start = torch.zeros(7)
        optimizer = build(LAYOUT, start, 0)
        address = optimizer.solution.data_ptr()
        for _ in range(3):
            optimizer.step(objective(lambda points: (points - 1).square().sum(1)), 0.0)
        assert optimizer.solution.data_ptr() == address
        assert not torch.equal(optimizer.solution, start)
        assert torch.equal(start, torch.zeros(7))
        assert set(optimizer.state_dict()) == {"point", "counters"}

    def test_directions_of_steps_differ(self, build: Callable[..., Any], objective: Any) -> None:
        directions = directions_of(build(LAYOUT, torch.zeros(7), 0), objective(lambda points: points.sum(1)), 5)
        assert len(np.unique(np.stack(directions), axis=0)) == 5

    @pytest.mark.parametrize("losses", [[math.nan, 1.0], [1.0, math.inf]])
    def test_step_with_one_loss_is_skipped(self, build: Callable[..., Any], losses: list[float]) -> None:
        optimizer = build(LAYOUT, torch.zeros(7), 0)
        first = optimizer.ask(0.0).noise(0)
        report = optimizer.tell(torch.tensor(losses))
        assert torch.equal(optimizer.solution, torch.zeros(7))
        assert report.diagnostics == {"non_finite": 1}
        assert not torch.equal(optimizer.ask(0.0).noise(0), first)
