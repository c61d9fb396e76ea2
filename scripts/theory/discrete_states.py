"""What is discrete in a hard network at a batch: spikes, levels, choices and quantised weights, as one row per sample."""

import copy
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from polystep.contracts import ExpectedError
from polystep.evaluation.functional import outputs_at
from polystep.layout import ParameterLayout
from tasks.networks.argmax_attention import ArgmaxAttentionNetwork
from tasks.networks.int8 import QuantisedLinear
from tasks.networks.mixture_of_experts import MixtureOfExperts
from tasks.networks.snn import SpikingNetwork
from tasks.networks.staircase import Staircase


class Observation(NamedTuple):
    """Outputs (B, classes) and the discrete state (B, states) of every sample; (1, states) where it is one of the weights."""

    outputs: Tensor
    state: Tensor


Observer = Callable[[dict[str, Tensor], Tensor], Observation]
"""From named parameters and inputs (B, ...)."""


def observer_of(network: nn.Module, layout: ParameterLayout) -> tuple[Observer, Sequence[str]]:
    """How to see the discrete state of a network, and the parameters that can change it; ExpectedError where it has none."""
    names = [entry.name for entry in layout.entries]
    if isinstance(network, SpikingNetwork):
        return _with_method(network, "neurons"), names
    if isinstance(network, ArgmaxAttentionNetwork):
        return _with_method(network, "select"), ["hidden.weight", "hidden.bias", "attention.keys"]
    if isinstance(network, MixtureOfExperts):
        return _with_method(network, "select"), ["hidden.weight", "hidden.bias", "gate.weight", "gate.bias"]
    quantised = {name: part for name, part in network.named_modules() if isinstance(part, QuantisedLinear)}
    if quantised:
        return _with_weights(network, quantised), [
            f"{name}.{kind}" for name in quantised for kind in ("weight", "bias")
        ]
    stairs = [part for part in network.modules() if isinstance(part, Staircase)]
    if stairs:
        output = names[-2:]
        return _with_hooks(network, stairs), [name for name in names if name not in output]
    raise ExpectedError(
        f"{type(network).__name__} has no spikes, levels, choices or quantised weights, so it has no walls to cross; choose "
        "one of the hard networks snn, int8, staircase, argmax, moe"
    )


def _with_method(network: nn.Module, attribute: str) -> Observer:
    """A network whose discrete function is one of its attributes."""

    def observe(tensors: dict[str, Tensor], inputs: Tensor) -> Observation:
        seen: list[Tensor] = []
        original: Callable[..., Tensor] = getattr(network, attribute)

        def recorded(*arguments: Tensor) -> Tensor:
            result = original(*arguments)
            seen.append(result)
            return result

        watched = copy.copy(network)
        setattr(watched, attribute, recorded)
        outputs = outputs_at(watched, tensors, inputs)
        # spike trains (T, B, units) or choices (B, alternatives)
        rows = [part.movedim(0, 1).flatten(1) if part.ndim == 3 else part for part in seen]
        return Observation(outputs, torch.cat(rows, 1) > 0.5)

    return observe


def _with_weights(network: nn.Module, quantised: dict[str, QuantisedLinear]) -> Observer:
    """A network with quantised parameters."""

    def observe(tensors: dict[str, Tensor], inputs: Tensor) -> Observation:
        levels = [
            part.transform(tensors[f"{name}.{kind}"]).flatten()
            for name, part in quantised.items()
            for kind in ("weight", "bias")
        ]
        return Observation(outputs_at(network, tensors, inputs), torch.cat(levels).unsqueeze(0))

    return observe


def _with_hooks(network: nn.Module, parts: Sequence[nn.Module]) -> Observer:
    """A network with discrete activations."""

    def observe(tensors: dict[str, Tensor], inputs: Tensor) -> Observation:
        seen: list[Tensor] = []
        hooks = [part.register_forward_hook(lambda _module, _inputs, output: seen.append(output)) for part in parts]
        try:
            outputs = outputs_at(network, tensors, inputs)
        finally:
            for hook in hooks:
                hook.remove()
        return Observation(outputs, torch.cat(seen, 1))

    return observe
