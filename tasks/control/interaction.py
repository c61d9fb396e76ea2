"""The environment as learners know it: Gymnasium's interface to one episode after the other, counted step by step."""

from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
import torch
from gymnasium.spaces import Box, Discrete
from torch import Tensor

from polystep.capabilities import GradientKind
from polystep.random import named_generator
from tasks.control.environments import Actions, BoxActions, DiscreteActions, Environments, FloatArray
from tasks.control.policy import Policy

_RUNNING = np.ones(1, np.bool_)


class Interaction:
    """What one learner does with an environment, and what it has spent so far."""

    def __init__(self, policy: Policy, build_environments: Callable[[], Environments], seed: int):
        """`seed`: of the episodes. Rows of observations share the int8 scale where the policy couples episodes."""
        self.environment_steps = self.backward_passes = 0
        self._policy, self._build, self._seed, self._made = policy, build_environments, seed, 0

    def make(self) -> "CountedEnvironment":
        """An environment whose episodes are independent of those made before."""
        self._made += 1
        return CountedEnvironment(self, self._build(), named_generator(self._seed, "interaction", self._made))

    def outputs(self, point: Tensor, observations: Tensor, kind: GradientKind) -> Tensor:
        """Outputs (B, A) of the policy at `point` (D,) for observations (B, O)."""
        if torch.is_grad_enabled():
            self.backward_passes += len(observations)
        straight_through = kind == "straight_through"
        return self._policy.respond(point.unsqueeze(0), observations.unsqueeze(0), straight_through).squeeze(0)

    def quantised(self, values: Tensor) -> Tensor:
        """Values (B, A) as the activation quantises them, with derivatives of zero."""
        return self._policy.quantised(values.unsqueeze(0)).squeeze(0)


class CountedEnvironment(gymnasium.Env[FloatArray, Any]):
    """The environment as all candidates play it, one episode after the other. Discrete actions count from 0."""

    def __init__(self, interaction: Interaction, environments: Environments, generator: torch.Generator):
        """`generator`: of the episodes' seeds."""
        self._interaction, self._environments, self._generator = interaction, environments, generator
        self.observation_space = Box(environments.low, environments.high)
        self.action_space, self._first = _action_space(environments.actions)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[FloatArray, dict[str, Any]]:
        """Begin the episode of `seed`; None: of the next drawn one."""
        super().reset(seed=seed)
        if seed is None:
            seed = int(torch.randint(2**31, (), generator=self._generator))
        return self._environments.reset(np.array([seed]))[0], {}

    def step(self, action: Any) -> tuple[FloatArray, float, bool, bool, dict[str, Any]]:
        """One step of the episode."""
        moves = self._environments.step(np.asarray(action)[None] + self._first, _RUNNING)
        self._interaction.environment_steps += 1
        return moves.observations[0], float(moves.rewards[0]), bool(moves.terminated[0]), bool(moves.truncated[0]), {}


def _action_space(actions: Actions) -> tuple[Any, int]:
    """The space, and the number of its first action."""
    if isinstance(actions, DiscreteActions):
        return Discrete(actions.outputs), actions.first
    assert isinstance(actions, BoxActions)
    return Box(actions.low, actions.high), 0
