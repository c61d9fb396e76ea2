"""Noise for evolution strategies that evaluators can exploit: of low rank, or of one row at a time."""

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from polystep.candidates import Candidates, ParticleCandidates, check_weights
from polystep.component import component
from polystep.layout import ParameterLayout
from polystep.low_rank import LowRankCandidates
from polystep.random import named_generator
from polystep.subspace import RowSubspace
from polystep.validation import at_least


class MirroredCandidates(Candidates, Protocol):
    """Candidates in pairs of neighbours, base + sigma e_n and base - sigma e_n."""

    def combine(self, weights: Tensor) -> Tensor:
        """sum_n weights_n e_n, shape (D,), for weights (N,)."""
        ...


class Noise(Protocol):
    """Draws the perturbations of one generation."""

    def mirrored(self, layout: ParameterLayout, base: Tensor, seeds: Tensor, sigma: float) -> MirroredCandidates:
        """Pairs base +- sigma e_i, one for each of the seeds (N/2,), +sigma e_i first."""
        ...


@component("low_rank", version=1)
@dataclass(frozen=True)
class LowRankNoise:
    """e is a product of two normal matrices in every weight matrix, normal in other tensors: see `LowRankCandidates`."""

    rank: int = 1

    def __post_init__(self) -> None:
        at_least(1, **{"noise.rank": self.rank})

    def mirrored(self, layout: ParameterLayout, base: Tensor, seeds: Tensor, sigma: float) -> LowRankCandidates:
        """Pairs base +- sigma e_i."""
        scale = torch.tensor([sigma, -sigma]).repeat(len(seeds))
        return LowRankCandidates(base, layout, seeds.repeat_interleave(2), scale, self.rank)


@component("rows", version=1)
@dataclass(frozen=True)
class RowNoise:
    """e moves one row of one weight matrix and its bias, a different one for each pair until all have had a turn.

    Within the row, e is a normal combination of at most `rank` orthonormal directions, drawn for each generation and shared by
    the rows of a matrix, with elements of variance 1.
    """

    rank: int = 16

    def __post_init__(self) -> None:
        at_least(1, **{"noise.rank": self.rank})

    def mirrored(self, layout: ParameterLayout, base: Tensor, seeds: Tensor, sigma: float) -> "MirroredRows":
        """Pairs base +- sigma e_i."""
        seed, pairs, device = int(seeds[0]), len(seeds), base.device
        # all directions of a row are one particle
        subspace = RowSubspace(layout, self.rank, seed, rank=self.rank, device=device)
        generator = named_generator(seed, "row noise", device=device)
        turns = [
            torch.randperm(subspace.particles, generator=generator, device=device)
            for _ in range(-(-pairs // subspace.particles))
        ]
        particle = torch.cat(turns)[:pairs]
        group, _, _ = subspace.locate(particle)
        columns = [g.inputs + (g.bias is not None) for g in subspace.groups]
        per_direction = torch.tensor([(c / g.rank) ** 0.5 for c, g in zip(columns, subspace.groups, strict=True)])
        direction = torch.randn(pairs, self.rank, generator=generator, device=device)
        direction *= per_direction.to(device)[group].unsqueeze(1)
        return MirroredRows(base, subspace, particle.repeat_interleave(2), direction.repeat_interleave(2, dim=0), sigma)


class MirroredRows(ParticleCandidates):
    """Pairs base +- sigma e_n, e_n what the coordinates direction[n] (N, d) of particle n do."""

    def __init__(self, base: Tensor, subspace: RowSubspace, particle: Tensor, direction: Tensor, sigma: float):
        signed = torch.tensor([sigma, -sigma], device=base.device).repeat(len(particle) // 2)
        super().__init__(base, subspace, particle, signed.unsqueeze(1) * direction)
        self.direction = direction

    def combine(self, weights: Tensor) -> Tensor:
        """sum_n weights_n e_n, shape (D,), for weights (N,)."""
        check_weights(weights, self)
        coordinates = self.direction.new_zeros(self.subspace.particles, self.subspace.particle_dimension)
        moves = weights.to(self.direction).unsqueeze(1) * self.direction
        return self.subspace.lift(coordinates.index_add_(0, self.particle, moves)).to(self.base.dtype)
