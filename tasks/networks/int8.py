"""The int8 network: 784-128-128-10 with ReLU, the weights of its middle layer rounded to 256 levels."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from polystep.capabilities import GradientKind
from polystep.component import component
from polystep.evaluation.layered import LayeredNetwork
from polystep.evaluation.parts import TransformedLinear
from polystep.evaluation.sequential import layered_network
from polystep.validation import at_least
from tasks.networks.initialisation import initialise_linear_layers

SCALE = 0.01
"""Distance of neighbouring weights."""
SMALLEST, LARGEST = -128, 127
DEVIATION = 0.1
"""Standard deviation of the quantised layer's weights at the start."""

Rounding = Callable[[Tensor], Tensor]


def straight_through_round(numbers: Tensor) -> Tensor:
    """Rounded numbers, bit for bit, with the derivative of the identity."""
    return numbers.round() + (numbers - numbers.detach())


def quantise(parameter: Tensor, rounding: Rounding = torch.round) -> Tensor:
    """clamp(round(w/0.01), -128, 127) 0.01, halves rounded to even numbers. Source: EDITIONS.md, networks."""
    return rounding(parameter / SCALE).clamp(SMALLEST, LARGEST) * SCALE


class QuantisedLinear(TransformedLinear):
    """A linear layer with quantised weights and biases."""

    def reset_parameters(self) -> None:
        """Weights from N(0, 0.1^2), biases 0. Source: EDITIONS.md, networks."""
        self.initialise(None)

    @torch.no_grad()
    def initialise(self, generator: torch.Generator | None) -> None:
        """The starting values, drawn from `generator`; None: from torch's global one."""
        self.weight.normal_(0.0, DEVIATION, generator=generator)
        self.bias.zero_()

    def transform(self, parameter: Tensor) -> Tensor:
        """Quantised parameters."""
        return quantise(parameter)


class StraightThroughLinear(QuantisedLinear):
    """The quantised layer with straight-through rounding; beyond the smallest and largest level the derivative is 0."""

    def transform(self, parameter: Tensor) -> Tensor:
        """Quantised parameters."""
        return quantise(parameter, straight_through_round)


@component("int8", version=1)
class Int8Network(nn.Sequential):
    """Linear, ReLU, quantised linear, ReLU, Linear. Source: EDITIONS.md, networks."""

    def __init__(self, inputs: int = 784, classes: int = 10, hidden: int = 128):
        at_least(1, hidden=hidden)
        super().__init__(
            nn.Linear(inputs, hidden),
            nn.ReLU(),
            QuantisedLinear(hidden, hidden),
            nn.ReLU(),
            nn.Linear(hidden, classes),
        )

    def initialise(self, generator: torch.Generator) -> None:
        """Starting values in the order of the layers, drawn from `generator`."""
        for part in self:
            if isinstance(part, QuantisedLinear):
                part.initialise(generator)
            else:
                initialise_linear_layers(part, generator)

    def differentiable(self) -> Mapping[GradientKind, nn.Module]:
        """Itself, where the quantised layer has no gradient; with straight-through rounding; without rounding."""
        return {
            "exact": self,
            "straight_through": self._with(StraightThroughLinear),
            "smooth": self._with(nn.Linear),
        }

    def layered(self) -> LayeredNetwork | None:
        """The same network for incremental evaluation."""
        return layered_network(self)

    def _with(self, kind: type[nn.Linear]) -> nn.Sequential:
        """The same layers, not copies of them, with another kind of quantised one that has its parameters."""

        def replaced(layer: QuantisedLinear) -> nn.Linear:
            twin = kind(layer.in_features, layer.out_features, device="meta")
            twin.weight, twin.bias = layer.weight, layer.bias
            return twin

        return nn.Sequential(*(replaced(part) if isinstance(part, QuantisedLinear) else part for part in self))
