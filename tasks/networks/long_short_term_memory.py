"""A recurrent network that forecasts a series: it reads the past number by number and writes the future at once."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from polystep.capabilities import GradientKind
from polystep.component import component
from polystep.layout import ParameterLayout
from polystep.validation import at_least
from tasks.networks.initialisation import initialise_linear_layers
from tasks.networks.recurrent_evaluation import RecurrentEvaluator


@component("long_short_term_memory", version=1)
class LongShortTermMemory(nn.Module):
    """One layer of long short-term memory over the inputs, and a linear map of its last state.

        (i, f, g, o) = W x_t + b + U h_(t-1) + c
        cell_t = sigmoid(f) cell_(t-1) + sigmoid(i) tanh(g),   h_t = sigmoid(o) tanh(cell_t),   h_0 = cell_0 = 0

    Source: Hochreiter, Schmidhuber, Long Short-Term Memory (1997), with the forget gate of Gers, Schmidhuber, Cummins, Learning
    to Forget (2000). As the paper has it: EDITIONS.md, forecasts.
    """

    def __init__(self, horizon: int, hidden: int = 64):
        """`horizon`: numbers that are forecast. `hidden`: numbers in the state."""
        at_least(1, hidden=hidden)
        super().__init__()
        self.hidden = hidden
        self.input_gates = nn.Linear(1, 4 * hidden)
        self.state_gates = nn.Linear(hidden, 4 * hidden)
        self.readout = nn.Linear(hidden, horizon)

    def forward(self, inputs: Tensor) -> Tensor:
        """Forecasts (B, horizon) of histories (B, T)."""
        # made from the inputs, so that under vmap they are what the inputs are
        state = cell = inputs.new_zeros(len(inputs), self.hidden)
        for number in inputs.split(1, dim=1):
            gates = self.input_gates(number) + self.state_gates(state)
            i, f, g, o = gates.chunk(4, dim=1)
            cell = torch.sigmoid(f) * cell + torch.sigmoid(i) * torch.tanh(g)
            state = torch.sigmoid(o) * torch.tanh(cell)
        forecasts: Tensor = self.readout(state)
        return forecasts

    def initialise(self, generator: torch.Generator) -> None:
        """Torch's default starting values of linear layers, drawn from `generator` in the order of the layers."""
        initialise_linear_layers(self, generator)

    def differentiable(self) -> Mapping[GradientKind, nn.Module]:
        """Plain backpropagation."""
        return {"exact": self}

    def evaluator(self, layout: ParameterLayout) -> RecurrentEvaluator:
        """Computes the losses of many networks."""
        return RecurrentEvaluator(self.hidden, layout)
