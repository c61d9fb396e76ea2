"""One small optimiser and what it minimises."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor

from polystep.algorithm import PolyStep
from polystep.dense_subspace import DenseSubspace
from polystep.layout import ParameterLayout
from polystep.subspace import FullSpace, HybridSubspace, RowSubspace
from polystep.update import Plain
from tests.function_objective import FunctionObjective

SUBSPACES = {
    "full": FullSpace,
    "row": partial(RowSubspace, rank=4),
    "hybrid": partial(HybridSubspace, rank=1),
    "dense": partial(DenseSubspace, coordinates=8),
}


@pytest.fixture
def layout() -> ParameterLayout:
    return ParameterLayout({"fc1.weight": (3, 5), "fc1.bias": (3,), "fc2.weight": (2, 3), "fc2.bias": (2,)})


@pytest.fixture
def gradient(layout: ParameterLayout) -> Tensor:
    return torch.randn(layout.size, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def build(layout: ParameterLayout) -> Callable[..., PolyStep]:
    def polystep(**settings: Any) -> PolyStep:
        defaults = {"point": torch.zeros(layout.size), "seed": 0, "subspace": FullSpace, "particle_dimension": 2}
        return PolyStep(layout, **(defaults | {"update": Plain()} | settings))

    return polystep


@pytest.fixture
def quadratic(layout: ParameterLayout) -> FunctionObjective:
    target = torch.linspace(-1, 1, layout.size)
    return FunctionObjective(lambda points: (points - target).square().sum(1))


def coordinate_gradient(optimizer: PolyStep, gradient: Tensor) -> Tensor:
    """The gradient (P, d) with respect to the coordinates of a linear loss."""
    subspace = optimizer.subspace
    z = torch.zeros(subspace.particles, subspace.particle_dimension, requires_grad=True)
    (subspace.lift(z) @ gradient).backward()
    assert z.grad is not None
    return z.grad
