"""Objectives on which the rivals are tried."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from tests.function_objective import FunctionObjective


@pytest.fixture
def objective() -> Callable[[Callable[[Tensor], Tensor]], FunctionObjective]:
    return FunctionObjective


def ellipse(points: Tensor) -> Tensor:
    """sum_j w_j (x_j - 1)^2 with weights from 1 to 10."""
    return ((points - 1).square() * torch.linspace(1, 10, points.shape[1], dtype=points.dtype)).sum(1)


def rosenbrock(points: Tensor) -> Tensor:
    """sum_j 100 (x_{j+1} - x_j^2)^2 + (1 - x_j)^2"""
    first, second = points[:, :-1], points[:, 1:]
    return (100 * (second - first.square()).square() + (1 - first).square()).sum(1)


@pytest.fixture(params=[ellipse, rosenbrock], ids=lambda function: function.__name__)
def function(request: pytest.FixtureRequest) -> Callable[[Tensor], Tensor]:
    """Each of the two test functions in turn."""
    return request.param
