"""The loss of candidates on one set of episodes, charged as the episodes are played; and the environment to act in."""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from polystep.candidates import Candidates
from polystep.capabilities import EnvironmentView, Found
from polystep.contracts import Spent
from polystep.random import named_generator
from tasks.control.environments import Environments
from tasks.control.policy import Policy
from tasks.control.rollouts import Evaluator

MOST_EPISODES = 1 << 16
"""Episodes whose candidates are written out at once."""


class ControlObjective:
    """Minus the mean return over a set of episodes; all candidates begin with the same ones, unless they shall not."""

    def __init__(
        self,
        evaluator: Evaluator,
        episodes: int,
        seed: int,
        common: bool,
        device: torch.device,
        policy: Policy,
        build_environments: Callable[[], Environments],
    ):
        """`seed`: of the episodes. `common`: whether all candidates get the same episodes (common random numbers).
        `build_environments`: a batch of the environment, for learners that act in it.
        """
        self._evaluator, self._episodes, self._seed, self._common = evaluator, episodes, seed, common
        self._device, self._policy, self._build_environments = device, policy, build_environments
        self.spent = Spent()

    @torch.no_grad()
    def losses(self, candidates: Candidates) -> Tensor:
        """Minus the mean return of every candidate, shape (N,), float32; NaN where its parameters are not finite.

        Charges N evaluations and every environment step that was made.
        """
        # by their places in the step, so that a share of the candidates meets the episodes that it would meet in the whole
        places = np.zeros(len(candidates), np.int64) if self._common else candidates.places.numpy()
        seeds = episode_seeds(self._seed, int(places.max(initial=-1)) + 1, self._episodes)[places]
        compiled_before = self._evaluator.compilation_seconds
        losses = torch.empty(len(candidates))
        steps, chunk = 0, max(1, MOST_EPISODES // self._episodes)
        for first in range(0, len(candidates), chunk):
            part = slice(first, min(first + chunk, len(candidates)))
            points = candidates.dense(part).cpu()
            rollouts = self._evaluator.roll_out(points, seeds[part])
            losses[part] = -torch.from_numpy(rollouts.returns.mean(1)).float()
            losses[part][~torch.isfinite(points).all(1)] = torch.nan
            steps += int(rollouts.lengths.sum())
        self.spent += Spent(
            candidate_evaluations=len(candidates),
            environment_steps=steps,
            compilation_seconds=self._evaluator.compilation_seconds - compiled_before,
        )
        return losses.to(self._device)

    def interact(self, learner: Callable[[EnvironmentView], Found]) -> Found:
        """What `learner` makes of the environment; charges the environment steps and backward passes that it made."""
        # Gymnasium is imported where it is needed
        from tasks.control.interaction import Interaction

        view = Interaction(self._policy, self._build_environments, self._seed)
        try:
            return learner(view)
        finally:
            self.spent += Spent(environment_steps=view.environment_steps, backward_passes=view.backward_passes)


def episode_seeds(seed: int, candidates: int, episodes: int) -> NDArray[np.int64]:
    """Seeds (N, E) of the episodes that belong to `seed`; fewer candidates get the first of the same rows."""
    generator = named_generator(seed, "episodes")
    drawn: NDArray[np.int64] = torch.randint(2**31, (candidates, episodes), generator=generator).numpy()
    return drawn
