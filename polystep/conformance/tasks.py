"""What every task owes by its contract."""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from polystep.candidates import Candidates, DenseCandidates
from polystep.capabilities import GradientKind, Gradients, PerturbedNodes, capability
from polystep.conformance.states import check_random_states, first_bad, global_random_states, stored
from polystep.contracts import Objective, Task, loss_dtype
from polystep.random import named_generator


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
    global_states = global_random_states()
    task, twin = factory(0), factory(0)
    point = task.initial_point(0)
    assert point.shape == (task.layout.size,), f"initial_point must have shape ({task.layout.size},)"
    assert point.dtype == torch.float32, f"initial_point must be float32, got {point.dtype}"
    assert torch.isfinite(point).all(), f"initial_point is not finite: {first_bad(point)}"
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
    state = stored(task.state_dict())
    continued = task.next_objective().losses(candidates)
    resumed = factory(0)
    resumed.load_state_dict(state)
    assert torch.equal(resumed.next_objective().losses(candidates), continued), (
        "the data stream does not resume exactly; state_dict must hold all that the next objective depends on"
    )
    yield "the stream of objectives resumes exactly"
    for name, judge in (("validate", task.validate), ("test", task.test)):
        score: Any = judge(point)
        assert isinstance(score, int | float), f"{name} must give a number, got {type(score).__name__}"
        assert score == score, f"{name} gives NaN for the initial point"
        assert task.metric.unit != "fraction" or 0 <= score <= 1, (
            f"{name} gives {score:g}, but the unit of the metric is a fraction, from 0 to 1"
        )
        best = task.metric.best
        assert best is None or not task.metric.better(score, best), (
            f"{name} gives {score:g}, but metric.best is {best:g}, and metric.direction is {task.metric.direction}"
        )
        assert score == judge(point), f"{name} gives another score for the same point"
    yield "the same point has the same validation and test score"
    check_random_states(global_states)
    yield "the global random states of torch, numpy and Python are left alone"


def _check_objective(objective: Objective, candidates: Candidates) -> Tensor:
    before = objective.spent
    losses = objective.losses(candidates)
    assert losses.shape == (len(candidates),), f"losses must have shape ({len(candidates)},), got {tuple(losses.shape)}"
    expected = loss_dtype(objective)
    assert losses.dtype == expected, f"losses must be {expected}, as loss_dtype says, got {losses.dtype}"
    assert torch.isfinite(losses).all(), f"losses at the initial point are not finite: {first_bad(losses)}"
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
        f"the {kind} gradient at the initial point is not finite: {first_bad(gradient)}"
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
    assert torch.isfinite(estimate).all(), f"the estimate by noise on units is not finite: {first_bad(estimate)}"
    charged = (objective.spent - before).candidate_evaluations
    assert charged == 3, f"a pass without noise and 2 with noise were charged as {charged} candidates"
    assert torch.allclose(loss, expected, rtol=1e-4, atol=1e-6), (
        f"noise on units belongs to a loss of {float(loss)}, but the loss at that point is {float(expected)}"
    )
