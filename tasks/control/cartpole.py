"""CartPole-v1: the equations of Gymnasium, operation by operation, in float64."""

import math
from typing import Any

from numba import njit

GRAVITY = 9.8
POLE_MASS = 0.1
TOTAL_MASS = 0.1 + 1.0
HALF_LENGTH = 0.5
POLE_MASS_LENGTH = 0.1 * 0.5
FORCE = 10.0
SECONDS = 0.02
GREATEST_POSITION = 2.4
GREATEST_ANGLE = 12 * 2 * math.pi / 360


@njit
def step(state: Any, action: Any) -> Any:
    """Move the state (position, velocity, angle, angular velocity) by one Euler step; reward and whether the pole fell."""
    position, velocity, angle, angular_velocity = state[0], state[1], state[2], state[3]
    force = FORCE if action == 1 else -FORCE
    cosine, sine = math.cos(angle), math.sin(angle)
    pushed = (force + POLE_MASS_LENGTH * (angular_velocity * angular_velocity) * sine) / TOTAL_MASS
    angular_acceleration = (GRAVITY * sine - cosine * pushed) / (
        HALF_LENGTH * (4.0 / 3.0 - POLE_MASS * (cosine * cosine) / TOTAL_MASS)
    )
    acceleration = pushed - POLE_MASS_LENGTH * angular_acceleration * cosine / TOTAL_MASS
    state[0] = position + SECONDS * velocity
    state[1] = velocity + SECONDS * acceleration
    state[2] = angle + SECONDS * angular_velocity
    state[3] = angular_velocity + SECONDS * angular_acceleration
    return 1.0, abs(state[0]) > GREATEST_POSITION or abs(state[2]) > GREATEST_ANGLE


@njit
def observe(state: Any, observation: Any) -> None:
    """The state itself."""
    for i in range(4):
        observation[i] = state[i]
