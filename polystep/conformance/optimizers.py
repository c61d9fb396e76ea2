"""What every optimiser owes by its contract."""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from polystep.conformance.objectives import FailingObjective, QuadraticObjective
from polystep.conformance.states import check_random_states, first_bad, global_random_states, stored
from polystep.contracts import Optimizer, Spent
from polystep.layout import ParameterLayout


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

    global_states = global_random_states()
    optimizer = build(0)
    assert optimizer.solution.shape == start.shape, f"solution must have shape {tuple(start.shape)}"
    assert torch.equal(optimizer.solution, start), "before the first step the solution must be the starting point"
    yield "its solution is the starting point before the first step"
    trajectory = _trajectory(optimizer, 0, steps)
    for step, reached in enumerate(trajectory):
        assert (reached.shape, reached.dtype) == (start.shape, start.dtype), (
            f"the solution after step {step} has shape {tuple(reached.shape)} and {reached.dtype}, not those of the starting "
            f"point, {tuple(start.shape)} and {start.dtype}"
        )
        assert torch.isfinite(reached).all(), f"the solution after step {step} is not finite: {first_bad(reached)}"
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
        state = stored(first.state_dict())
        second = build(0)
        second.load_state_dict(state)
        resumed = _trajectory(second, interrupted_after, steps)
        assert torch.equal(resumed[-1], trajectory[-1]), (
            f"resuming after {interrupted_after} steps gives other numbers; state_dict must hold all that the next step "
            "depends on (a PointOptimizer adds its own to _state and _restore)"
        )
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
    check_random_states(global_states)
    yield "the global random states of torch, numpy and Python are left alone"


def _trajectory(optimizer: Optimizer, first: int, last: int, budget: int | None = None) -> list[Tensor]:
    """The points before and after each step from `first` to `last` of `budget`, or of `last`, steps."""
    objective = QuadraticObjective()
    points = [optimizer.solution.clone()]
    for step in range(first, last):
        optimizer.step(objective, step / (budget or last))
        points.append(optimizer.solution.clone())
    return points
