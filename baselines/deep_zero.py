"""DeepZero's estimator: forward differences along single parameters, a sparse set of them at a time."""

import torch
from torch import Tensor

from polystep.ask_tell import PointOptimizer, all_finite
from polystep.candidates import ParticleCandidates
from polystep.component import component
from polystep.contracts import State
from polystep.layout import ParameterLayout
from polystep.random import named_generator
from polystep.schedule import Schedule
from polystep.subspace import FullSpace, RowGroup, RowSubspace, Subspace
from polystep.validation import SettingError, at_least, non_negative, positive, positive_schedule, share_below_one


@component("deep_zero", version=1, title="DeepZero", family="finite differences")
class DeepZero(PointOptimizer):
    """Measure the slope along each of a sparse set of parameters, and descend with momentum.

    Step t, with the set S of parameters and unit vectors e_i:
        gradient_i = (f(theta + radius e_i) - f(theta))/radius for i in S, else 0
        velocity  <- momentum velocity + gradient + weight_decay theta
        theta     <- theta - rate_t velocity
    S is a random share of the parameters, drawn anew every `redraw_every` steps. Costs |S| + 1 candidates, each of which
    changes one row of one layer. A parameter without a finite slope is left out. Source: Chen et al., "DeepZero: scaling up
    zeroth-order optimization for deep model training", arXiv 2310.02025 (ICLR 2024), equation 2 and algorithm 1. There the set
    is drawn anew every epoch, a pruning score (ZO-GraSP) sets the share of every layer, and biases are always in S.
    """

    def __init__(
        self,
        layout: ParameterLayout,
        point: Tensor,
        seed: int,
        *,
        share: float = 0.1,
        radius: float = 5e-3,
        learning_rate: float | Schedule = 0.1,
        momentum: float = 0.9,
        weight_decay: float = 5e-4,
        redraw_every: int = 100,
    ):
        """`share`: of the parameters that S holds, above 0 and at most 1. `radius`: of the probes. Raises SettingError."""
        if not 0 < share <= 1:
            raise SettingError(f"share must be above 0 and at most 1, which is all parameters, got {share}")
        share_below_one(momentum=momentum)
        at_least(1, redraw_every=redraw_every)
        super().__init__(layout, point)
        self._seed = seed
        self._radius = positive(radius, "radius")
        self._learning_rate = positive_schedule(learning_rate, "learning_rate", may_vanish=True)
        self._momentum, self._weight_decay = momentum, non_negative(weight_decay, "weight_decay")
        self._redraw_every = redraw_every
        self._velocity = torch.zeros_like(self._point)
        matrices = any(len(entry.shape) >= 2 for entry in layout.entries)
        space = Parameters if matrices else FullSpace
        self._space: Subspace = space(layout, 1, seed, device=self._point.device)
        self._count = max(1, round(share * self._space.particles))
        self._draw, self._chosen = -1, torch.empty(0)

    def _propose(self) -> ParticleCandidates:
        """The point itself first."""
        draw = self._step // self._redraw_every
        if draw != self._draw:
            self._chosen, self._draw = self._choose(draw), draw
        offset = self._point.new_full((self._count + 1, 1), self._radius)
        offset[0] = 0.0
        return ParticleCandidates(self._point, self._space, torch.cat([self._chosen[:1], self._chosen]), offset)

    def _choose(self, draw: int) -> Tensor:
        """Particles of S, ascending; set number `draw` of the sequence that belongs to the seed."""
        generator = named_generator(self._seed, "deep_zero", draw)
        chosen = torch.randperm(self._space.particles, generator=generator)[: self._count]
        return chosen.sort().values.to(self._point.device)

    def _learn(self, losses: Tensor) -> dict[str, float]:
        if not torch.isfinite(losses[0]):
            return {"gradient_norm": 0.0}
        slopes = ((losses[1:] - losses[0]) / self._radius).to(self._point)
        coordinates = self._point.new_zeros(self._space.particles, 1)
        coordinates[self._chosen, 0] = torch.where(torch.isfinite(slopes), slopes, 0.0)
        gradient = self._space.lift(coordinates)
        velocity = self._momentum * self._velocity + gradient + self._weight_decay * self._point
        movement = -self._learning_rate.at(self._now) * velocity
        if all_finite(movement):
            self._velocity, self._point = velocity, self._point + movement
        return {"gradient_norm": float(gradient.norm())}

    def _state(self) -> State:
        return super()._state() | {"velocity": self._velocity}

    def _restore(self, state: State) -> None:
        super()._restore(state)
        self._velocity = state["velocity"].clone()


class Parameters(RowSubspace):
    """Particle k is one parameter; those of a row and its bias are neighbours."""

    has_random_projections = False

    def __init__(self, layout: ParameterLayout, particle_dimension: int, seed: int, device: torch.device | str = "cpu"):
        super().__init__(layout, particle_dimension, seed, rank=layout.size, device=device)

    def _basis(self, group: RowGroup, draw: int) -> Tensor:
        return torch.eye(group.rank, device=self._device)
