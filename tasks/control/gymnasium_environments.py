"""Environments of Gymnasium with a Box observation and a Discrete or Box action."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from polystep.contracts import ExpectedError
from polystep.packages import MissingPackageError, optional_package
from polystep.validation import SettingError
from tasks.control.environments import Actions, BoxActions, DiscreteActions, FloatArray, Moves


class EnvironmentFailure(ExpectedError):
    """An environment raised an exception or gave a reward that is not a number; the message says which one and when."""


class GymnasiumEnvironments:
    """As many copies of one environment as there are episodes; those that have ended are not stepped."""

    def __init__(self, name: str, horizon: int | None):
        """`name`: id of an environment, "package:id" where a package has to be imported for it. `horizon`: steps after which
        an episode ends; None: the environment's own. Raises MissingPackageError, and ValueError for unknown names, for spaces
        that a policy cannot serve, and where nothing ends the episodes.
        """
        self.name, self._horizon = name, horizon
        first = self._make()
        self.actions = _actions(first.action_space, name)
        self.low, self.high = _bounds(first.observation_space, name)
        if first.spec is None or first.spec.max_episode_steps is None:
            raise SettingError(
                f"task.env={name} sets no limit to the length of its episodes, so they may never end; set task.horizon"
            )
        self._copies = [first]

    def reset(self, seeds: NDArray[np.int64]) -> FloatArray:
        """Begin the episodes of `seeds` (L,); observations (L, O)."""
        self._copies += [self._make() for _ in range(len(seeds) - len(self._copies))]
        self._seeds, self._length = seeds, 0
        self._observations = np.empty((len(seeds), self.low.size), np.float32)
        for lane, seed in enumerate(seeds):
            try:
                observation, _ = self._copies[lane].reset(seed=int(seed))
            except Exception as error:
                raise self._failure(lane, f"reset raised {type(error).__name__}: {error}") from error
            self._observations[lane] = np.ravel(observation)
        return self._observations.copy()

    def step(self, actions: NDArray[Any], running: NDArray[np.bool_]) -> Moves:
        """Advance the running episodes. Raises EnvironmentFailure."""
        rewards = np.zeros(len(running))
        terminated, truncated = np.zeros((2, len(running)), np.bool_)
        self._length += 1
        for lane in np.flatnonzero(running).tolist():
            try:
                observation, reward, terminated[lane], truncated[lane], _ = self._copies[lane].step(actions[lane])
                rewards[lane] = reward
            except Exception as error:
                raise self._failure(
                    lane, f"step raised {type(error).__name__}: {error}; the action was {actions[lane]}"
                ) from error
            if not np.isfinite(rewards[lane]):
                raise self._failure(lane, f"the reward of action {actions[lane]} is {reward}, not a finite number")
            self._observations[lane] = np.ravel(observation)
        return Moves(self._observations.copy(), rewards, terminated, truncated)

    def _make(self) -> Any:
        gymnasium = optional_package("gymnasium", f"task.env={self.name}", "gymnasium", "bench")
        try:
            return gymnasium.make(self.name, max_episode_steps=self._horizon, disable_env_checker=True)
        except (gymnasium.error.DependencyNotInstalled, ImportError) as error:
            remedy = (
                "; install it with: pip install -c constraints.txt -e '.[mujoco]'" if "MuJoCo" in str(error) else ""
            )
            raise MissingPackageError(
                f"task.env={self.name} needs a package that is not installed: {error}{remedy}"
            ) from error
        except gymnasium.error.Error as error:
            raise SettingError(f"task.env={self.name} is no environment of Gymnasium: {error}") from error
        except Exception as error:
            raise EnvironmentFailure(
                f"environment {self.name} cannot be built: {type(error).__name__}: {error}; correct the environment, then "
                "repeat the command"
            ) from error

    def _failure(self, lane: int, what: str) -> EnvironmentFailure:
        return EnvironmentFailure(
            f"environment {self.name} failed in the episode of seed {self._seeds[lane]} at step {self._length}: {what}; "
            "correct the environment, then repeat the command"
        )


def _actions(space: Any, name: str) -> Actions:
    from gymnasium.spaces import Box, Discrete

    if isinstance(space, Discrete):
        return DiscreteActions(int(space.n), int(space.start))
    if isinstance(space, Box) and np.issubdtype(space.dtype, np.floating):
        return BoxActions(space.low, space.high)
    raise SettingError(f"task.env={name} has the action space {space}; supported are Discrete and Box of real numbers")


def _bounds(space: Any, name: str) -> tuple[FloatArray, FloatArray]:
    from gymnasium.spaces import Box

    if not isinstance(space, Box):
        raise SettingError(f"task.env={name} has the observation space {space}; supported is Box")
    return space.low.ravel().astype(np.float32), space.high.ravel().astype(np.float32)
