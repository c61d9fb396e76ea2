"""Subspaces of a few directions along which all parameters move."""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from polystep.component import component
from polystep.layout import ParameterLayout
from polystep.low_rank import product_by_terms
from polystep.random import named_generator
from polystep.subspace import Subspace
from polystep.validation import one_of


@component("dense", version=1)
class DenseSubspace(Subspace):
    """The change of the parameters is z B with a random B (coordinates, D) without structure.

    Of few Gaussian directions that are redrawn at every step, a step costs no more than one of an evolution strategy. Of many
    orthonormal ones that are kept, it is the paper's global projection; redrawn, its adaptive subspace without the share of
    past displacements. Every lift is linear, so a redraw keeps all that was gained, which the first edition's code lost.
    """

    def __init__(
        self,
        layout: ParameterLayout,
        particle_dimension: int,
        seed: int,
        coordinates: int | None = 48,
        basis: Literal["gaussian", "orthonormal"] = "gaussian",
        device: torch.device | str = "cpu",
    ):
        """`coordinates`: rows of B; None: a twentieth of the parameters, from 64 to 4096, as in the author's library. `basis`:
        independent standard normal entries, so that a radius has the meaning of a strategy's sigma, or rows of a Q factor.
        """
        if coordinates is not None and not 1 <= coordinates <= layout.size:
            raise ValueError(f"coordinates must lie in 1..{layout.size}, the number of parameters, got {coordinates}")
        one_of(("gaussian", "orthonormal"), basis=basis)
        count = coordinates or min(max(layout.size // 20, 64), 4096, layout.size)
        super().__init__(layout, particle_dimension, count)
        self._seed, self._kind, self._device = seed, basis, torch.device(device)
        self.redraw(0)

    def redraw(self, draw: int) -> None:
        """New directions, number `draw` of the sequence that belongs to the seed."""
        self.draw = draw
        generator = named_generator(self._seed, "dense subspace", draw, device=self._device)
        basis = torch.randn(self.coordinates, self.layout.size, generator=generator, device=self._device)
        if self._kind == "orthonormal":
            basis = torch.linalg.qr(basis.T).Q.T
        padding = self.particles * self.particle_dimension - self.coordinates
        self.directions = F.pad(basis, (0, 0, 0, padding)).unflatten(0, (self.particles, self.particle_dimension))
        """What each coordinate of each particle changes, (P, d, D)."""

    def lift(self, coordinates: Tensor) -> Tensor:
        """Parameter change (..., D) of coordinates (..., P, d)."""
        change: Tensor = coordinates.flatten(-2) @ self.directions.flatten(0, 1).to(coordinates.dtype)
        return change

    def lift_each(self, particle: Tensor, offset: Tensor) -> Tensor:
        """Parameter changes (N, D) of moving particle n alone by offset n; particle (N,), offset (N, d)."""
        changes = offset.new_empty(len(particle), self.layout.size)
        for own in particle.unique():
            chosen = particle == own
            changes[chosen] = product_by_terms(offset[chosen], self.directions[own])
        return changes
