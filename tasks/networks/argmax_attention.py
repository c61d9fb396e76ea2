"""The network with discrete attention: every sample attends to the one of 8 keys that fits it best."""

import copy
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from polystep.capabilities import GradientKind
from polystep.component import component
from polystep.evaluation.activations import CrossEntropy, Identity, ReLU
from polystep.evaluation.routing.network import Linear, Route, RoutedNetwork
from polystep.validation import at_least
from tasks.networks.initialisation import initialise_linear_layers
from tasks.networks.selection import Selection, largest, largest_straight_through, softmax

KEY_DEVIATION = 0.5
"""Standard deviation of the keys at the start."""


class DiscreteAttention(nn.Module):
    """value(h) sigmoid(key_s) with s = argmax_k <h, key_k>. Source: EDITIONS.md, networks."""

    def __init__(self, size: int, slots: int):
        super().__init__()
        self.keys = nn.Parameter(KEY_DEVIATION * torch.randn(slots, size))
        self.value = nn.Linear(size, size)

    def forward(self, hidden: Tensor, select: Selection) -> Tensor:
        """(B, size) -> (B, size)."""
        key = select(hidden @ self.keys.T) @ self.keys
        attended: Tensor = self.value(hidden) * key.sigmoid()
        return attended

    @torch.no_grad()
    def initialise(self, generator: torch.Generator) -> None:
        """Keys from N(0, 0.5^2), then the linear layer as torch does."""
        self.keys.normal_(0.0, KEY_DEVIATION, generator=generator)
        initialise_linear_layers(self, generator)


@component("argmax_attention", version=1)
class ArgmaxAttentionNetwork(nn.Module):
    """Linear, ReLU, discrete attention, Linear. Source: EDITIONS.md, networks."""

    select: Selection = staticmethod(largest)
    """Weights of the slots from their scores."""

    def __init__(self, inputs: int = 784, classes: int = 10, hidden: int = 128, slots: int = 8):
        super().__init__()
        at_least(1, hidden=hidden, slots=slots)
        self.hidden = nn.Linear(inputs, hidden)
        self.attention = DiscreteAttention(hidden, slots)
        self.output = nn.Linear(hidden, classes)

    def forward(self, inputs: Tensor) -> Tensor:
        """Logits (B, classes) of inputs (B, inputs)."""
        logits: Tensor = self.output(self.attention(torch.relu(self.hidden(inputs)), self.select))
        return logits

    def initialise(self, generator: torch.Generator) -> None:
        """Starting values in the order in which the modules are built."""
        initialise_linear_layers(self.hidden, generator)
        self.attention.initialise(generator)
        initialise_linear_layers(self.output, generator)

    def differentiable(self) -> Mapping[GradientKind, nn.Module]:
        """This network: itself, where the keys that win receive gradients through the sigmoid; with other selections."""
        return {"exact": self, "straight_through": self._with(largest_straight_through), "smooth": self._with(softmax)}

    def layered(self) -> RoutedNetwork | None:
        """The same network for incremental evaluation: every slot is a route, and all share the values."""
        route = Route(Linear("attention.value.weight", "attention.value.bias"))
        return RoutedNetwork(
            trunk=Linear("hidden.weight", "hidden.bias"),
            activation=ReLU(),
            router=Linear("attention.keys"),
            routes=(route,) * len(self.attention.keys),
            route_activation=Identity(),
            output=Linear("output.weight", "output.bias"),
            loss=CrossEntropy(),
            gated=True,
        )

    def _with(self, select: Selection) -> "ArgmaxAttentionNetwork":
        """A network that shares all parameters."""
        network = copy.copy(self)
        network.select = select
        return network


@component("smooth_attention", version=1)
class SmoothAttentionNetwork(ArgmaxAttentionNetwork):
    """The author's smooth substitute: the key is a sum weighted by the softmax. Source: EDITIONS.md, networks."""

    select = staticmethod(softmax)

    def differentiable(self) -> Mapping[GradientKind, nn.Module]:
        """Plain backpropagation."""
        return {"exact": self}

    def layered(self) -> None:
        """None: every sample takes part in all slots."""
