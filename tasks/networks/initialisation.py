"""Starting values of the networks, drawn from a named generator instead of the global random state."""

import math
from collections.abc import Callable

import torch
from torch import nn


def build_without_randomness(network: Callable[[], nn.Module]) -> nn.Module:
    """A module whose constructor leaves the global random state as it was."""
    with torch.random.fork_rng(devices=[]):
        return network()


@torch.no_grad()
def initialise_linear_layers(module: nn.Module, generator: torch.Generator) -> None:
    """Weights and biases of every nn.Linear uniform on +-1/sqrt(inputs): torch's default, from `generator`."""
    for layer in module.modules():
        if isinstance(layer, nn.Linear):
            bound = 1 / math.sqrt(layer.in_features)
            for parameter in (layer.weight, layer.bias):
                parameter.uniform_(-bound, bound, generator=generator)
