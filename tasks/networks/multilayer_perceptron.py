"""The multilayer perceptron: 784-128-10 with ReLU is the paper's differentiable sanity check."""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import nn

from polystep.capabilities import GradientKind
from polystep.component import component
from polystep.evaluation.layered import LayeredNetwork
from polystep.evaluation.sequential import layered_network
from polystep.validation import SettingError
from tasks.networks.initialisation import initialise_linear_layers


@component("multilayer_perceptron", version=1)
class MultilayerPerceptron(nn.Sequential):
    """Linear layers with an elementwise activation between them, here ReLU. Source: EDITIONS.md, networks."""

    activation: Callable[[], nn.Module] = nn.ReLU
    """Builds the module between two layers."""

    def __init__(self, inputs: int = 784, classes: int = 10, hidden: Sequence[int] = (128,)):
        """`hidden`: units of each hidden layer."""
        if not hidden or min(hidden) < 1:
            raise SettingError(f"hidden must list at least one layer of at least 1 unit, got {list(hidden)}")
        super().__init__()
        for units in hidden:
            self.extend([nn.Linear(inputs, units), self.activation()])
            inputs = units
        self.append(nn.Linear(inputs, classes))

    def initialise(self, generator: torch.Generator) -> None:
        """Torch's default starting values, drawn from `generator` in the order of the layers."""
        initialise_linear_layers(self, generator)

    def differentiable(self) -> Mapping[GradientKind, nn.Module]:
        """Plain backpropagation."""
        return {"exact": self}

    def layered(self) -> LayeredNetwork | None:
        """The same network for incremental evaluation."""
        return layered_network(self)
