"""The objectives that the checks of optimisers use."""

from collections.abc import Callable
from typing import Any, NoReturn, get_args

import torch
from torch import Tensor

from polystep.candidates import Candidates
from polystep.capabilities import ClauseView, EnvironmentView, Found, GradientKind
from polystep.contracts import Spent
from polystep.random import named_generator


class QuadraticObjective:
    """f(x) = |x - 1|^2 / D, a cheap objective for checking optimisers; all kinds of gradient are the exact one.

    Solvers that work on clauses, and learners that act in an environment, find such that have nothing to do with f.
    """

    gradients: tuple[GradientKind, ...] = get_args(GradientKind)

    def __init__(self) -> None:
        self.spent = Spent()

    def losses(self, candidates: Candidates) -> Tensor:
        """f of every candidate, shape (N,)."""
        self.spent += Spent(candidate_evaluations=len(candidates))
        return (candidates.dense(slice(None)) - 1).square().mean(-1)

    def gradient(self, point: Tensor, kind: GradientKind) -> tuple[Tensor, Tensor]:
        """f and its gradient at `point`."""
        self.spent += Spent(backward_passes=1)
        return (point - 1).square().mean(), 2 * (point - 1) / len(point)

    perturbs_nodes = True

    def perturb_nodes(
        self, point: Tensor, deviation: float, passes: int, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """f and its gradient with noise."""
        self.spent += Spent(candidate_evaluations=1 + passes)
        noise = torch.randn(point.shape, generator=generator, device=point.device) * deviation / passes**0.5
        return (point - 1).square().mean(), 2 * (point - 1) / len(point) + noise

    def search(self, solver: Callable[[ClauseView], tuple[Found, Spent]]) -> Found:
        """What `solver` makes of the clauses."""
        found, spent = solver(SomeClauses())
        self.spent += spent
        return found

    def interact(self, learner: Callable[[EnvironmentView], Found]) -> Found:
        """What `learner` makes of the environment."""
        from polystep.conformance.environment import SomeEnvironments

        view = SomeEnvironments()
        found = learner(view)
        self.spent += Spent(environment_steps=view.steps)
        return found


class FailingObjective(QuadraticObjective):
    """Evaluates nothing: whatever is asked of it raises ConnectionError."""

    asked = False

    def _fail(self, *_: Any, **__: Any) -> NoReturn:
        self.asked = True
        raise ConnectionError("the objective is out of reach")

    losses = gradient = perturb_nodes = search = interact = _fail


class SomeClauses:
    """400 random clauses of two literals over the 76 variables of `check_optimizer`."""

    variables, weights, hard, scale = 76, None, None, 1.0

    def __init__(self) -> None:
        generator = named_generator(0, "clauses of the conformance checks")
        one = torch.randint(self.variables - 1, (400,), generator=generator)
        pairs = torch.stack([one, one + 1], dim=1)
        signs = torch.randint(2, pairs.shape, generator=generator)
        self.codes = (2 * pairs + signs).flatten().to(torch.uint32).numpy()
        self.starts = torch.arange(0, 801, 2).numpy()
