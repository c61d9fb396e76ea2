"""LayeredNetwork: a chain of linear layers and unit-wise activations, the structure that incremental evaluation exploits.

A signal has shape (..., C, U): U units with C channels each (time steps of a spiking network; C = 1 elsewhere). A layer
computes z = a W^T + b on every channel, then an activation that maps the C_in channels of each unit to C_out channels of
the same unit. The last activation has one output channel: the logits. W and b may be elementwise functions of the parameters,
rounded ones for example.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from torch import Tensor

from polystep.layout import ParameterLayout


@dataclass(frozen=True)
class CompiledActivation:
    """numba functions of an activation.

    activate(pre, post, units): fill post from pre, which stays as it is; both float32, flat, channel c of unit u at
    c units + u.
    plateau(z) -> (low, high): the output for one-channel input is the same for all z' with low <= z' < high; an empty
    interval (low = high) is always correct.
    table, a float32 array (R, C_out), and row(z), where one-channel input has only R different outputs: the output for z is
    table[row(z)].
    """

    activate: Any
    plateau: Any
    table: Any = None
    row: Any = None


class Activation(Protocol):
    """A map from the channels of a unit to new channels of the same unit."""

    channels: int
    """Output channels C_out."""

    def apply(self, pre: Tensor) -> Tensor:
        """(..., C_in, U) -> (..., C_out, U); `pre` stays as it is."""
        ...

    def compiled(self) -> CompiledActivation:
        """The same map for the fused path."""
        ...


@runtime_checkable
class SampleLoss(Protocol):
    """Loss of one sample from its logits and target."""

    def check(self, targets: Tensor, outputs: int) -> None:
        """ValueError where `targets` (B,) do not suit a network of `outputs` logits."""
        ...

    def apply(self, logits: Tensor, targets: Tensor) -> Tensor:
        """(..., B, O) logits and (B,) targets -> (..., B)."""
        ...

    def compiled(self, outputs: int) -> Any:
        """numba function (logits, targets, scratch, found): fill found (LANES,) with the losses of samples side by side (see
        `kernels`), from logits (outputs LANES,) and targets (LANES,); scratch is as large as the logits.
        """
        ...


@dataclass(frozen=True)
class Layer:
    """A linear map, by the names of its tensors in the layout, and the activation that follows.

    transform: elementwise map from parameters to the weights and biases that are used, None where they are the same.
    """

    weight: str
    bias: str
    activation: Activation
    transform: Callable[[Tensor], Tensor] | None = None

    def used(self, parameter: Tensor) -> Tensor:
        """The weights or biases that belong to `parameter`."""
        return parameter if self.transform is None else self.transform(parameter)


@dataclass(frozen=True)
class LayeredNetwork:
    """Layers and loss; parameters come from a point.

    flattens: whether inputs (B, ...) become (B, I) first.
    """

    layers: tuple[Layer, ...]
    loss: SampleLoss
    flattens: bool = False

    @property
    def activations(self) -> tuple[Activation, ...]:
        """Those of all layers."""
        return tuple(layer.activation for layer in self.layers)

    def rows(self, layout: ParameterLayout, inputs: Tensor, targets: Tensor) -> Tensor:
        """The inputs of a batch as the first layer takes them, (B, I); ValueError where the batch does not suit the network."""
        shapes = {entry.name: entry.shape for entry in layout.entries}
        width, outputs = shapes[self.layers[0].weight][1], shapes[self.layers[-1].weight][0]
        rows = inputs.flatten(1) if self.flattens and inputs.ndim > 1 else inputs
        if rows.shape[1:] != (width,) or rows.dtype != torch.float32:
            shape = f"(B, ...) with {width} numbers per row" if self.flattens else f"(B, {width})"
            raise ValueError(
                f"inputs must be float32 of shape {shape}, got {inputs.dtype} of shape {tuple(inputs.shape)}; convert "
                f"them, with inputs.float(){'' if self.flattens else '.flatten(1)'} for example"
            )
        self.loss.check(targets, outputs)
        return rows

    def pre_activation(self, index: int, signal: Tensor, tensors: Mapping[str, Tensor]) -> Tensor:
        """z of layer `index` from its input signal (..., C, I)."""
        return F.linear(signal, *self.used(index, tensors))

    def used(self, index: int, tensors: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Weight (..., U, I) and bias (..., U) of layer `index` as they are multiplied and added."""
        layer = self.layers[index]
        return layer.used(tensors[layer.weight]), layer.used(tensors[layer.bias])

    def logits_from(self, index: int, pre: Tensor, tensors: Mapping[str, Tensor]) -> Tensor:
        """Logits (..., O) from z (..., C, U) of layer `index`."""
        signal = self.layers[index].activation.apply(pre)
        for following in range(index + 1, len(self.layers)):
            signal = self.layers[following].activation.apply(self.pre_activation(following, signal, tensors))
        return signal.squeeze(-2)

    def trace(self, inputs: Tensor, tensors: Mapping[str, Tensor], targets: Tensor) -> "Trace":
        """All signals of a forward pass; inputs (B, I)."""
        signals, pre_activations = [inputs.unsqueeze(1)], []
        for index, layer in enumerate(self.layers):
            pre_activations.append(self.pre_activation(index, signals[-1], tensors))
            signals.append(layer.activation.apply(pre_activations[-1]))
        logits = signals[-1].squeeze(1)
        return Trace(signals[:-1], pre_activations, logits, self.loss.apply(logits, targets))

    def logits(self, inputs: Tensor, tensors: Mapping[str, Tensor]) -> Tensor:
        """Logits (B, O) of inputs (B, I)."""
        return self.logits_from(0, self.pre_activation(0, inputs.unsqueeze(-2), tensors), tensors)


@dataclass(frozen=True)
class Trace:
    """Signals of the base point: layer inputs (B, C, I), pre-activations (B, C, U), logits (B, O), losses (B,)."""

    signals: list[Tensor]
    pre_activations: list[Tensor]
    logits: Tensor
    losses: Tensor


def with_bias_input(signal: Tensor) -> Tensor:
    """(..., I) -> (..., I + 1): a last input of ones, which the bias multiplies."""
    return torch.cat([signal, signal.new_ones(*signal.shape[:-1], 1)], dim=-1)
