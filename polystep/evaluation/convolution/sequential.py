"""From an nn.Sequential of convolutions, pooling and elementwise modules before linear layers to a ConvolutionalNetwork."""

from typing import Literal, TypeGuard

import torch.nn.functional as F
from torch import Tensor, nn

from polystep.evaluation.activations import CrossEntropy
from polystep.evaluation.convolution.maps import MapOperation, Pair, Pointwise, Pool
from polystep.evaluation.convolution.network import Convolution, ConvolutionalNetwork
from polystep.evaluation.elementwise import activation_of, checked_transform
from polystep.evaluation.layered import LayeredNetwork, SampleLoss
from polystep.evaluation.parts import (
    NotLayered,
    Transformed,
    changes_nothing,
    check_parameters,
    flattens,
    has_forward_of,
    parts_of,
)
from polystep.evaluation.sequential import is_linear, linear_layers

Part = tuple[str, nn.Module]


class TransformedConv2d(Transformed, nn.Conv2d):
    """A convolution with T(W) and T(b)."""

    def forward(self, signal: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, U, H', W')."""
        bias = None if self.bias is None else self.transform(self.bias)
        return F.conv2d(
            signal, self.transform(self.weight), bias, self.stride, self.padding, self.dilation, self.groups
        )


def convolutional_network(module: nn.Module, loss: SampleLoss | None = None) -> ConvolutionalNetwork:
    """The layers of a (nested) nn.Sequential; `loss`: of one sample, CrossEntropy where not given.

    After an nn.Unflatten(1, (C, H, W)), where inputs are flat: nn.Conv2d with zeros around the maps, each with any
    nn.MaxPool2d, nn.AvgPool2d and elementwise modules after it; then nn.Flatten and what `layered_network` takes. NotLayered
    where the module is anything else, or has hooks.
    """
    parts = [part for part in parts_of(module) if not changes_nothing(part[1])]
    name, first = parts[0] if parts else ("", module)
    shape = _shape(name, first) if isinstance(first, nn.Unflatten) else None
    parts = parts if shape is None else parts[1:]
    linear = next((place for place, (_, part) in enumerate(parts) if is_linear(part)), None)
    if linear is None:
        raise NotLayered(f"{type(module).__name__} has no nn.Linear")
    if not any(flattens(part) for _, part in parts[:linear]):
        raise NotLayered(f"part {parts[linear][0]!r} is an nn.Linear, but there must be an nn.Flatten() before it")
    convolutions, layers = _convolutions(parts[:linear]), linear_layers(parts[linear:])
    network = ConvolutionalNetwork(convolutions, LayeredNetwork(layers, loss or CrossEntropy()), shape)
    check_parameters(
        module, [name for layer in network.layers for name in (layer.weight, layer.bias) if name is not None]
    )
    if any(activation.channels != 1 for activation in network.activations):
        raise NotLayered("an activation gives several channels, which maps do not have")
    return network


def _convolutions(parts: list[Part]) -> tuple[Convolution, ...]:
    found: list[tuple[str, nn.Conv2d, list[Part]]] = []
    flat = False
    for name, part in parts:
        kind = type(part).__name__
        if _is_convolution(part):
            found.append((name, part, []))
        elif not found:
            raise NotLayered(f"part {name!r} is a {kind}, but the first part must be an nn.Linear or an nn.Conv2d")
        elif not flattens(part):
            found[-1][2].append((name, part))
        if flat and (_is_convolution(part) or _is_pool(part)):
            raise NotLayered(f"part {name!r} is a {kind}, but comes after an nn.Flatten")
        flat |= flattens(part)
    return tuple(_convolution(*each) for each in found)


def _convolution(name: str, part: nn.Conv2d, following: list[Part]) -> Convolution:
    plain = {"groups": 1, "dilation": (1, 1), "padding_mode": "zeros"}
    for setting, value in plain.items():
        if getattr(part, setting) != value:
            raise NotLayered(
                f"part {name!r} is an nn.Conv2d with {setting}={getattr(part, setting)!r}, but only {setting}={value!r} "
                "is evaluated incrementally"
            )
    kernel = _pair(part.kernel_size)
    return Convolution(
        f"{name}.weight",
        None if part.bias is None else f"{name}.bias",
        kernel,
        _pair(part.stride),
        _padding(name, part.padding, kernel),
        tuple(_operation(*each) for each in following),
        checked_transform(part) if isinstance(part, TransformedConv2d) else None,
    )


def _operation(name: str, part: nn.Module) -> MapOperation:
    return _pool(name, part) if _is_pool(part) else Pointwise(activation_of([part]))


def _pool(name: str, part: nn.Module) -> Pool:
    plain = {"ceil_mode": False, "dilation": 1, "return_indices": False, "divisor_override": None}
    for setting, value in plain.items():
        if getattr(part, setting, value) not in (value, (value, value)):
            raise NotLayered(
                f"part {name!r} is a {type(part).__name__} with {setting}={getattr(part, setting)!r}, but only "
                f"{setting}={value!r} is evaluated incrementally"
            )
    kind: Literal["maximum", "average"] = "maximum" if isinstance(part, nn.MaxPool2d) else "average"
    window, stride, padding = _pair(part.kernel_size), _pair(part.stride), _pair(part.padding)
    return Pool(kind, window, stride, padding, getattr(part, "count_include_pad", False))


def _shape(name: str, part: nn.Unflatten) -> tuple[int, int, int]:
    size = part.unflattened_size
    if not has_forward_of(part, nn.Unflatten) or part.dim != 1 or len(size) != 3 or min(size) < 1:
        raise NotLayered(f"part {name!r} is an nn.Unflatten({part.dim}, {tuple(size)}), but it must give (B, C, H, W)")
    return int(size[0]), int(size[1]), int(size[2])


def _padding(name: str, padding: str | int | tuple[int, ...], kernel: Pair) -> Pair:
    if padding == "valid":
        return 0, 0
    if padding == "same":
        if not (kernel[0] % 2 and kernel[1] % 2):
            raise NotLayered(f"part {name!r} is an nn.Conv2d with padding='same' and a kernel of even size, {kernel}")
        return kernel[0] // 2, kernel[1] // 2
    return _pair(padding)


def _pair(value: object) -> Pair:
    """What torch makes of a setting that is one number or two."""
    if isinstance(value, int):
        return value, value
    assert isinstance(value, tuple)
    return int(value[0]), int(value[-1])


def _is_convolution(part: nn.Module) -> TypeGuard[nn.Conv2d]:
    return has_forward_of(part, nn.Conv2d, exactly=True) or has_forward_of(part, TransformedConv2d)


def _is_pool(part: nn.Module) -> bool:
    return has_forward_of(part, nn.MaxPool2d, exactly=True) or has_forward_of(part, nn.AvgPool2d, exactly=True)
