"""The spiking networks of the paper: 784-128-10, 15 steps, static input current, logits = spike counts."""

import copy
from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from polystep.capabilities import GradientKind
from polystep.component import component
from polystep.evaluation.activations import CrossEntropy
from polystep.evaluation.layered import Layer, LayeredNetwork
from polystep.validation import SettingError, at_least
from tasks.networks.differentiable_spikes import simulate_smooth, simulate_surrogate
from tasks.networks.initialisation import initialise_linear_layers
from tasks.networks.leaky_integrate_and_fire import (
    ConstantCurrentSpikes,
    SpikeCounts,
    simulate,
)


@component("spiking", version=1)
class SpikingNetwork(nn.Module):
    """Linear, LIF, Linear, LIF over T time steps; the current is the same at every step. Source: EDITIONS.md, networks."""

    neurons: Callable[[Tensor, float], Tensor] = staticmethod(simulate)
    """Spike trains of currents (T, ...) under a decay."""

    def __init__(self, inputs: int = 784, classes: int = 10, hidden: int = 128, steps: int = 15, decay: float = 0.95):
        super().__init__()
        at_least(1, hidden=hidden, steps=steps)
        if not 0 < decay <= 1:
            raise SettingError(f"decay must lie in (0, 1], got {decay}")
        self.fc1 = nn.Linear(inputs, hidden)
        self.fc2 = nn.Linear(hidden, classes)
        self.steps, self.decay = steps, decay

    def forward(self, inputs: Tensor) -> Tensor:
        """Spike counts (B, classes) of inputs (B, inputs), simulated step by step: the reference of the faster paths."""
        current = self.fc1(inputs)
        spikes = self.neurons(current.expand(self.steps, *current.shape), self.decay)
        return self.neurons(self.fc2(spikes), self.decay).sum(0)

    def initialise(self, generator: torch.Generator) -> None:
        """Torch's default starting values, drawn from `generator`."""
        initialise_linear_layers(self, generator)

    def differentiable(self) -> Mapping[GradientKind, nn.Module]:
        """This network with other neurons, for surrogate and smooth gradients."""
        return {"surrogate": self._with(simulate_surrogate), "smooth": self._with(simulate_smooth)}

    def layered(self) -> LayeredNetwork | None:
        """The same network for incremental evaluation."""
        return LayeredNetwork(
            (
                Layer("fc1.weight", "fc1.bias", ConstantCurrentSpikes(self.steps, self.decay)),
                Layer("fc2.weight", "fc2.bias", SpikeCounts(self.steps, self.decay)),
            ),
            CrossEntropy(),
        )

    def _with(self, neurons: Callable[[Tensor, float], Tensor]) -> "SpikingNetwork":
        """A network that shares all parameters."""
        network = copy.copy(self)
        network.neurons = neurons
        return network


@component("smooth_spiking", version=1)
class SmoothSpikingNetwork(SpikingNetwork):
    """The author's smooth substitute: spikes and resets are sigmoids of the membrane. Source: EDITIONS.md, networks."""

    neurons = staticmethod(simulate_smooth)

    def differentiable(self) -> Mapping[GradientKind, nn.Module]:
        """Plain backpropagation."""
        return {"exact": self}

    def layered(self) -> None:
        """None: a smooth neuron passes every change on, so nothing is gained."""
