"""Policies: one hidden layer, evaluated for many candidates and many episodes at once."""

import math
from typing import Literal

import torch
from torch import Tensor

from polystep.layout import ParameterLayout
from polystep.validation import at_least, one_of

Activation = Literal["float", "int8", "binary"]
Int8Scale = Literal["row", "candidate"]
INT8_LIMIT = 127


class Policy:
    """outputs = V act(W observation + b) + c.

    act: tanh ("float"); rounding to the multiples of max|x|/127 ("int8"); sign(x) ("binary", sign(0) = 0). Parameters are
    float32 in all cases. The int8 scale belongs to one hidden vector (`int8_scale` "row"), so that what happens in other
    episodes changes no action; in the published runs all episodes of a candidate shared it ("candidate"). Source: EDITIONS.md,
    control.
    """

    def __init__(
        self,
        observations: int,
        outputs: int,
        hidden: int = 16,
        activation: Activation = "float",
        int8_scale: Int8Scale = "row",
    ):
        """Raises ValueError for unknown activations and scales."""
        at_least(1, **{"task.hidden": hidden})
        one_of(("float", "int8", "binary"), **{"task.activation": activation})
        one_of(("row", "candidate"), **{"task.int8_scale": int8_scale})
        self.observations, self.outputs, self.hidden, self.activation = observations, outputs, hidden, activation
        self.couples_episodes = activation == "int8" and int8_scale == "candidate"
        self.layout = ParameterLayout(
            {
                "hidden.weight": (hidden, observations),
                "hidden.bias": (hidden,),
                "output.weight": (outputs, hidden),
                "output.bias": (outputs,),
            }
        )

    def initial_point(self, seed: int) -> Tensor:
        """Uniform on +-1/sqrt(inputs) per layer, shape (D,): what torch.manual_seed(seed) followed by two nn.Linear gives."""
        generator = torch.Generator().manual_seed(seed)
        bounds = (self.observations, self.observations, self.hidden, self.hidden)
        return torch.cat(
            [
                torch.empty(entry.size).uniform_(-1 / math.sqrt(inputs), 1 / math.sqrt(inputs), generator=generator)
                for entry, inputs in zip(self.layout.entries, bounds, strict=True)
            ]
        )

    def respond(self, points: Tensor, observations: Tensor, straight_through: bool = False) -> Tensor:
        """Outputs (N, E, outputs) of candidates (N, D) for observations (N, E, observations).

        `straight_through`: rounding and sign have the derivative of the identity.
        """
        tensors = self.layout.unflatten(points)
        hidden = observations @ tensors["hidden.weight"].mT + tensors["hidden.bias"].unsqueeze(1)
        activated = torch.tanh(hidden) if self.activation == "float" else self.quantised(hidden)
        if straight_through and self.activation != "float":
            # adds exactly 0
            activated = activated.detach() + (hidden - hidden.detach())
        return activated @ tensors["output.weight"].mT + tensors["output.bias"].unsqueeze(1)

    def quantised(self, values: Tensor) -> Tensor:
        """Values (N, E, ...) as the activation quantises them, with derivatives of zero; "float" leaves them as they are."""
        if self.activation == "float":
            return values
        if self.activation == "binary":
            return torch.sign(values)
        scale = values.detach().abs().amax((-2, -1) if self.couples_episodes else -1, keepdim=True) / INT8_LIMIT
        # a vector of zeros has no scale and stays as it is
        return torch.round(values / torch.where(scale > 0, scale, 1.0)) * scale
