"""Models that tests of Trainer train."""

import warnings
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from polystep import Trainer


class Hard(nn.Module):
    """Signs between two layers, and no chain of modules."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(2, 12), nn.Linear(12, 2)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.second(torch.sign(self.first(inputs)))


class InNumpy(Hard):
    """A forward pass that torch cannot look into."""

    def forward(self, inputs: Tensor) -> Tensor:
        hidden = np.sign(self.first(inputs).detach().numpy())
        return self.second(torch.from_numpy(hidden))


def perceptron(*activations: nn.Module) -> nn.Sequential:
    return nn.Sequential(nn.Linear(2, 12), *activations, nn.Linear(12, 2))


def quiet(*arguments: Any, **settings: Any) -> Trainer:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return Trainer(*arguments, **settings)
