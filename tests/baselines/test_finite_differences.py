"""Finite differences: gradients are exact where they should be, and all but the weighting is PolyStep's."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor

from baselines.finite_differences import FiniteDifferences
from polystep.algorithm import PolyStep
from polystep.layout import ParameterLayout
from polystep.subspace import FullSpace, HybridSubspace, RowSubspace
from polystep.update import Adaptive, Momentum, Plain

LAYOUT = ParameterLayout({"fc1.weight": (3, 5), "fc1.bias": (3,), "fc2.weight": (2, 3), "fc2.bias": (2,)})
SUBSPACES = {
    "full": FullSpace,
    "row": partial(RowSubspace, rank=4),
    "hybrid": partial(HybridSubspace, rank=1),
}
START = torch.linspace(-1, 1, LAYOUT.size)


def differences(**settings: Any) -> FiniteDifferences:
    return FiniteDifferences(LAYOUT, START, 3, **({"update": Plain(), "particle_dimension": 4} | settings))


def bowl(points: Tensor) -> Tensor:
    return (points - 0.5).square().sum(1)


@pytest.mark.parametrize("subspace", SUBSPACES)
def test_movement_is_gradient_descent_within_the_subspace(subspace: str, objective: Any) -> None:
    """Central differences of a quadratic are exact, and directions of particles are orthonormal."""
    optimizer = differences(subspace=SUBSPACES[subspace], step_size=0.1, probe_radius=0.7, redraw_every=0)
    z = torch.zeros(optimizer.subspace.particles, 4, requires_grad=True)
    bowl((START + optimizer.subspace.lift(z)).unsqueeze(0)).sum().backward()
    expected = START - 0.1 * optimizer.subspace.lift(z.grad)
    optimizer.step(objective(bowl), 0.0)
    torch.testing.assert_close(optimizer.solution, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("subspace", SUBSPACES)
def test_candidates_are_those_of_polystep(subspace: str) -> None:
    settings = {"subspace": SUBSPACES[subspace], "particle_dimension": 4, "probe_radius": 0.5}
    ours, theirs = differences(**settings).ask(0.0), PolyStep(LAYOUT, START, 3, **settings).ask(0.0)
    assert torch.equal(ours.dense(slice(None)), theirs.dense(slice(None)))


@pytest.mark.parametrize("update", [Plain, Momentum, partial(Adaptive, 0.01)])
def test_polystep_tends_to_it_at_high_temperature(update: Callable[[], Any], objective: Any) -> None:
    temperature, radius = 1000.0, 0.5
    settings = {"subspace": SUBSPACES["row"], "particle_dimension": 4, "probe_radius": radius}
    step_size = temperature * radius / (4 * temperature)
    ours = differences(update=update(), step_size=step_size, **settings)
    theirs = PolyStep(LAYOUT, START, 3, update=update(), temperature=temperature, step_radius=temperature, **settings)
    for _ in range(5):
        ours.step(objective(bowl), 0.0)
        theirs.step(objective(bowl), 0.0)
    torch.testing.assert_close(ours.solution, theirs.solution, rtol=1e-2, atol=2e-3)
    assert not torch.allclose(ours.solution, START, atol=0.02)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_direction_without_a_finite_loss_contributes_nothing(bad: float) -> None:
    optimizer = differences(subspace=FullSpace, step_size=0.1)
    candidates = optimizer.ask(0.0)
    losses = candidates.dense(slice(None)).sum(1)
    losses[0] = bad
    report = optimizer.tell(losses)
    lost = candidates.offset[0] / candidates.offset[0].norm()
    moved = (optimizer.solution - START)[:4]
    assert report.diagnostics["non_finite"] == 1
    assert moved @ lost == pytest.approx(0, abs=1e-5)
    torch.testing.assert_close(moved, -0.1 * (torch.ones(4) - lost.sum() * lost), rtol=1e-3, atol=1e-5)


def test_cost_is_that_of_polystep(objective: Any) -> None:
    ours, theirs = objective(bowl), objective(bowl)
    differences(subspace=SUBSPACES["row"]).step(ours, 0.0)
    PolyStep(LAYOUT, START, 3, subspace=SUBSPACES["row"], particle_dimension=4).step(theirs, 0.0)
    assert ours.spent == theirs.spent
