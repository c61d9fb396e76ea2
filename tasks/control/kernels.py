"""The compiled loops over candidates and episodes: a policy and the dynamics of its environment as one function."""

import math
from functools import cache
from typing import Any

import numpy as np
from numba import njit, prange

ZERO, INT8_LIMIT = np.float32(0), np.float32(127)


@njit
def activate_float(hidden: Any) -> None:
    """tanh"""
    for j in range(len(hidden)):
        hidden[j] = math.tanh(hidden[j])


@njit
def activate_int8(hidden: Any) -> None:
    """Multiples of max|x|/127."""
    largest = ZERO
    for j in range(len(hidden)):
        largest = max(largest, abs(hidden[j]))
    scale = largest / INT8_LIMIT
    if scale > 0:
        for j in range(len(hidden)):
            hidden[j] = np.rint(hidden[j] / scale) * scale


@njit
def activate_binary(hidden: Any) -> None:
    """sign(x), with sign(0) = 0"""
    for j in range(len(hidden)):
        hidden[j] = np.sign(hidden[j])


ACTIVATIONS = {"float": activate_float, "int8": activate_int8, "binary": activate_binary}


@cache
def build_roll_out(step: Any, observe: Any, observations: int, actions: int, hidden: int, activation: str) -> Any:
    """roll_out(points, first_states, horizon, threads, returns, lengths): whole episodes of every candidate.

    points: (N, D) float32, laid out as by `tasks.control.policy.Policy`. first_states: (N, E, S) float64. An episode ends with
    `step`, or after `horizon` steps; its sum of rewards and its length go to returns and lengths (N, E).
    """
    activate = ACTIVATIONS[activation]
    first_bias = hidden * observations
    second_weight = first_bias + hidden
    second_bias = second_weight + actions * hidden

    @njit(parallel=True)
    def roll_out(points: Any, first_states: Any, horizon: Any, threads: Any, returns: Any, lengths: Any) -> None:
        candidates, episodes, variables = first_states.shape
        for thread in prange(threads):
            weight = np.empty((observations, hidden), np.float32)
            units = np.empty(hidden, np.float32)
            observation = np.empty(observations, np.float32)
            state = np.empty(variables)
            # neighbouring episodes go to different threads: lengths differ most between candidates
            for place in range(thread, candidates * episodes, threads):
                candidate, episode = divmod(place, episodes)
                point = points[candidate]
                # transposed, so that the units of one input lie side by side
                for i in range(observations):
                    for j in range(hidden):
                        weight[i, j] = point[j * observations + i]
                state[:] = first_states[candidate, episode]
                total, length, ended = 0.0, 0, False
                while not ended and length < horizon:
                    observe(state, observation)
                    for j in range(hidden):
                        units[j] = point[first_bias + j]
                    for i in range(observations):
                        for j in range(hidden):
                            units[j] += weight[i, j] * observation[i]
                    activate(units)
                    action, best = 0, ZERO
                    for k in range(actions):
                        output = point[second_bias + k]
                        for j in range(hidden):
                            output += point[second_weight + k * hidden + j] * units[j]
                        if k == 0 or output > best:
                            action, best = k, output
                    reward, ended = step(state, action)
                    total += reward
                    length += 1
                returns[candidate, episode] = total
                lengths[candidate, episode] = length

    return roll_out


@cache
def build_step_all(step: Any, observe: Any) -> Any:
    """step_all(states, actions, running, observations, rewards, ended): one step of each running episode, in place."""

    @njit
    def step_all(states: Any, actions: Any, running: Any, observations: Any, rewards: Any, ended: Any) -> None:
        for lane in range(len(states)):
            if running[lane]:
                rewards[lane], ended[lane] = step(states[lane], actions[lane])
                observe(states[lane], observations[lane])

    return step_all
