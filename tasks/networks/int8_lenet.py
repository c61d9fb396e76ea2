"""The int8 LeNet: a convolutional network, all of whose weights and biases are rounded to 256 levels."""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from polystep.capabilities import GradientKind
from polystep.component import component
from polystep.evaluation.convolution.network import ConvolutionalNetwork
from polystep.evaluation.convolution.sequential import TransformedConv2d, convolutional_network
from polystep.validation import SettingError
from tasks.networks.int8 import QuantisedLinear, StraightThroughLinear, quantise, straight_through_round


class QuantisedConv2d(TransformedConv2d):
    """A convolution with quantised weights and biases."""

    def transform(self, parameter: Tensor) -> Tensor:
        """Quantised parameters."""
        return quantise(parameter)


class StraightThroughConv2d(TransformedConv2d):
    """The quantised convolution with straight-through rounding."""

    def transform(self, parameter: Tensor) -> Tensor:
        """Quantised parameters."""
        return quantise(parameter, straight_through_round)


@component("int8_lenet", version=1)
class Int8LeNet(nn.Sequential):
    """LeNet-5 with ReLU, maxima and all connections, its parameters quantised as those of the int8 network.

    61,706 parameters on images of 28 x 28; on smaller ones the second kernel is smaller. Source of the layers: LeCun, Bottou,
    Bengio, Haffner, Gradient-Based Learning Applied to Document Recognition (1998).
    """

    def __init__(self, inputs: int = 784, classes: int = 10):
        side = math.isqrt(inputs)
        if side**2 != inputs or side < 8:
            raise SettingError(f"the int8 LeNet takes square images of at least 8 x 8 pixels, got {inputs} inputs")
        kernel = min(5, side // 2 - 1)
        last = (side // 2 - kernel + 1) // 2
        super().__init__(
            nn.Unflatten(1, (1, side, side)),
            QuantisedConv2d(1, 6, 5, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(2),
            QuantisedConv2d(6, 16, kernel),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            QuantisedLinear(16 * last**2, 120),
            nn.ReLU(),
            QuantisedLinear(120, 84),
            nn.ReLU(),
            QuantisedLinear(84, classes),
        )

    @torch.no_grad()
    def initialise(self, generator: torch.Generator) -> None:
        """Weights from N(0, 2/inputs of a unit), biases 0. Source: He et al., Delving Deep into Rectifiers (2015)."""
        for part in self:
            if isinstance(part, nn.Conv2d | nn.Linear):
                part.weight.normal_(0.0, math.sqrt(2 / part.weight[0].numel()), generator=generator)
                assert part.bias is not None
                part.bias.zero_()

    def differentiable(self) -> Mapping[GradientKind, nn.Module]:
        """Itself, which has no gradient; with straight-through rounding; without rounding."""
        return {
            "exact": self,
            "straight_through": self._with(StraightThroughConv2d, StraightThroughLinear),
            "smooth": self._with(nn.Conv2d, nn.Linear),
        }

    def layered(self) -> ConvolutionalNetwork:
        """The same network for incremental evaluation."""
        return convolutional_network(self)

    def _with(self, convolution: type[nn.Conv2d], linear: type[nn.Linear]) -> nn.Sequential:
        """The same parameters, not copies of them, in other kinds of layers."""

        def twin(part: nn.Module) -> nn.Module:
            if isinstance(part, nn.Conv2d):
                size: Any = {"kernel_size": part.kernel_size, "padding": part.padding}
                other: nn.Conv2d | nn.Linear = convolution(part.in_channels, part.out_channels, **size, device="meta")
            elif isinstance(part, nn.Linear):
                other = linear(part.in_features, part.out_features, device="meta")
            else:
                return part
            other.weight, other.bias = part.weight, part.bias
            return other

        return nn.Sequential(*map(twin, self))
