"""Conformance checks that every optimiser and every task must pass.

They raise AssertionError with a sentence about what is violated, so that they serve tests here and in other packages.
`optimizer_checks` and `task_checks` say, one by one, what holds.
"""

import pickle
import random
from collections.abc import Callable, Iterator
from typing import Any, NoReturn, get_args

import numpy
import torch
from torch import Tensor

from polystep.candidates import Candidates, DenseCandidates
from polystep.capabilities import (
    ClauseView,
    EnvironmentView,
    Found,
    GradientKind,
    Gradients,
    PerturbedNodes,
    capability,
)
from polystep.contracts import Objective, Optimizer, Spent, Task, loss_dtype
from polystep.layout import ParameterLayout
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
        from polystep.conformance_environment import SomeEnvironments

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


def check_optimizer(factory: Callable[..., Optimizer], steps: int = 5) -> None:
    """All of `optimizer_checks`; AssertionError at the first that does not hold."""
    for _ in optimizer_checks(factory, steps):
        pass


def optimizer_checks(factory: Callable[..., Optimizer], steps: int = 5) -> Iterator[str]:
    """What an optimiser, built as `factory(layout=..., point=..., seed=...)`, owes by its contract: a sentence for each thing
    that holds, AssertionError at the first that does not.

    Another seed must move otherwise, unless the method follows gradients alone. Resuming must continue bit for bit, from
    what a checkpoint can hold.
    """
    layout = ParameterLayout({"first.weight": (6, 7), "first.bias": (6,), "second.weight": (4, 6), "second.bias": (4,)})
    start = torch.linspace(-0.5, 0.5, layout.size)

    def build(seed: int) -> Optimizer:
        return factory(layout=layout, point=start, seed=seed)

    global_states = _global_random_states()
    optimizer = build(0)
    assert optimizer.solution.shape == start.shape, f"solution must have shape {tuple(start.shape)}"
    assert torch.equal(optimizer.solution, start), "before the first step the solution must be the starting point"
    yield "its solution is the starting point before the first step"
    trajectory = _trajectory(optimizer, 0, steps)
    for step, reached in enumerate(trajectory):
        assert torch.isfinite(reached).all(), f"the solution after step {step} is not finite: {_first_bad(reached)}"
    yield "the solution stays finite"
    assert torch.equal(start, torch.linspace(-0.5, 0.5, layout.size)), "the starting point was changed in place"
    yield "steps leave the starting point that it was given as it is"
    for step, (reached, again) in enumerate(zip(trajectory, _trajectory(build(0), 0, steps), strict=True)):
        assert torch.equal(reached, again), (
            f"two optimisers with seed 0 part at step {step}; draw all random numbers from "
            "polystep.random.named_generator(seed, ...)"
        )
    yield f"the same seed gives the same {steps} steps"
    objective = QuadraticObjective()
    build(0).step(objective, 0.0)
    assert objective.spent != Spent(), "the first step evaluated neither candidates nor gradients through the objective"
    yield "the objective is charged for what a step evaluates"
    if objective.spent.candidate_evaluations:
        assert not torch.equal(trajectory[-1], _trajectory(build(1), 0, steps)[-1]), (
            f"seeds 0 and 1 lead to the same point after {steps} steps; derive all draws from `seed`"
        )
        yield "another seed gives other steps"
    for interrupted_after in range(steps):
        first = build(0)
        _trajectory(first, 0, interrupted_after, steps)
        state = _stored(first.state_dict())
        second = build(0)
        second.load_state_dict(state)
        resumed = _trajectory(second, interrupted_after, steps)
        assert torch.equal(resumed[-1], trajectory[-1]), f"resuming after {interrupted_after} steps gives other numbers"
    yield f"resuming after any of the {steps} steps continues bit for bit"
    troubled, failing = build(0), FailingObjective()
    _trajectory(troubled, 0, 1, steps)
    try:
        troubled.step(failing, 1 / steps)
    except ConnectionError:
        repeated = _trajectory(troubled, 1, steps)
        assert torch.equal(repeated[-1], trajectory[-1]), "repeating a step whose evaluation failed gives other numbers"
        yield "a step whose evaluation fails can be repeated, as if nothing had been"
    else:
        assert not failing.asked, "an evaluation failed, but the step did not"
    _check_random_states(global_states)
    yield "the global random states of torch, numpy and Python are left alone"


def check_task(factory: Callable[[int], Task], steps: int = 3) -> None:
    """All of `task_checks`; AssertionError at the first that does not hold."""
    for _ in task_checks(factory, steps):
        pass


def task_checks(factory: Callable[[int], Task], steps: int = 3) -> Iterator[str]:
    """What a task, built as `factory(seed)`, owes by its contract: a sentence for each thing that holds, AssertionError at the
    first that does not.

    Of gradients, where they are offered: shape, finiteness, charge, that all but smooth ones belong to the same loss, and that
    exact ones are its slope. Of the estimate by noise on units, where it is offered: shape, finiteness, charge, and the loss.
    """
    global_states = _global_random_states()
    task, twin = factory(0), factory(0)
    point = task.initial_point(0)
    assert point.shape == (task.layout.size,), f"initial_point must have shape ({task.layout.size},)"
    assert torch.equal(point, twin.initial_point(0)), "initial_point is not determined by the seed"
    assert not torch.equal(point, task.initial_point(1)), "initial_point ignores the seed"
    yield "the starting point follows from the seed"
    assert task.fingerprint == twin.fingerprint, "the fingerprint of the same data differs"
    assert task.steps_per_epoch >= 1, "steps_per_epoch must be at least 1"
    yield "the same data have the same fingerprint"
    candidates = DenseCandidates(torch.stack([point, point + 0.1, point]))
    losses = [_check_objective(task.next_objective(), candidates) for _ in range(steps)]
    yield "losses are finite, one for each candidate, equal for equal ones, and charged; gradients belong to them"
    repeated = [twin.next_objective().losses(candidates) for _ in range(steps)]
    assert torch.equal(torch.stack(losses), torch.stack(repeated)), "the data stream is not determined by the seed"
    yield f"the same seed gives the same {steps} objectives"
    if not all(torch.equal(other, losses[0]) for other in losses):
        stranger = factory(1)
        others = [stranger.next_objective().losses(candidates) for _ in range(steps)]
        assert not torch.equal(torch.stack(losses), torch.stack(others)), "the data stream ignores the seed"
        yield "another seed gives other objectives"
    state = _stored(task.state_dict())
    continued = task.next_objective().losses(candidates)
    resumed = factory(0)
    resumed.load_state_dict(state)
    assert torch.equal(resumed.next_objective().losses(candidates), continued), (
        "the data stream does not resume exactly"
    )
    yield "the stream of objectives resumes exactly"
    for judge in (task.validate, task.test):
        score = judge(point)
        assert score == score, f"{judge.__name__} gives NaN for the initial point"
        assert score == judge(point), f"{judge.__name__} gives another score for the same point"
    assert task.metric.direction in ("maximize", "minimize"), "metric.direction must be maximize or minimize"
    yield "the same point has the same validation and test score"
    _check_random_states(global_states)
    yield "the global random states of torch, numpy and Python are left alone"


def _check_objective(objective: Objective, candidates: Candidates) -> Tensor:
    before = objective.spent
    losses = objective.losses(candidates)
    assert losses.shape == (len(candidates),), f"losses must have shape ({len(candidates)},), got {tuple(losses.shape)}"
    expected = loss_dtype(objective)
    assert losses.dtype == expected, f"losses must be {expected}, as loss_dtype says, got {losses.dtype}"
    assert torch.isfinite(losses).all(), f"losses at the initial point are not finite: {_first_bad(losses)}"
    assert torch.equal(losses[0], losses[2]), "equal candidates have different losses"
    charged = (objective.spent - before).candidate_evaluations
    assert charged == len(candidates), f"{len(candidates)} candidates were charged as {charged}"
    (point,) = candidates.dense(slice(0, 1))
    if (offered := capability(objective, Gradients)) is not None:
        for kind in offered.gradients:
            _check_gradient(objective, offered, kind, point, losses[0])
    noisy = capability(objective, PerturbedNodes)
    if noisy is not None and noisy.perturbs_nodes:
        _check_perturbed_nodes(objective, noisy, point, losses[0])
    return losses


def _check_gradient(
    objective: Objective, offered: Gradients, kind: GradientKind, point: Tensor, expected: Tensor
) -> None:
    before, kept = objective.spent, point.clone()
    loss, gradient = offered.gradient(point, kind)
    assert torch.equal(point, kept), f"the {kind} gradient changes the point in place"
    assert gradient.shape == point.shape, (
        f"the {kind} gradient has shape {tuple(gradient.shape)}, not that of the point"
    )
    assert gradient.dtype == torch.float32, f"the {kind} gradient must be float32, got {gradient.dtype}"
    assert torch.isfinite(gradient).all(), (
        f"the {kind} gradient at the initial point is not finite: {_first_bad(gradient)}"
    )
    assert not (loss.requires_grad or gradient.requires_grad), f"the {kind} gradient keeps its graph"
    charged = objective.spent - before
    assert charged.backward_passes > 0, f"the {kind} gradient charged no backward passes"
    assert charged.candidate_evaluations == 0, f"the {kind} gradient was charged as candidates"
    if kind != "smooth":
        assert torch.allclose(loss, expected, rtol=1e-4, atol=1e-6), (
            f"the {kind} gradient belongs to a loss of {float(loss)}, but the loss at that point is {float(expected)}"
        )
    if kind == "exact" and (length := float(gradient.norm())) > 1e-3:
        # a rough loss has its slope only over short ways, where a smooth one changes by less than it is rounded
        ways = [10.0**-digits for digits in range(2, 7)]
        ends = torch.stack([point + sign * way * gradient / length for way in ways for sign in (1, -1)])
        above, below = objective.losses(DenseCandidates(ends)).double().reshape(-1, 2).T
        slopes = (above - below) / (2 * torch.tensor(ways, dtype=torch.float64))
        slope = min(slopes.tolist(), key=lambda slope: abs(slope - length))
        assert abs(slope - length) <= 0.1 * length, (
            f"the loss rises by {slope:.3g} along the exact gradient, whose length is {length:.3g}"
        )


def _check_perturbed_nodes(objective: Objective, noisy: PerturbedNodes, point: Tensor, expected: Tensor) -> None:
    before = objective.spent
    loss, estimate = noisy.perturb_nodes(point, 0.1, 2, named_generator(0, "noise of the conformance checks"))
    assert estimate.shape == point.shape, f"the estimate has shape {tuple(estimate.shape)}, not that of the point"
    assert torch.isfinite(estimate).all(), f"the estimate by noise on units is not finite: {_first_bad(estimate)}"
    charged = (objective.spent - before).candidate_evaluations
    assert charged == 3, f"a pass without noise and 2 with noise were charged as {charged} candidates"
    assert torch.allclose(loss, expected, rtol=1e-4, atol=1e-6), (
        f"noise on units belongs to a loss of {float(loss)}, but the loss at that point is {float(expected)}"
    )


def _trajectory(optimizer: Optimizer, first: int, last: int, budget: int | None = None) -> list[Tensor]:
    """The points before and after each step from `first` to `last` of `budget`, or of `last`, steps."""
    objective = QuadraticObjective()
    points = [optimizer.solution.clone()]
    for step in range(first, last):
        optimizer.step(objective, step / (budget or last))
        points.append(optimizer.solution.clone())
    return points


def _stored(state: Any, name: str = "the state") -> Any:
    """What a checkpoint gives back of a state: a deep copy, with lists for tuples."""
    if isinstance(state, Tensor):
        return state.clone()
    if isinstance(state, dict):
        assert all(isinstance(key, str) for key in state), f"{name} has keys that are no strings: {list(state)}"
        return {key: _stored(value, f"{name}[{key!r}]") for key, value in state.items()}
    if isinstance(state, list | tuple):
        return [_stored(value, f"{name}[{place}]") for place, value in enumerate(state)]
    assert state is None or isinstance(state, bool | int | float | str), (
        f"{name} is of type {type(state).__name__}; a checkpoint holds tensors, numbers, texts, None, and lists and "
        "dictionaries of these"
    )
    return state


def _first_bad(values: Tensor) -> str:
    """Where the first value is that is not finite."""
    place = int((~torch.isfinite(values)).nonzero()[0])
    return f"{float(values[place])} at index {place}"


def _global_random_states() -> dict[str, bytes]:
    """Those of torch, numpy and Python, as bytes that can be compared."""
    states = {"torch": torch.get_rng_state().numpy(), "numpy": numpy.random.get_state(), "Python": random.getstate()}
    return {library: pickle.dumps(state) for library, state in states.items()}


def _check_random_states(before: dict[str, bytes]) -> None:
    used = [library for library, state in _global_random_states().items() if state != before[library]]
    assert not used, (
        f"the global random state of {' and '.join(used)} was used; draw from polystep.random.named_generator(seed, ...)"
    )
