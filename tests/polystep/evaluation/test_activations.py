"""Shared activations and losses, in torch and compiled."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from polystep.evaluation.activations import CrossEntropy, Identity, ReLU, mean_cross_entropy
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
def test_output_is_constant_within_a_cell(activation: Activation) -> None:
    for value in np.array(VALUES, np.float32):
        low, high = (np.float32(bound) for bound in activation.compiled().cell(value))
        if low <= value < high:
            ends = torch.from_numpy(np.array([value, low, np.nextafter(high, -np.float32(np.inf))]))
            assert (activation.apply(ends) == activation.apply(ends[:1])).all()


def test_negative_inputs_of_relu_share_a_cell() -> None:
    low, high = ReLU().compiled().cell(np.float32(-0.5))
    assert (low, high) == (-math.inf, 0)


def test_cross_entropy_of_any_leading_dimensions(logits: Tensor, targets: Tensor) -> None:
    expected = F.cross_entropy(logits, targets, reduction="none")
    torch.testing.assert_close(CrossEntropy().apply(logits, targets), expected)
    stacked = torch.stack([logits, logits.flip(1)])
    torch.testing.assert_close(CrossEntropy().apply(stacked, targets)[0], expected)
    torch.testing.assert_close(mean_cross_entropy(logits, targets), expected.mean())


def test_compiled_cross_entropy_equals_the_torch_form(logits: Tensor, targets: Tensor) -> None:
    compiled = CrossEntropy().compiled()
    padded = F.pad(logits, (0, 3), value=math.nan).numpy()
    found = [compiled(row, 4, int(target)) for row, target in zip(padded, targets, strict=True)]
    expected = CrossEntropy().apply(logits, targets)
    torch.testing.assert_close(torch.tensor(found), expected, rtol=1e-5, atol=1e-5, check_dtype=False)
