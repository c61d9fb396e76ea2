"""The hard mixture of experts: a gate sends every sample to one of 4 small networks."""

import copy
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from polystep.capabilities import GradientKind
from polystep.component import component
from polystep.evaluation.activations import CrossEntropy, ReLU
from polystep.evaluation.routing.network import Linear, Route, RoutedNetwork
from polystep.validation import at_least
from tasks.networks.initialisation import initialise_linear_layers
from tasks.networks.selection import Selection, largest, largest_straight_through, softmax


@component("mixture_of_experts", version=1)
class MixtureOfExperts(nn.Module):
    """Linear, ReLU, the expert of the largest gate score (Linear, ReLU, Linear), Linear.

    The expert's output is not weighted by the gate. Source: EDITIONS.md, networks.
    """

    select: Selection = staticmethod(largest)
    """Weights of the experts from their scores."""

    def __init__(self, inputs: int = 784, classes: int = 20, hidden: int = 128, experts: int = 4):
        super().__init__()
        at_least(1, hidden=hidden, experts=experts)
        self.hidden = nn.Linear(inputs, hidden)
        self.gate = nn.Linear(hidden, experts)
        self.experts = nn.ModuleList(
            nn.Sequential(nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, hidden)) for _ in range(experts)
        )
        self.output = nn.Linear(hidden, classes)

    def forward(self, inputs: Tensor) -> Tensor:
        """Logits (B, classes) of inputs (B, inputs)."""
        hidden = torch.relu(self.hidden(inputs))
        weights = self.select(self.gate(hidden))
        outputs = torch.stack([expert(hidden) for expert in self.experts], dim=-2)
        logits: Tensor = self.output((weights.unsqueeze(-1) * outputs).sum(-2))
        return logits

    def initialise(self, generator: torch.Generator) -> None:
        """Torch's default starting values, drawn from `generator` in the order in which the modules are built."""
        initialise_linear_layers(self, generator)

    def differentiable(self) -> Mapping[GradientKind, nn.Module]:
        """This network: itself, whose gate receives no gradient; with other selections."""
        return {"exact": self, "straight_through": self._with(largest_straight_through), "smooth": self._with(softmax)}

    def layered(self) -> RoutedNetwork | None:
        """The same network for incremental evaluation."""
        return RoutedNetwork(
            trunk=Linear("hidden.weight", "hidden.bias"),
            activation=ReLU(),
            router=Linear("gate.weight", "gate.bias"),
            routes=tuple(
                Route(*(Linear(f"experts.{k}.{part}.weight", f"experts.{k}.{part}.bias") for part in (0, 2)))
                for k in range(len(self.experts))
            ),
            route_activation=ReLU(),
            output=Linear("output.weight", "output.bias"),
            loss=CrossEntropy(),
        )

    def _with(self, select: Selection) -> "MixtureOfExperts":
        """A network that shares all parameters."""
        network = copy.copy(self)
        network.select = select
        return network


@component("smooth_mixture_of_experts", version=1)
class SmoothMixtureOfExperts(MixtureOfExperts):
    """The author's smooth substitute: all experts, weighted by the softmax. Source: EDITIONS.md, networks."""

    select = staticmethod(softmax)

    def differentiable(self) -> Mapping[GradientKind, nn.Module]:
        """Plain backpropagation."""
        return {"exact": self}

    def layered(self) -> None:
        """None: every sample takes part in all experts."""
