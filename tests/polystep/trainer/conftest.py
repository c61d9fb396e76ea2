"""Data that tests of Trainer share."""

import pytest
import torch
from torch import Tensor


@pytest.fixture
def data() -> tuple[Tensor, Tensor]:
    """Two classes that no straight line parts: inside and outside of a circle."""
    inputs = torch.randn(200, 2, generator=torch.Generator().manual_seed(0))
    return inputs, (inputs.norm(dim=1) > 1.1).long()
