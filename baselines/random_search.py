"""Random search: the floor that every method should beat."""

from collections.abc import Callable

import torch
from torch import Tensor

from polystep.ask_tell import PointOptimizer, search_space
from polystep.candidates import SeededCandidates
from polystep.component import component
from polystep.layout import ParameterLayout
from polystep.random import derive_seed
from polystep.schedule import Schedule
from polystep.subspace import Subspace
from polystep.validation import SettingError, positive_schedule


@component("random_search", version=1, added=("subspace",), title="Random search", family="random search")
class RandomSearch(PointOptimizer):
    """Perturb the incumbent and keep the best candidate, a (1 + (N - 1)) evolution strategy without adaptation.

    Candidates of step t: theta itself and theta + sigma_t e_n, e_n ~ N(0, I), n = 2..N; theta <- the one with the lowest
    loss, theta itself on a tie. The incumbent is evaluated anew at every step, because losses are comparable under the same
    mini-batch only: one that was lucky on its batch has no lasting advantage. Costs N candidates.
    Source: Rechenberg, Evolutionsstrategie (1973).
    """

    def __init__(
        self,
        layout: ParameterLayout,
        point: Tensor,
        seed: int,
        *,
        population: int = 50,
        sigma: float | Schedule = 0.01,
        subspace: Callable[..., Subspace] | None = None,
    ):
        """`population`: N, the incumbent included. `sigma`: standard deviation of the perturbations. `subspace`: whose
        coordinates e_n perturbs. Raises ValueError.
        """
        if population < 2:
            raise SettingError(
                f"population must be at least 2, the incumbent and one candidate to compare it with, got {population}"
            )
        super().__init__(layout, point)
        self._seed, self._population = seed, population
        self._sigma = positive_schedule(sigma, "sigma")
        self._subspace = search_space(subspace, layout, self._point, seed)

    def _propose(self) -> SeededCandidates:
        """The incumbent first."""
        seeds = [derive_seed(self._seed, "random_search", self._step, n) for n in range(self._population)]
        scale = torch.full((self._population,), self._sigma.at(self._now))
        scale[0] = 0.0
        # neighbours that share a seed share the drawing, which the incumbent does not need
        seeds[0] = seeds[1]
        self._candidates = SeededCandidates(
            self._point, torch.tensor(seeds), scale, subspace=self._subspace, kept_bytes=0
        )
        return self._candidates

    def _learn(self, losses: Tensor) -> dict[str, float]:
        losses = torch.where(torch.isfinite(losses), losses, torch.inf)
        best = 1 + int(losses[1:].argmin())
        improves = bool(losses[best] < losses[0])
        if improves:
            (self._point,) = self._candidates.dense(slice(best, best + 1))
        return {"improved": float(improves)}
