"""The environment of the conformance checks, apart because it needs Gymnasium."""

from typing import Any

import gymnasium
import numpy
import torch
from gymnasium.spaces import Box, Discrete
from torch import Tensor

from polystep.capabilities import GradientKind


class SomeEnvironments:
    """Seven observed numbers, four actions, and a tanh policy of the 76 parameters of `check_optimizer`."""

    def __init__(self) -> None:
        self.steps = 0
        self._made = 0

    def make(self) -> "SomeEnvironment":
        """An environment whose first episode is independent of those made before."""
        self._made += 1
        return SomeEnvironment(self, self._made)

    def outputs(self, point: Tensor, observations: Tensor, kind: GradientKind) -> Tensor:
        """Outputs (B, 4) for observations (B, 7)."""
        first, bias, second, offset = point.split([42, 6, 24, 4])
        hidden = torch.tanh(torch.nn.functional.linear(observations, first.reshape(6, 7), bias))
        return torch.nn.functional.linear(hidden, second.reshape(4, 6), offset)

    def quantised(self, values: Tensor) -> Tensor:
        """The values: nothing is quantised here."""
        return values


class SomeEnvironment(gymnasium.Env[Any, Any]):
    """Five random observations per episode; the reward is 1 for naming the largest of the first four numbers."""

    observation_space = Box(-1, 1, (7,))
    action_space = Discrete(4)

    def __init__(self, owner: SomeEnvironments, seed: int):
        self._owner = owner
        self._generator = numpy.random.default_rng(seed)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """The next episode."""
        self._left = 5
        return self._observe(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """The next observation."""
        self._owner.steps += 1
        self._left -= 1
        reward = float(action == self._seen[:4].argmax())
        return self._observe(), reward, self._left == 0, False, {}

    def _observe(self) -> Any:
        self._seen = self._generator.uniform(-1, 1, 7).astype(numpy.float32)
        return self._seen
