"""Shared activations and losses, in torch and compiled."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from polystep.evaluation.activations import CrossEntropy, Identity, ReLU, mean_cross_entropy
from polystep.evaluation.kernels import LANES, elementwise, exponential
from polystep.evaluation.layered import Activation

VALUES = [0.0, -0.0, 1e-45, -1e-45, 0.5, -0.5, 3e38, -3e38, math.inf, -math.inf, math.nan]

ACTIVATIONS = pytest.mark.parametrize("activation", [Identity(), ReLU()], ids=["identity", "relu"])


@pytest.fixture
def logits() -> Tensor:
    logits = 5 * torch.randn(6, 4, generator=torch.Generator().manual_seed(0))
    logits[0], logits[1, 2] = 1000.0, -1000.0
    return logits


@pytest.fixture
def targets() -> Tensor:
    return torch.tensor([0, 1, 2, 3, 0, 1])


@ACTIVATIONS
def test_compiled_activation_equals_the_torch_form(activation: Activation) -> None:
    pre = np.array(VALUES, np.float32)
    post = np.empty_like(pre)
    activation.compiled().activate(pre.copy(), post, len(pre))
    np.testing.assert_array_equal(post, activation.apply(torch.from_numpy(pre)).numpy())


@ACTIVATIONS
def test_output_is_constant_within_a_plateau(activation: Activation) -> None:
    for value in np.array(VALUES, np.float32):
        low, high = (np.float32(bound) for bound in activation.compiled().plateau(value))
        if low <= value < high:
            ends = torch.from_numpy(np.array([value, low, np.nextafter(high, -np.float32(np.inf))]))
            assert (activation.apply(ends) == activation.apply(ends[:1])).all()


def test_negative_inputs_of_relu_share_a_plateau() -> None:
    low, high = ReLU().compiled().plateau(np.float32(-0.5))
    assert (low, high) == (-math.inf, 0)


def test_modules_that_share_a_function_share_its_compiled_form() -> None:
    def half(z: float) -> float:
        return 0.5 * z

    assert elementwise(half) is elementwise(half)


def test_cross_entropy_of_any_leading_dimensions(logits: Tensor, targets: Tensor) -> None:
    expected = F.cross_entropy(logits, targets, reduction="none")
    torch.testing.assert_close(CrossEntropy().apply(logits, targets), expected)
    stacked = torch.stack([logits, logits.flip(1)])
    torch.testing.assert_close(CrossEntropy().apply(stacked, targets)[0], expected)
    torch.testing.assert_close(mean_cross_entropy(logits, targets), expected.mean())


def test_compiled_cross_entropy_equals_the_torch_form(logits: Tensor, targets: Tensor) -> None:
    filled = LANES - len(targets)
    lanes, found = F.pad(logits.T, (0, filled), value=math.nan).contiguous(), np.empty(LANES, np.float32)
    scratch = np.empty(lanes.numel(), np.float32)
    CrossEntropy().compiled(4)(lanes.flatten().numpy(), F.pad(targets, (0, filled)).numpy(), scratch, found)
    torch.testing.assert_close(torch.from_numpy(found)[: len(targets)], CrossEntropy().apply(logits, targets))


def test_exponential_is_exact_to_one_unit_in_the_last_place() -> None:
    numbers = np.concatenate([np.linspace(-87, 0, 20001), -np.logspace(-9, 1, 2001)]).astype(np.float32)
    found = np.array([exponential(number) for number in numbers])
    np.testing.assert_allclose(found, np.exp(numbers.astype(np.float64)), rtol=2.0**-23)
    assert exponential(np.float32(0)) == 1
    assert 0 < exponential(np.float32(-1e30)) < 1e-37
    assert np.isnan(exponential(np.float32(np.nan)))


@pytest.mark.parametrize(
    ("targets", "problem"),
    [
        (torch.tensor([0, 4]), "0..3 .* got 4 in row 1"),
        (torch.tensor([-1]), "got -1 in row 0"),
        (torch.tensor([0.5]), "class numbers"),
        (torch.tensor([[1]]), "class numbers"),
    ],
)
def test_targets_that_are_no_classes_are_refused(targets: Tensor, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        CrossEntropy().check(targets, 4)
