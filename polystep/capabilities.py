"""What some objectives offer besides losses: gradients, noise on the units of a network, clauses to search, an environment.

`capability(objective, Gradients)` finds it, however the objective is wrapped. A wrapper passes on what it is asked for, so a
further capability is one more protocol here, and nothing else changes.
"""

from collections.abc import Callable, Sequence
from typing import Any, Literal, Protocol, TypeVar, runtime_checkable

from torch import Generator, Tensor

from polystep.contracts import ExpectedError, Objective, Spent

Offered = TypeVar("Offered")
Found = TypeVar("Found")

GradientKind = Literal["exact", "surrogate", "straight_through", "smooth"]
"""What is differentiated where a model has hard parts.

exact: the model itself. surrogate: the same forward pass with a surrogate derivative of the spike. straight_through: the
same forward pass with the derivative of the identity, or of a softmax, in place of that of rounding, stairs or argmax.
smooth: a smooth substitute at the same parameters, whose loss is another one.
"""


class CapabilityUnavailable(ExpectedError):
    """A method needs what the objective does not offer; the message says which tasks or methods to use instead."""


@runtime_checkable
class WrappedObjective(Objective, Protocol):
    """An objective around another one."""

    def capability(self, kind: type[Offered]) -> Offered | None:
        """What the wrapped objective offers of a kind, treated as this wrapper treats losses; None where it does not."""
        ...


def capability(objective: Objective, kind: type[Offered]) -> Offered | None:
    """What `objective` offers of a kind, which is a protocol of this module or your own; None where it does not."""
    if isinstance(objective, WrappedObjective):
        return objective.capability(kind)
    return objective if isinstance(objective, kind) else None


@runtime_checkable
class Gradients(Protocol):
    """Gradients of the loss."""

    @property
    def gradients(self) -> Sequence[GradientKind]:
        """The kinds that are offered; possibly none."""
        ...

    def gradient(self, point: Tensor, kind: GradientKind) -> tuple[Tensor, Tensor]:
        """Loss (a scalar) and gradient (D,) at `point` of what `kind` differentiates; `kind` must be offered."""
        ...


def gradients_of(objective: Objective, kind: GradientKind) -> Gradients:
    """What gives gradients of a kind; CapabilityUnavailable, naming the kinds that there are, where nothing does."""
    found = capability(objective, Gradients)
    if found is not None and kind in found.gradients:
        return found
    offered = () if found is None else found.gradients
    remedies = [f"optimizer={'adam' if other == 'exact' else f'adam_{other}'}" for other in offered]
    raise CapabilityUnavailable(
        f"the task offers no {kind} gradient; use "
        + " or ".join([*remedies, "a gradient-free optimiser such as optimizer=polystep"])
    )


@runtime_checkable
class PerturbedNodes(Protocol):
    """Losses of a network with noise on what its units receive."""

    @property
    def perturbs_nodes(self) -> bool:
        """Whether the network has such units."""
        ...

    def perturb_nodes(
        self, point: Tensor, deviation: float, passes: int, generator: Generator
    ) -> tuple[Tensor, Tensor]:
        """Loss (a scalar) at `point` and an estimate (D,) of its gradient by `passes` passes with noise of a deviation."""
        ...


def perturbed_nodes_of(objective: Objective) -> PerturbedNodes:
    """What perturbs the units of `objective`; CapabilityUnavailable where nothing does."""
    found = capability(objective, PerturbedNodes)
    if found is None or not found.perturbs_nodes:
        raise CapabilityUnavailable(
            "node perturbation adds noise to the units of a network, which the task does not show; use it with a task such as "
            "task=snn, or use another optimiser, such as optimizer=polystep"
        )
    return found


class ClauseView(Protocol):
    """Clauses over n Boolean variables x_v, true where point[v] > 0; loss = scale x the weights of those not satisfied.

    codes: uint32 array, 2 v + s for v = 0..n - 1 with s = 1 where v is negated, each variable once per clause. starts: int64
    array, clause c is codes[starts[c]:starts[c + 1]]. weights: int64 array, None where each is 1. hard: array of booleans,
    None where no clause is; a broken one costs its weight, but no point that breaks one is a solution.
    """

    @property
    def variables(self) -> int: ...
    @property
    def codes(self) -> Any: ...
    @property
    def starts(self) -> Any: ...
    @property
    def weights(self) -> Any: ...
    @property
    def hard(self) -> Any: ...
    @property
    def scale(self) -> float: ...


@runtime_checkable
class Clauses(Protocol):
    """Clauses for solvers to work on."""

    def search(self, solver: Callable[[ClauseView], tuple[Found, Spent]]) -> Found:
        """What `solver` makes of the clauses; what it says that it spent is charged."""
        ...


def clauses_of(objective: Objective) -> Clauses:
    """The clauses of `objective`; CapabilityUnavailable where it has none."""
    found = capability(objective, Clauses)
    if found is None:
        raise CapabilityUnavailable(
            "this solver works on clauses, which the task does not have; use it with task=maxsat"
        )
    return found


class EnvironmentView(Protocol):
    """An environment to act in, and the policy that acts at a point."""

    def make(self) -> Any:
        """A gymnasium.Env that is independent of those made before; every step in it is charged as it is made."""
        ...

    def outputs(self, point: Tensor, observations: Tensor, kind: GradientKind) -> Tensor:
        """Outputs (B, A) of the policy at `point` (D,) for observations (B, O): preferences for discrete actions, else the
        action itself. Differentiable in `point`, in the way of `kind`, "exact" or "straight_through"; charged as B backward
        passes where gradients are recorded.
        """
        ...

    def quantised(self, values: Tensor) -> Tensor:
        """Values (B, A) through the policy's activation as it quantises, with derivatives of zero; as they are where it does
        not quantise.
        """
        ...


@runtime_checkable
class Environment(Protocol):
    """An environment for learners to act in."""

    def interact(self, learner: Callable[[EnvironmentView], Found]) -> Found:
        """What `learner` makes of the environment."""
        ...


def environment_of(objective: Objective) -> Environment:
    """The environment of `objective`; CapabilityUnavailable where it has none."""
    found = capability(objective, Environment)
    if found is None:
        raise CapabilityUnavailable(
            "this learner acts in an environment, which the task does not have; use it with task=cartpole, task=acrobot or "
            "task=control, or use another optimiser, such as optimizer=polystep"
        )
    return found
