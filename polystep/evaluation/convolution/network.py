"""ConvolutionalNetwork: convolutions, each with what happens to every map by itself, before a chain of linear layers."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from polystep.evaluation.convolution.maps import MapOperation, Pair, Pointwise, windows
from polystep.evaluation.layered import Activation, Layer, LayeredNetwork, Trace
from polystep.layout import ParameterLayout

Tensors = Mapping[str, Tensor]


@dataclass(frozen=True)
class Convolution:
    """A convolution with zeros around its input, by the names of its tensors in the layout, and the operations that follow.

    transform: elementwise map from parameters to the weights and biases that are used, None where they are the same.
    """

    weight: str
    bias: str | None
    kernel: Pair
    stride: Pair
    padding: Pair
    operations: tuple[MapOperation, ...]
    transform: Callable[[Tensor], Tensor] | None = None

    def used(self, tensors: Tensors) -> tuple[Tensor, Tensor | None]:
        """Weight (U, C, kh, kw) and bias (U,) as they are multiplied and added."""
        weight, bias = tensors[self.weight], None if self.bias is None else tensors[self.bias]
        if self.transform is None:
            return weight, bias
        return self.transform(weight), None if bias is None else self.transform(bias)

    def pre_activation(self, signal: Tensor, tensors: Tensors) -> Tensor:
        """(B, C, H, W) -> (B, U, H', W')."""
        return self.convolve(signal, *self.used(tensors))

    def convolve(self, signal: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        """The same with other weights (U', C', kh, kw) and biases (U',)."""
        return F.conv2d(signal, weight, bias, self.stride, self.padding)

    def images(self, signal: Tensor, rows: Tensor) -> Tensor:
        """The same with rows (R, C kh kw, and one more where there is a bias): (B, R, H', W')."""
        weight = rows if self.bias is None else rows[:, :-1]
        return self.convolve(
            signal, weight.unflatten(1, (-1, *self.kernel)), None if self.bias is None else rows[:, -1].contiguous()
        )

    def after(self, pre: Tensor) -> Tensor:
        """(..., H', W') -> (..., H'', W''): the operations one after another."""
        for operation in self.operations:
            pre = operation.apply(pre)
        return pre

    def sizes(self, size: Pair) -> list[Pair]:
        """Size of a map before the operations and after each of them; `size`: of the input."""
        sizes = [windows(size, self.kernel, self.stride, self.padding)]
        for operation in self.operations:
            sizes.append(operation.size(sizes[-1]))
        return sizes


def changes_of_rows(layer: Convolution | Layer, tensors: Tensors, row: Tensor, change: Tensor) -> Tensor:
    """What is added to the weights and the bias that are used in row[n], (n, inputs), if `change` is to the parameters."""
    if layer.transform is None:
        return change
    parameters = tensors[layer.weight].flatten(1)
    if layer.bias is not None:
        parameters = torch.cat([parameters, tensors[layer.bias].unsqueeze(1)], dim=1)
    return layer.transform(parameters[row] + change) - layer.transform(parameters[row])


@dataclass(frozen=True)
class ConvolutionalNetwork:
    """Convolutions, then a chain of linear layers on all numbers of the last maps; parameters come from a point.

    shape: (C, H, W) that flat inputs (B, C H W) are given first; None where inputs are (B, C, H, W).
    """

    convolutions: tuple[Convolution, ...]
    head: LayeredNetwork
    shape: tuple[int, int, int] | None = None

    @property
    def layers(self) -> tuple[Convolution | Layer, ...]:
        """Convolutions and linear layers."""
        return *self.convolutions, *self.head.layers

    @property
    def activations(self) -> tuple[Activation, ...]:
        """Those of all layers."""
        operations = [operation for convolution in self.convolutions for operation in convolution.operations]
        pointwise = [operation.activation for operation in operations if isinstance(operation, Pointwise)]
        return *pointwise, *self.head.activations

    def check(self, layout: ParameterLayout, inputs: Tensor, targets: Tensor) -> None:
        """ValueError where a batch does not suit the network."""
        shapes = {entry.name: entry.shape for entry in layout.entries}
        channels, width = shapes[self.convolutions[0].weight][1], shapes[self.head.layers[0].weight][1]
        flat = None if self.shape is None else self.shape[0] * self.shape[1] * self.shape[2]
        suits = inputs.shape[1:2] == (channels,) and inputs.ndim == 4 if flat is None else inputs.shape[1:] == (flat,)
        if not suits or inputs.dtype != torch.float32:
            wanted = f"(B, {channels}, H, W)" if flat is None else f"(B, {flat})"
            raise ValueError(
                f"inputs must be float32 of shape {wanted}, got {inputs.dtype} of shape {tuple(inputs.shape)}; convert them"
            )
        size: Pair = self.maps_of(inputs[:1]).shape[2:]  # type: ignore[assignment]
        for convolution in self.convolutions:
            sizes = convolution.sizes(size)
            size = sizes[-1]
            if min(map(min, sizes)) < 1:
                raise ValueError(
                    f"inputs of shape {tuple(inputs.shape)} are too small: after {convolution.weight!r} nothing is left of "
                    "them; give larger images, or a smaller kernel, stride or pool"
                )
            units = shapes[convolution.weight][0]
        if units * size[0] * size[1] != width:
            raise ValueError(
                f"inputs of shape {tuple(inputs.shape)} become {units} maps of {size[0]} x {size[1]}, but the first linear "
                f"layer takes {width} numbers; give other images, or the layer {units * size[0] * size[1]} inputs"
            )
        self.head.loss.check(targets, shapes[self.head.layers[-1].weight][0])

    def maps_of(self, inputs: Tensor) -> Tensor:
        """Inputs as maps (B, C, H, W)."""
        return inputs if self.shape is None else inputs.unflatten(1, self.shape)

    def logits(self, inputs: Tensor, tensors: Tensors) -> Tensor:
        """Logits (B, O) of inputs."""
        return self.head.logits(self.features_from(0, self.maps_of(inputs), tensors), tensors)

    def features_from(self, index: int, signal: Tensor, tensors: Tensors) -> Tensor:
        """All numbers (B, F) of the last maps, from the input of convolution `index`."""
        for convolution in self.convolutions[index:]:
            signal = convolution.after(convolution.pre_activation(signal, tensors))
        return signal.flatten(1)

    def trace(self, inputs: Tensor, tensors: Tensors, targets: Tensor) -> "MapTrace":
        """All signals of a forward pass."""
        signals, pre_activations = [self.maps_of(inputs)], []
        for convolution in self.convolutions:
            pre_activations.append(convolution.pre_activation(signals[-1], tensors))
            signals.append(convolution.after(pre_activations[-1]))
        return MapTrace(signals, pre_activations, self.head.trace(signals[-1].flatten(1), tensors, targets))


@dataclass(frozen=True)
class MapTrace:
    """Signals of the base point: inputs of each convolution and the last maps (B, C, H, W), pre-activations, and the linear
    layers.
    """

    signals: list[Tensor]
    pre_activations: list[Tensor]
    head: Trace

    @property
    def losses(self) -> Tensor:
        """Loss of each sample (B,)."""
        return self.head.losses

    @property
    def are_finite(self) -> bool:
        """Whether differences of all signals mean something."""
        signals = (*self.signals, *self.pre_activations, *self.head.signals, *self.head.pre_activations)
        # sums are quick; one that overflows only costs time
        return all(bool(torch.isfinite(signal.sum())) for signal in signals)
