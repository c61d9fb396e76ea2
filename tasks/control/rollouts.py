"""Episodes of many candidates: in one compiled loop, or all in step with each other."""

from dataclasses import dataclass
from typing import Protocol

import numba
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from polystep.evaluation.compilation import CompilationClock
from tasks.control.environments import Environments
from tasks.control.kernels import build_roll_out
from tasks.control.policy import Policy
from tasks.control.simulators import Simulator

LANES = 256
"""Episodes that are in step with each other: each holds an environment."""


@dataclass(frozen=True)
class Rollouts:
    """Sums of rewards and lengths of episodes, both (N, E)."""

    returns: NDArray[np.float64]
    lengths: NDArray[np.int64]


class Evaluator(Protocol):
    """Rolls policies out."""

    @property
    def compilation_seconds(self) -> float:
        """Seconds spent so far on compiling kernels; 0 where nothing is compiled."""
        ...

    def roll_out(self, points: Tensor, seeds: NDArray[np.int64]) -> Rollouts:
        """Episodes of seeds (N, E) of candidates (N, D)."""
        ...


class FusedEvaluator:
    """One compiled loop that runs policy and dynamics of an episode to its end, spread over threads."""

    def __init__(self, policy: Policy, simulator: Simulator, horizon: int):
        """`policy`: one that does not couple episodes."""
        self._clock = CompilationClock()
        self._simulator, self._horizon = simulator, horizon
        self._roll_out = build_roll_out(
            simulator.step, simulator.observe, policy.observations, policy.outputs, policy.hidden, policy.activation
        )

    @property
    def compilation_seconds(self) -> float:
        """Seconds spent so far on compiling kernels."""
        return self._clock.seconds

    def roll_out(self, points: Tensor, seeds: NDArray[np.int64]) -> Rollouts:
        """Episodes of seeds (N, E) of candidates (N, D)."""
        returns, lengths = np.empty(seeds.shape), np.empty(seeds.shape, np.int64)
        # candidates that share their episodes share the seeds, too
        unique, place = np.unique(seeds, return_inverse=True)
        arguments = (
            points.contiguous().numpy(),
            self._simulator.first_states(unique)[place.reshape(seeds.shape)],
            self._horizon,
            min(numba.get_num_threads(), seeds.size),
            returns,
            lengths,
        )
        self._clock.call(self._roll_out, *arguments)
        return Rollouts(returns, lengths)


class LockstepEvaluator:
    """The policy answers all running episodes at once, then all environments advance by one step.

    Whole candidates, as many as `LANES` episodes allow, advance together.
    """

    compilation_seconds = 0.0

    def __init__(self, policy: Policy, environments: Environments):
        self._policy, self._environments = policy, environments

    def roll_out(self, points: Tensor, seeds: NDArray[np.int64]) -> Rollouts:
        """Episodes of seeds (N, E) of candidates (N, D)."""
        returns, lengths = np.zeros(seeds.shape), np.zeros(seeds.shape, np.int64)
        together = max(1, LANES // seeds.shape[1])
        for first in range(0, len(points), together):
            part = slice(first, first + together)
            self._advance(points[part], seeds[part], returns[part], lengths[part])
        return Rollouts(returns, lengths)

    def _advance(
        self, points: Tensor, seeds: NDArray[np.int64], returns: NDArray[np.float64], lengths: NDArray[np.int64]
    ) -> None:
        observations = self._environments.reset(seeds.ravel())
        running = np.ones(seeds.size, np.bool_)
        while running.any():
            observed = torch.from_numpy(observations).reshape(*seeds.shape, -1)
            outputs = self._policy.respond(points, observed).flatten(0, 1).numpy()
            actions = self._environments.actions.choose(outputs)
            observations, rewards, terminated, truncated = self._environments.step(actions, running)
            returns += np.where(running, rewards, 0.0).reshape(seeds.shape)
            lengths += running.reshape(seeds.shape)
            running &= ~(terminated | truncated)
