"""An objective that is a function of points, and what every ask/tell optimiser owes where its losses are useless."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from polystep.ask_tell import NonFiniteLossError, PointOptimizer
from polystep.candidates import Candidates
from polystep.contracts import Spent


class FunctionObjective:
    """Losses of points (N, D) from a function, in its own precision; remembers and charges the candidates of each call."""

    def __init__(self, function: Callable[[Tensor], Tensor]):
        self.function = function
        self.seen: list[int] = []

    @property
    def spent(self) -> Spent:
        return Spent(candidate_evaluations=sum(self.seen))

    def losses(self, candidates: Candidates) -> Tensor:
        self.seen.append(len(candidates))
        return self.function(candidates.dense(slice(None)))


def check_useless_losses_change_nothing(build: Callable[[], PointOptimizer], objective: Any, bad: float) -> None:
    """A step of which all losses are `bad` is refused and can be repeated, as if it had not been."""
    undisturbed, disturbed = build(), build()
    for optimizer in (undisturbed, disturbed):
        optimizer.step(objective, 0.0)
    before = disturbed.solution.clone()
    candidates = disturbed.ask(0.0)
    with pytest.raises(NonFiniteLossError, match="candidate losses of step 1 are NaN or infinite"):
        disturbed.tell(torch.full((len(candidates),), bad))
    assert torch.equal(disturbed.solution, before)
    disturbed.tell(objective.losses(candidates))
    undisturbed.step(objective, 0.0)
    for optimizer in (undisturbed, disturbed):
        optimizer.step(objective, 0.0)
    assert torch.equal(disturbed.solution, undisturbed.solution)
