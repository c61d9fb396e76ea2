"""Acrobot-v1: the equations of Gymnasium (the book's, Sutton and Barto), operation by operation, in float64.

Masses, lengths and moments of inertia are 1 there, centres of mass lie at 1/2; products with 1 are left out.
"""

import math
from typing import Any

from numba import njit

GRAVITY = 9.8
SECONDS = 0.2
GREATEST_VELOCITIES = (4 * math.pi, 9 * math.pi)


@njit
def derivatives(angle_1: Any, angle_2: Any, velocity_1: Any, velocity_2: Any, torque: Any) -> Any:
    """Derivatives of the four state variables."""
    cosine, sine = math.cos(angle_2), math.sin(angle_2)
    d1 = 0.25 + (1.25 + cosine) + 1.0 + 1.0
    d2 = (0.25 + 0.5 * cosine) + 1.0
    phi_2 = 0.5 * GRAVITY * math.cos(angle_1 + angle_2 - math.pi / 2.0)
    phi_1 = (
        -0.5 * (velocity_2 * velocity_2) * sine
        - velocity_2 * velocity_1 * sine
        + 1.5 * GRAVITY * math.cos(angle_1 - math.pi / 2)
        + phi_2
    )
    acceleration_2 = (torque + d2 / d1 * phi_1 - 0.5 * (velocity_1 * velocity_1) * sine - phi_2) / (
        0.25 + 1.0 - d2 * d2 / d1
    )
    acceleration_1 = -(d2 * acceleration_2 + phi_1) / d1
    return velocity_1, velocity_2, acceleration_1, acceleration_2


@njit
def moved(state: Any, seconds: Any, slope: Any, torque: Any) -> Any:
    """Derivatives at state + seconds slope."""
    return derivatives(
        state[0] + seconds * slope[0],
        state[1] + seconds * slope[1],
        state[2] + seconds * slope[2],
        state[3] + seconds * slope[3],
        torque,
    )


@njit
def wrap(angle: Any) -> Any:
    """The angle in [-pi, pi]."""
    while angle > math.pi:
        angle -= 2 * math.pi
    while angle < -math.pi:
        angle += 2 * math.pi
    return angle


@njit
def step(state: Any, action: Any) -> Any:
    """Move the state (two angles, two angular velocities) by one Runge-Kutta step; reward and whether the tip is up."""
    torque = action - 1.0
    slope_1 = derivatives(state[0], state[1], state[2], state[3], torque)
    slope_2 = moved(state, SECONDS / 2.0, slope_1, torque)
    slope_3 = moved(state, SECONDS / 2.0, slope_2, torque)
    slope_4 = moved(state, SECONDS, slope_3, torque)
    for i in range(4):
        state[i] += SECONDS / 6.0 * (slope_1[i] + 2 * slope_2[i] + 2 * slope_3[i] + slope_4[i])
    for i in range(2):
        state[i] = wrap(state[i])
        state[2 + i] = min(max(state[2 + i], -GREATEST_VELOCITIES[i]), GREATEST_VELOCITIES[i])
    up = -math.cos(state[0]) - math.cos(state[1] + state[0]) > 1.0
    return 0.0 if up else -1.0, up


@njit
def observe(state: Any, observation: Any) -> None:
    """Cosine and sine of both angles, and both velocities."""
    observation[0], observation[1] = math.cos(state[0]), math.sin(state[0])
    observation[2], observation[3] = math.cos(state[1]), math.sin(state[1])
    observation[4], observation[5] = state[2], state[3]
