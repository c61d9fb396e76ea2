"""Many independent copies of a small problem in one search: a particle for each, so that one step draws a frame for each."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from polystep.algorithm import PolyStep
from polystep.candidates import Candidates, ParticleCandidates
from polystep.contracts import Spent
from polystep.layout import ParameterLayout
from polystep.subspace import FullSpace
from polystep.update import Plain

Problem = Callable[[Tensor, Tensor], Tensor]
"""Losses (N,) from the copies (N,) that candidates belong to and their positions (N, d)."""


class Copies:
    """The sum of the copies' losses, without the terms that a candidate leaves as they are.

    These are the same for every candidate of a particle, and weightings that look at one row of costs at a time never see
    them; left in, they would swallow the small differences that matter.
    """

    loss_dtype = torch.float64

    def __init__(self, problem: Problem):
        self.problem = problem
        self.spent = Spent()

    def losses(self, candidates: Candidates) -> Tensor:
        """Loss of the copy that each candidate moves, (N,)."""
        assert isinstance(candidates, ParticleCandidates)
        self.spent += Spent(candidate_evaluations=len(candidates))
        start = candidates.base.reshape(-1, candidates.subspace.particle_dimension)
        return self.problem(candidates.particle, start[candidates.particle] + candidates.offset)


def search_copies(start: Tensor, seed: int, **settings: Any) -> PolyStep:
    """PolyStep from `start` (P, d), a particle for every copy, in its precision; it moves by the displacement unless told
    otherwise.
    """
    layout = ParameterLayout({"copies": tuple(start.shape)})
    usual: dict[str, Any] = {"subspace": FullSpace, "particle_dimension": start.shape[1], "update": Plain()}
    return PolyStep(layout, start.flatten(), seed, **(usual | settings))
