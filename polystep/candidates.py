"""Candidates: the points of one step, described by their structure so that evaluators can exploit it."""

from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor

from polystep.random import named_generator

if TYPE_CHECKING:
    from polystep.subspace import Subspace


class Candidates(Protocol):
    """N points of D numbers, to be evaluated under the same objective."""

    def __len__(self) -> int:
        """N."""
        ...

    def dense(self, part: slice) -> Tensor:
        """The points of `part` written out, shape (n, D)."""
        ...


class DenseCandidates:
    """Points without structure, stored whole."""

    def __init__(self, points: Tensor):
        """`points`: (N, D)."""
        if points.ndim != 2:
            raise ValueError(f"points must have shape (N, D), got {tuple(points.shape)}")
        self.points = points

    def __len__(self) -> int:
        return len(self.points)

    def dense(self, part: slice) -> Tensor:
        """The points of `part`, shape (n, D)."""
        return self.points[part]


class SeededCandidates:
    """base + scale_n e_n with e_n ~ N(0, I) drawn from seed n on demand, so that noise is never stored whole.

    A negative scale with a repeated seed gives the antithetic partner.
    """

    def __init__(self, base: Tensor, seeds: Tensor, scale: Tensor):
        """`base`: (D,). `seeds`: (N,) integers. `scale`: (N,)."""
        if seeds.shape != scale.shape or seeds.ndim != 1:
            raise ValueError(
                f"seeds and scale must both have shape (N,), got {tuple(seeds.shape)}, {tuple(scale.shape)}"
            )
        self.base, self.seeds, self.scale = base, seeds, scale

    def __len__(self) -> int:
        return len(self.seeds)

    def noise(self, n: int) -> Tensor:
        """The standard normal direction of candidate n, shape (D,)."""
        generator = named_generator(int(self.seeds[n]), "noise", device=self.base.device)
        return torch.randn(self.base.shape, generator=generator, device=self.base.device)

    def dense(self, part: slice) -> Tensor:
        """The points of `part`, shape (n, D)."""
        indices = range(*part.indices(len(self)))
        if not indices:
            return self.base.new_empty(0, self.base.numel())
        return torch.stack([self.base + self.scale[n] * self.noise(n) for n in indices])


class ParticleCandidates:
    """Each candidate moves one particle of a subspace by an offset and keeps the base point otherwise."""

    def __init__(self, base: Tensor, subspace: "Subspace", particle: Tensor, offset: Tensor):
        """`base`: (D,). `particle`: (N,) indices below P. `offset`: (N, d) coordinates."""
        if offset.shape != (len(particle), subspace.particle_dimension):
            raise ValueError(
                f"offset must have shape ({len(particle)}, {subspace.particle_dimension}), got {tuple(offset.shape)}"
            )
        self.base, self.subspace, self.particle, self.offset = base, subspace, particle, offset

    def __len__(self) -> int:
        return len(self.particle)

    def dense(self, part: slice) -> Tensor:
        """The points of `part`, shape (n, D)."""
        return self.base + self.subspace.lift_each(self.particle[part], self.offset[part])
