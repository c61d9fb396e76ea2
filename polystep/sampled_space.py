"""A part of the full space at a time."""

import torch
from torch import Tensor

from polystep.component import component
from polystep.layout import ParameterLayout
from polystep.random import named_generator
from polystep.subspace import FullSpace
from polystep.validation import at_least


@component("sampled", version=1)
class SampledSpace(FullSpace):
    """One particle out of every `one_in` consecutive particles of the full space, chosen anew at each redraw.

    Moving all particles at once overshoots where they depend on each other: each was judged with the others at rest. Few
    at a time, as in randomised block-coordinate descent, keep most of what was promised.
    """

    has_random_projections = True

    def __init__(
        self,
        layout: ParameterLayout,
        particle_dimension: int,
        seed: int,
        one_in: int = 3,
        device: torch.device | str = "cpu",
    ):
        at_least(1, one_in=one_in)
        super().__init__(layout, particle_dimension, seed, device)
        self.one_in = one_in
        self._all = self.particles
        self.particles = -(-self._all // one_in)
        self._seed, self._device = seed, torch.device(device)
        self.redraw(0)

    def redraw(self, draw: int) -> None:
        """Another choice, number `draw` of the sequence that belongs to the seed."""
        self.draw = draw
        generator = named_generator(self._seed, "sampled space", draw, device=self._device)
        first = torch.arange(0, self._all, self.one_in, device=self._device)
        among = (self._all - first).clamp_max(self.one_in)
        chosen = torch.rand(self.particles, generator=generator, device=self._device) * among
        self.active = first + torch.minimum(chosen.long(), among - 1)
        """Places (P,) of the chosen particles among all of the full space, ascending."""

    def lift(self, coordinates: Tensor) -> Tensor:
        """Parameter change (..., D) of coordinates (..., P, d); zero for particles that are not chosen."""
        everywhere = coordinates.new_zeros(*coordinates.shape[:-2], self._all, self.particle_dimension)
        everywhere[..., self.active, :] = coordinates
        return super().lift(everywhere)
