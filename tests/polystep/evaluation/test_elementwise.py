"""Scalar forms of activations: those that compute what the module does are compiled, the others are named."""

import math

import pytest
import torch
from torch import Tensor, nn

from polystep.evaluation.elementwise import activation_of
from polystep.evaluation.fastest import fastest_evaluator
from tests.exactness import Case, row_subspace
from tests.polystep.evaluation.test_sequential import Rounded, Ternary, perceptron


class WrongScalar(Rounded):
    """A scalar form of another function."""

    @staticmethod
    def scalar(z: float) -> float:
        return z


def test_a_scalar_form_of_another_function_is_refused() -> None:
    evaluator = fastest_evaluator(perceptron(WrongScalar()))
    case = Case(seed=0, samples=3)
    with pytest.raises(ValueError, match=r"WrongScalar\.scalar\(.*\) gives .*, but its forward gives"):
        evaluator.losses(case.candidates(row_subspace(evaluator.layout, 2, 4)), *case.batch())


class WrongAtZero(Ternary):
    """Random numbers do not show the difference."""

    def forward(self, z: Tensor) -> Tensor:
        return (z >= 0).float()

    @staticmethod
    def scalar(z: float) -> float:
        return 1.0 if z > 0 else 0.0


class NotCompilable(Rounded):
    @staticmethod
    def scalar(z: float) -> float:
        return float(torch.tensor(4 * z).round() / 4)


class Reciprocal(nn.Module):
    def forward(self, z: Tensor) -> Tensor:
        return 1 / z

    @staticmethod
    def scalar(z: float) -> float:
        return 1 / z


class Quantised(nn.Module):
    """Products with 0.3 are rounded, otherwise in torch than in compiled code, and then fall on another step."""

    def forward(self, z: Tensor) -> Tensor:
        return torch.floor(z * 0.3)

    @staticmethod
    def scalar(z: float) -> float:
        return float(math.floor(z * 0.3))


def test_a_step_where_products_are_rounded_is_no_other_function() -> None:
    assert math.floor(-100 * 0.3) != float(Quantised()(torch.tensor(-100.0)))
    activation_of([Quantised()]).compiled()


@pytest.mark.parametrize(
    ("activation", "message"),
    [
        (WrongAtZero(), r"WrongAtZero\.scalar\(0\) gives 0, but its forward gives 1"),
        (NotCompilable(), r"numba cannot compile NotCompilable\.scalar \(.*torch.*\); it may use plain arithmetic"),
        (Reciprocal(), r"Reciprocal\.scalar divides by zero; let it return there what its forward gives"),
    ],
)
def test_scalar_forms_that_cannot_serve_are_named(activation: nn.Module, message: str) -> None:
    evaluator = fastest_evaluator(perceptron(activation))
    case = Case(seed=0, samples=3)
    with pytest.raises(ValueError, match=message):
        evaluator.losses(case.candidates(row_subspace(evaluator.layout, 2, 4)), *case.batch())


def test_an_attribute_scalar_that_is_no_static_method_is_something_else() -> None:
    activation = Rounded()
    activation.scalar = 2.0  # type: ignore[assignment]
    with pytest.warns(UserWarning, match="for compiled kernels give Rounded a static method scalar"):
        fastest_evaluator(perceptron(activation))
