"""From the displacement of a step to the movement of the point.

Every subspace lift is linear, so displacements are expressed in parameters and so is all memory: velocity, the direction
to coast along, the moments of the adaptive rule. Memory therefore survives a redraw of the subspace.
"""

from typing import Any, Literal, Protocol

import torch
from torch import Tensor

from polystep.component import component
from polystep.schedule import Moment, Schedule
from polystep.validation import at_least, non_negative, one_of, positive, schedule_of_positive, share_below_one


class Update(Protocol):
    """A rule with memory; `forget` drops the memory, `state_dict` holds it."""

    def move(self, displacement: Tensor, now: Moment, point: Tensor) -> Tensor:
        """Movement (D,) for the displacement (D,) of the step that begins now from `point` (D,)."""
        ...

    def forget(self) -> None:
        """Drop the memory."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """The memory."""
        ...

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up a memory from `state_dict`."""
        ...


@component("plain", version=1)
class Plain:
    """Move by the displacement."""

    def move(self, displacement: Tensor, now: Moment, point: Tensor) -> Tensor:
        """The displacement."""
        return displacement

    def forget(self) -> None:
        """There is no memory."""

    def state_dict(self) -> dict[str, Any]:
        """There is no memory."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """There is no memory."""


@component("clipped", version=1)
class Clipped:
    """Another rule's movement, cut so that no coordinate leaves [-bound, bound]: clip(point + movement) - point, rounded.

    Where only signs count, coordinates that run away can no longer be turned by any probe; in a box, probes that are longer
    than it is wide always can. With coasting along the displacement the point may leave the box until the next full step.
    """

    def __init__(self, bound: float = 1.0, rule: Update | None = None):
        """`rule`: whose movement is cut; None: `Plain`."""
        self.bound, self.rule = positive(bound, "bound"), rule or Plain()

    def move(self, displacement: Tensor, now: Moment, point: Tensor) -> Tensor:
        """The movement that ends in the box."""
        target = point + self.rule.move(displacement, now, point)
        return target.clamp_(-self.bound, self.bound).sub_(point)

    def forget(self) -> None:
        """Drop the memory of the rule."""
        self.rule.forget()

    def state_dict(self) -> dict[str, Any]:
        """The memory of the rule."""
        return self.rule.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up a memory of the rule."""
        self.rule.load_state_dict(state)


@component("momentum", version=1)
class Momentum:
    """velocity <- beta_t velocity + displacement; move by the velocity.

    beta_t rises linearly from `start` to `end` over the first `warmup_steps` steps; no (1 - beta) damping. The published
    runs all warmed up over 49 steps, whatever their length (METHOD.md, published quirks).
    """

    def __init__(self, start: float = 0.5, end: float = 0.95, warmup_steps: int = 49):
        share_below_one(**{"momentum start": start, "momentum end": end})
        at_least(1, warmup_steps=warmup_steps)
        self.start, self.end, self.warmup_steps = start, end, warmup_steps
        self._velocity: Tensor | None = None

    def move(self, displacement: Tensor, now: Moment, point: Tensor) -> Tensor:
        """The new velocity."""
        beta = self.start + min(1.0, now.step / self.warmup_steps) * (self.end - self.start)
        self._velocity = displacement if self._velocity is None else beta * self._velocity + displacement
        return self._velocity

    def forget(self) -> None:
        """Drop the velocity."""
        self._velocity = None

    def state_dict(self) -> dict[str, Any]:
        """The velocity."""
        return {} if self._velocity is None else {"velocity": self._velocity}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up a velocity."""
        self._velocity = state.get("velocity")


@component("adaptive", version=1)
class Adaptive:
    """Per-coordinate step sizes from first and second moments of the displacement g, as Adam does with a gradient.

    m <- beta1 m + (1 - beta1) g; v <- beta2 v + (1 - beta2) g^2 with bias correction;
    movement = rate_t (m/(sqrt(v) + epsilon) - weight_decay point). Source of the rule: Kingma and Ba, arXiv 1412.6980;
    decoupled decay: Loshchilov and Hutter, arXiv 1711.05101.
    """

    def __init__(
        self,
        learning_rate: float | Schedule,
        beta1: float = 0.9,
        beta2: float = 0.999,
        epsilon: float = 1e-12,
        weight_decay: float = 0.0,
    ):
        share_below_one(beta1=beta1, beta2=beta2)
        self.learning_rate = schedule_of_positive(learning_rate, "learning_rate")
        # a coordinate that has never moved has no other scale
        self.epsilon = positive(epsilon, "epsilon")
        self.beta1, self.beta2, self.weight_decay = beta1, beta2, non_negative(weight_decay, "weight_decay")
        self._first: Tensor | None = None
        self._second: Tensor | None = None
        self._count = 0

    def move(self, displacement: Tensor, now: Moment, point: Tensor) -> Tensor:
        """The movement of the rule above."""
        first = torch.zeros_like(displacement) if self._first is None else self._first
        second = torch.zeros_like(displacement) if self._second is None else self._second
        self._first = torch.lerp(displacement, first, self.beta1)
        self._second = torch.lerp(displacement.square(), second, self.beta2)
        self._count += 1
        mean = self._first / (1 - self.beta1**self._count)
        scale = (self._second / (1 - self.beta2**self._count)).sqrt() + self.epsilon
        movement: Tensor = self.learning_rate.at(now) * (mean / scale - self.weight_decay * point)
        return movement

    def forget(self) -> None:
        """Drop both moments."""
        self._first = self._second = None
        self._count = 0

    def state_dict(self) -> dict[str, Any]:
        """Both moments and their number of updates."""
        return {} if self._first is None else {"first": self._first, "second": self._second, "count": self._count}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up moments."""
        self.forget()
        if state:
            self._first, self._second, self._count = state["first"], state["second"], state["count"]


@component("coasting", version=1)
class Coasting:
    """Where a step without evaluation moves: along an exponential average of past full steps (METHOD.md, coasting).

    A step t is full if t mod period = 0 or nothing is stored. After a full step average <- decay average + (1 - decay) D;
    another step moves by (1 - phase) average with phase = (t mod period)/period. D is the step's displacement
    ("transport", what the paper describes) or its whole movement with momentum ("total", what the published runs did).
    """

    def __init__(self, period: int = 3, decay: float = 0.7, direction: Literal["transport", "total"] = "transport"):
        at_least(1, **{"coasting period": period})
        one_of(("transport", "total"), **{"coasting direction": direction})
        share_below_one(**{"coasting decay": decay})
        self.period, self.decay, self.direction = period, decay, direction
        self._average: Tensor | None = None

    def is_full(self, step: int) -> bool:
        """Whether step t evaluates candidates."""
        return step % self.period == 0 or self._average is None

    def record(self, displacement: Tensor, movement: Tensor) -> None:
        """Take in a full step."""
        moved = displacement if self.direction == "transport" else movement
        self._average = moved if self._average is None else self.decay * self._average + (1 - self.decay) * moved

    def movement(self, step: int) -> Tensor:
        """Movement (D,) of a step that is not full."""
        if self._average is None:
            raise RuntimeError(f"step {step} cannot coast: no full step has been recorded")
        return (1 - (step % self.period) / self.period) * self._average

    def forget(self) -> None:
        """Drop the average, so that the next step is full."""
        self._average = None

    def state_dict(self) -> dict[str, Any]:
        """The average."""
        return {} if self._average is None else {"average": self._average}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up an average."""
        self._average = state.get("average")
