"""From an nn.Sequential of linear layers and elementwise modules, built in or your own, to a LayeredNetwork."""

from itertools import pairwise

from torch import nn

from polystep.evaluation.activations import CrossEntropy
from polystep.evaluation.elementwise import activation_of, checked_transform
from polystep.evaluation.layered import Layer, LayeredNetwork, SampleLoss
from polystep.evaluation.parts import (
    NotLayered,
    TransformedLinear,
    changes_nothing,
    check_parameters,
    flattens,
    has_forward_of,
    parts_of,
)


def layered_network(module: nn.Module, loss: SampleLoss | None = None) -> LayeredNetwork:
    """The layers of a (nested) nn.Sequential; `loss`: of one sample, CrossEntropy where not given.

    An nn.Flatten() may come first. Linear layers need a bias and their own trainable float32 parameters. An activation is any
    module without parameters that turns out to be elementwise when tried on random numbers, or one with an `activation()`.
    Kernels are compiled for nn.ReLU, Sigmoid, Tanh, Hardtanh and ReLU6, and for modules with a static method `scalar(z)`.
    NotLayered where the module is anything else, or has hooks.
    """
    parts, flat = list(parts_of(module)), False
    while parts and (changes_nothing(parts[0][1]) or flattens(parts[0][1])):
        flat |= flattens(parts.pop(0)[1])
    if not parts:
        raise NotLayered(f"{type(module).__name__} has no nn.Linear")
    if not is_linear(parts[0][1]):
        raise NotLayered(
            f"part {parts[0][0]!r} is a {type(parts[0][1]).__name__}, but the first part must be an nn.Linear"
        )
    layers = linear_layers(parts)
    check_parameters(module, [name for layer in layers for name in (layer.weight, layer.bias)])
    return LayeredNetwork(layers, loss or CrossEntropy(), flat)


def linear_layers(parts: list[tuple[str, nn.Module]]) -> tuple[Layer, ...]:
    """The layers of parts by their names, the first of which is linear."""
    linear: list[tuple[str, nn.Module]] = []
    activations: list[list[nn.Module]] = []
    for name, part in parts:
        if is_linear(part):
            linear.append((name, part))
            activations.append([])
        elif not (changes_nothing(part) or flattens(part)):
            activations[-1].append(part)
    for (before, one), (name, part) in pairwise(linear):
        if part.in_features != one.out_features:
            raise NotLayered(
                f"part {name!r} takes {part.in_features} numbers, but part {before!r} gives {one.out_features} to each row"
            )
    return tuple(
        Layer(
            f"{name}.weight",
            f"{name}.bias",
            activation_of(following),
            checked_transform(part) if isinstance(part, TransformedLinear) else None,
        )
        for (name, part), following in zip(linear, activations, strict=True)
    )


def is_linear(part: nn.Module) -> bool:
    """Whether a part is an nn.Linear or a TransformedLinear."""
    return has_forward_of(part, nn.Linear, exactly=True) or has_forward_of(part, TransformedLinear)
