"""What a policy meets: batches of episodes, how outputs become actions, and the hardened variants."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from polystep.validation import SettingError, at_least, positive

FloatArray = NDArray[np.float32]


class Actions(Protocol):
    """How the outputs of a policy become actions."""

    @property
    def outputs(self) -> int:
        """How many outputs a policy needs."""
        ...

    def choose(self, outputs: FloatArray) -> NDArray[Any]:
        """Actions (L, ...) for outputs (L, outputs)."""
        ...


@dataclass(frozen=True)
class DiscreteActions:
    """The action with the largest output; the first one among equals."""

    outputs: int
    first: int = 0

    def choose(self, outputs: FloatArray) -> NDArray[Any]:
        """Actions (L,), int64."""
        chosen: NDArray[np.int64] = self.first + outputs.argmax(1)
        return chosen


@dataclass(frozen=True, eq=False)
class BoxActions:
    """The outputs themselves, clipped to the bounds."""

    low: NDArray[Any]
    high: NDArray[Any]

    @property
    def outputs(self) -> int:
        """One for each number of an action."""
        return self.low.size

    def choose(self, outputs: FloatArray) -> NDArray[Any]:
        """Actions (L, *shape), of the type of the bounds."""
        return outputs.reshape(-1, *self.low.shape).clip(self.low, self.high).astype(self.low.dtype)


class Moves(NamedTuple):
    """What one step of a batch of L episodes gave; rows of those that were not running are whatever they were."""

    observations: FloatArray
    """(L, O)"""
    rewards: NDArray[np.float64]
    """(L,)"""
    terminated: NDArray[np.bool_]
    """(L,): where the environment itself ended the episode."""
    truncated: NDArray[np.bool_]
    """(L,): where the episode reached its horizon."""


class Environments(Protocol):
    """A batch of L episodes that advance together."""

    actions: Actions
    low: FloatArray
    """Least value of each observed number, shape (O,); -inf where there is none. `high`: greatest."""
    high: FloatArray

    def reset(self, seeds: NDArray[np.int64]) -> FloatArray:
        """Begin the episodes of `seeds` (L,); observations (L, O)."""
        ...

    def step(self, actions: NDArray[Any], running: NDArray[np.bool_]) -> Moves:
        """Advance the running episodes."""
        ...


class HardenedEnvironments:
    """Coarse senses: what is observed and, where wanted, rewarded takes a few values only.

    An observed number is clipped to its bounds and replaced by the centre of its bin, one of `levels` of equal width; a reward
    r by sign(r) floor(|r|/reward_step) reward_step. Source: EDITIONS.md, control.
    """

    def __init__(
        self,
        environments: Environments,
        levels: int | None = None,
        bounds: Sequence[float] | None = None,
        reward_step: float | None = None,
    ):
        """`bounds`: greatest absolute value of each of the O observed numbers; None: the environment's own. None for
        `levels` or `reward_step` leaves these as they are. Raises ValueError for values that make no bins.
        """
        if levels is not None:
            at_least(1, **{"task.observation_levels": levels})
        if reward_step is not None:
            positive(reward_step, "task.reward_step")
        self.actions = environments.actions
        self.low, self.high = environments.low, environments.high
        if bounds is not None:
            self.high = _limits(bounds, self.high.size)
            self.low = -self.high
        if levels is not None and not np.isfinite(self.high - self.low).all():
            raise SettingError(
                f"task.observation_levels={levels} needs bounds, and the environment bounds not all of what is observed; "
                f"set task.observation_bounds to {self.low.size} numbers"
            )
        self._environments, self._levels, self._reward_step = environments, levels, reward_step

    def reset(self, seeds: NDArray[np.int64]) -> FloatArray:
        """Begin the episodes of `seeds` (L,); observations (L, O)."""
        return self._coarse(self._environments.reset(seeds))

    def step(self, actions: NDArray[Any], running: NDArray[np.bool_]) -> Moves:
        """Advance the running episodes."""
        moves = self._environments.step(actions, running)
        rewards = moves.rewards
        if self._reward_step is not None:
            rewards = np.sign(rewards) * np.floor(np.abs(rewards) / self._reward_step) * self._reward_step
        return moves._replace(observations=self._coarse(moves.observations), rewards=rewards)

    def _coarse(self, observations: FloatArray) -> FloatArray:
        if self._levels is None:
            return observations
        width = (self.high - self.low) / self._levels
        number = np.floor((observations.clip(self.low, self.high) - self.low) / width)
        centres = self.low + (np.minimum(number, self._levels - 1) + 0.5) * width
        return centres.astype(np.float32)


def _limits(bounds: Sequence[float], observed: int) -> FloatArray:
    try:
        limits = np.asarray(bounds, np.float32)
    except (TypeError, ValueError):
        limits = np.empty(0, np.float32)
    if limits.shape != (observed,) or not ((limits > 0) & (limits < np.inf)).all():
        raise SettingError(
            f"task.observation_bounds must be {observed} numbers above 0, one for each observed number, got {bounds}"
        )
    return limits
