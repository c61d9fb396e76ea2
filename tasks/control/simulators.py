"""Environments that are simulated here, many episodes at once, and that equal Gymnasium's step by step."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasks.control import acrobot, cartpole
from tasks.control.environments import Actions, DiscreteActions, FloatArray, Moves
from tasks.control.kernels import build_step_all


@dataclass(frozen=True, eq=False)
class Simulator:
    """The dynamics of one environment.

    step(state, action): moves a state (4,) in place and returns reward and whether the episode ends. observe(state,
    observation): what is seen of it. First states are uniform on +-spread. high: bounds of what is observed, shape (O,).
    """

    step: Any
    observe: Any
    actions: int
    high: FloatArray
    spread: float
    horizon: int
    state_type: type[np.floating[Any]]

    def first_states(self, seeds: NDArray[np.int64]) -> NDArray[np.float64]:
        """States (..., 4) that Gymnasium's reset gives for `seeds` (...), float64."""
        states = np.empty((*seeds.shape, 4))
        for place in np.ndindex(seeds.shape):
            generator = np.random.Generator(np.random.PCG64(int(seeds[place])))
            states[place] = generator.uniform(-self.spread, self.spread, 4).astype(self.state_type)
        return states


CART_POLE = Simulator(
    step=cartpole.step,
    observe=cartpole.observe,
    actions=2,
    high=np.array([4.8, np.inf, 2 * cartpole.GREATEST_ANGLE, np.inf], np.float32),
    spread=0.05,
    horizon=500,
    state_type=np.float64,
)
ACROBOT = Simulator(
    step=acrobot.step,
    observe=acrobot.observe,
    actions=3,
    high=np.array([1, 1, 1, 1, 4 * math.pi, 9 * math.pi], np.float32),
    spread=0.1,
    horizon=500,
    state_type=np.float32,
)
SIMULATORS = {"CartPole-v1": CART_POLE, "Acrobot-v1": ACROBOT}


class SimulatedEnvironments:
    """Episodes of a simulator that advance together."""

    def __init__(self, simulator: Simulator, horizon: int):
        """`horizon`: steps after which an episode ends."""
        self.actions: Actions = DiscreteActions(simulator.actions)
        self.low, self.high = -simulator.high, simulator.high
        self._simulator, self._horizon = simulator, horizon
        self._step_all = build_step_all(simulator.step, simulator.observe)

    def reset(self, seeds: NDArray[np.int64]) -> FloatArray:
        """Begin the episodes of `seeds` (L,); observations (L, O)."""
        self._states = self._simulator.first_states(seeds)
        self._observations = np.empty((len(seeds), len(self.high)), np.float32)
        self._rewards, self._terminated = np.zeros(len(seeds)), np.zeros(len(seeds), np.bool_)
        self._length = 0
        for state, observation in zip(self._states, self._observations, strict=True):
            self._simulator.observe(state, observation)
        return self._observations.copy()

    def step(self, actions: NDArray[Any], running: NDArray[np.bool_]) -> Moves:
        """Advance the running episodes."""
        self._step_all(self._states, actions, running, self._observations, self._rewards, self._terminated)
        self._length += 1
        truncated = np.full(len(running), self._length >= self._horizon)
        return Moves(self._observations.copy(), self._rewards.copy(), self._terminated.copy(), truncated)
