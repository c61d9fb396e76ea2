"""Starting values of the networks, drawn from a named generator instead of the global random state."""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from polystep.layout import ParameterLayout


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


def starting_point(module: nn.Module, layout: ParameterLayout, seed: int, device: torch.device) -> Tensor:
    """The starting values (D,) of a module on `device`: those of torch.manual_seed(seed) followed by building it.

    So a seed starts where the published run of the same seed started, which decides much of its first hundred steps.
    """
    # drawn on the CPU, so that a seed means the same start on every device
    module.cpu().initialise(torch.Generator().manual_seed(seed))  # type: ignore[operator]
    point = layout.point_of(module).to(device)
    module.to(device)
    return point
