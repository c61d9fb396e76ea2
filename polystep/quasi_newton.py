"""Quasi-Newton steps: the curvature of the loss, learnt from how the displacement changes from step to step."""

import math
from typing import Any

import torch
from torch import Tensor

from polystep.component import component
from polystep.schedule import Moment
from polystep.validation import at_least, non_negative, positive


@component("quasi_newton", version=1)
class QuasiNewton:
    """Move by H d in a trust region, where d is the displacement, -gradient up to a factor, and H the inverse curvature.

    H follows from the last `memory` pairs s = change of the point, y = change of -d with s.y > 0, by the limited-memory BFGS
    formula (Nocedal, Updating Quasi-Newton Matrices with Limited Storage, 1980, section 2). Longer movements are cut to the
    trust radius, which grows where d points along the movement m before it and shrinks where it points back:
        radius <- radius exp(gain (cos(d, m) - caution))
    The factor between d and the gradient must not change: linear weights, step radius times probe radius constant.
    """

    def __init__(self, radius: float = 0.3, gain: float = 0.2, caution: float = 0.0, memory: int = 100):
        """`radius`: the first trust radius. `caution`: above 0, radii shrink where directions are random, as under noise."""
        self._first_radius, self._gain = positive(radius, "radius"), positive(gain, "gain")
        self._caution = non_negative(caution, "caution")
        at_least(1, memory=memory)
        self._memory = memory
        self._pairs: list[tuple[Tensor, Tensor]] = []
        self._last: tuple[Tensor, Tensor, Tensor] | None = None
        self._radius = self._first_radius

    def move(self, displacement: Tensor, now: Moment, point: Tensor) -> Tensor:
        """The movement of the rule above."""
        if self._last is not None:
            before, displacement_before, moved = self._last
            self._remember(point - before, displacement_before - displacement)
            cosine = float(_unit(displacement) @ _unit(moved))
            self._radius *= math.exp(self._gain * (cosine - self._caution))
        movement = self._times_inverse_curvature(displacement)
        length = float(movement.norm())
        if length > self._radius or not self._pairs:
            movement = _unit(movement) * self._radius
        self._last = point, displacement, movement
        return movement

    def _remember(self, step: Tensor, change: Tensor) -> None:
        if float(step @ change) > 0:
            self._pairs = [*self._pairs, (step, change)][-self._memory :]

    def _times_inverse_curvature(self, vector: Tensor) -> Tensor:
        """H vector by the two loops of the formula; the vector itself without pairs."""
        shares = []
        for step, change in reversed(self._pairs):
            share = (step @ vector) / (step @ change)
            vector = vector - share * change
            shares.append(share)
        if self._pairs:
            step, change = self._pairs[-1]
            vector = vector * (step @ change) / (change @ change)
        for (step, change), share in zip(self._pairs, reversed(shares), strict=True):
            vector = vector + (share - (change @ vector) / (step @ change)) * step
        return vector

    def forget(self) -> None:
        """Drop the pairs, the last step and the radius."""
        self._pairs, self._last, self._radius = [], None, self._first_radius

    def state_dict(self) -> dict[str, Any]:
        """The pairs, the last step and the radius."""
        if self._last is None:
            return {}
        pairs = {str(k): torch.stack(pair) for k, pair in enumerate(self._pairs)}
        return {"pairs": pairs, "last": torch.stack(self._last), "radius": self._radius}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up pairs, a last step and a radius."""
        self.forget()
        if state:
            self._pairs = [(step, change) for step, change in state["pairs"].values()]
            self._last = (*state["last"],)
            self._radius = state["radius"]


def _unit(vector: Tensor) -> Tensor:
    """vector/|vector|, zero where it is zero."""
    length = vector.norm()
    return vector / length if length > 0 else vector
