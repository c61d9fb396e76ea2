"""Candidates: the points of one step, described by their structure so that evaluators can exploit it."""

from typing import TYPE_CHECKING, Literal, Protocol

import torch
from torch import Tensor

from polystep.random import named_generator

if TYPE_CHECKING:
    from polystep.subspace import Subspace


class Candidates(Protocol):
    """N points of D numbers, to be evaluated under the same objective."""

    @property
    def places(self) -> Tensor:
        """Place of each candidate among all candidates of its step, (N,): what parts of them keep."""
        ...

    def __len__(self) -> int:
        """N."""
        ...

    def dense(self, part: slice) -> Tensor:
        """The points of `part` written out, shape (n, D)."""
        ...

    def part(self, part: slice) -> "Candidates":
        """The candidates of `part`, with the structure kept."""
        ...


class DenseCandidates:
    """Points without structure, stored whole."""

    def __init__(self, points: Tensor, places: Tensor | None = None):
        """`points`: (N, D). `places`: (N,), 0..N - 1 where not given."""
        if points.ndim != 2:
            raise ValueError(f"points must have shape (N, D), got {tuple(points.shape)}")
        self.points, self.places = points, torch.arange(len(points)) if places is None else places

    def __len__(self) -> int:
        return len(self.points)

    def dense(self, part: slice) -> Tensor:
        """The points of `part`, shape (n, D)."""
        return self.points[part]

    def part(self, part: slice) -> "DenseCandidates":
        """The candidates of `part`."""
        return DenseCandidates(self.points[part], self.places[part])


def check_weights(weights: Tensor, candidates: Candidates) -> None:
    """ValueError where there is not one weight for each of the candidates."""
    if weights.shape != (len(candidates),):
        raise ValueError(
            f"combine() takes a weight for each of the {len(candidates)} candidates, shape ({len(candidates)},), got "
            f"{tuple(weights.shape)}"
        )


NoiseDistribution = Literal["normal", "rademacher"]
KEPT_BYTES = 2**27
"""Room for 33 directions of a million parameters; a population of 50 in pairs has 25."""


class SeededCandidates:
    """base + scale_n e_n with e_n drawn from seed n on demand, so that noise need not be stored whole.

    Drawings are kept up to `kept_bytes` in all, as long as the candidates are: most methods need each to evaluate and to learn.
    The elements of e_n are independent: standard normal, or +-1 with equal chances ("rademacher"). With a subspace they are
    those of its coordinates, and e_n is what these lift to; the latest one is kept, since two-point methods evaluate and step
    along the same. A negative scale with a repeated seed gives the antithetic partner; neighbours that share a seed share the
    drawing.
    """

    def __init__(
        self,
        base: Tensor,
        seeds: Tensor,
        scale: Tensor,
        distribution: NoiseDistribution = "normal",
        places: Tensor | None = None,
        subspace: "Subspace | None" = None,
        kept_bytes: int = KEPT_BYTES,
    ):
        """`base`: (D,). `seeds`: (N,) integers. `scale`: (N,). `places`: (N,), 0..N - 1 where not given."""
        if seeds.shape != scale.shape or seeds.ndim != 1:
            raise ValueError(
                f"seeds and scale must both have shape (N,), got {tuple(seeds.shape)}, {tuple(scale.shape)}"
            )
        if distribution not in ("normal", "rademacher"):
            raise ValueError(f"distribution must be 'normal' or 'rademacher', got {distribution!r}")
        self.base, self.seeds, self.scale, self.distribution = base, seeds, scale, distribution
        self.places = torch.arange(len(seeds)) if places is None else places
        self.subspace = subspace
        self._kept_bytes, self._kept, self._lifted = kept_bytes, dict[int, Tensor](), dict[int, Tensor]()

    def __len__(self) -> int:
        return len(self.seeds)

    def noise(self, n: int) -> Tensor:
        """The direction e_n of candidate n, shape (D,); not to be changed in place."""
        if self.subspace is None:
            return self._draw(n)
        seed = int(self.seeds[n])
        if (lifted := self._lifted.get(seed)) is None:
            lifted = self._lift(self._draw(n))
            self._lifted.clear()
            self._lifted[seed] = lifted
        return lifted

    def combine(self, weights: Tensor) -> Tensor:
        """sum_n weights_n e_n, shape (D,), for weights (N,) that are 0 where e_n shall not be drawn."""
        check_weights(weights, self)
        total = self.base.new_zeros(self._shape)
        for n, weight in enumerate(weights.tolist()):
            if weight:
                total.add_(self._draw(n), alpha=weight)
        return self._lift(total)

    @property
    def _shape(self) -> tuple[int, ...]:
        """Of what is drawn."""
        return self.base.shape if self.subspace is None else (self.subspace.particles, self.subspace.particle_dimension)

    def _draw(self, n: int) -> Tensor:
        seed, device = int(self.seeds[n]), self.base.device
        if (kept := self._kept.get(seed)) is not None:
            return kept
        generator = named_generator(seed, "noise", device=device)
        if self.distribution == "normal":
            drawn = torch.randn(self._shape, generator=generator, device=device)
        else:
            drawn = torch.randint(2, self._shape, generator=generator, device=device) * 2.0 - 1.0
        if (len(self._kept) + 1) * drawn.nbytes <= self._kept_bytes:
            self._kept[seed] = drawn
        return drawn

    def _lift(self, drawn: Tensor) -> Tensor:
        return drawn if self.subspace is None else self.subspace.lift(drawn)

    def dense(self, part: slice) -> Tensor:
        """The points of `part`, shape (n, D)."""
        indices = range(*part.indices(len(self)))
        points = self.base.repeat(len(indices), 1)
        drawn = None
        for point, n in zip(points, indices, strict=True):
            if drawn is None or self.seeds[n] != self.seeds[drawn]:
                noise, drawn = self.noise(n), n
            point.add_(noise, alpha=float(self.scale[n]))
        return points

    def part(self, part: slice) -> "SeededCandidates":
        """The candidates of `part`."""
        chosen = (self.seeds[part], self.scale[part], self.distribution, self.places[part])
        found = SeededCandidates(self.base, *chosen, self.subspace, self._kept_bytes)
        found._kept, found._lifted = self._kept, self._lifted
        return found

    def distinct(self, part: slice) -> tuple[Tensor, Tensor]:
        """The different directions of `part`, shape (K, D), and which of them each of its candidates has, shape (n,)."""
        first = range(len(self))[part].start
        _, which = torch.unique(self.seeds[part], return_inverse=True)
        owners = torch.zeros(int(which.max()) + 1, dtype=torch.int64).index_copy_(0, which, torch.arange(len(which)))
        if len(owners) == 1:
            return self.noise(first + int(owners[0])).unsqueeze(0), which
        return self._lift(torch.stack([self._draw(first + int(owner)) for owner in owners])), which


class ParticleCandidates:
    """Each candidate moves one particle of a subspace by an offset and keeps the base point otherwise."""

    def __init__(
        self, base: Tensor, subspace: "Subspace", particle: Tensor, offset: Tensor, places: Tensor | None = None
    ):
        """`base`: (D,). `particle`: (N,) indices below P. `offset`: (N, d) coordinates. `places`: (N,), 0..N - 1 where not
        given.
        """
        if offset.shape != (len(particle), subspace.particle_dimension):
            raise ValueError(
                f"offset must have shape ({len(particle)}, {subspace.particle_dimension}), got {tuple(offset.shape)}"
            )
        self.base, self.subspace, self.particle, self.offset = base, subspace, particle, offset
        self.places = torch.arange(len(particle)) if places is None else places

    def __len__(self) -> int:
        return len(self.particle)

    def dense(self, part: slice) -> Tensor:
        """The points of `part`, shape (n, D)."""
        return self.base + self.subspace.lift_each(self.particle[part], self.offset[part])

    @property
    def scale(self) -> Tensor:
        """+1 or -1 for each candidate, (N,): the sign of the first number of its offset that is not zero."""
        return leading_signs(self.offset)

    def distinct(self, part: slice) -> tuple[Tensor, Tensor]:
        """The changes of `part` that differ by more than their sign, shape (K, D), and which of them each of its candidates
        makes, (n,), times its `scale`.
        """
        offset = self.scale[part].unsqueeze(1) * self.offset[part]
        moves = torch.cat([self.particle[part].unsqueeze(1).to(offset), offset], dim=1)
        moves, which = torch.unique(moves, dim=0, return_inverse=True)
        return self.subspace.lift_each(moves[:, 0].long(), moves[:, 1:]), which

    def part(self, part: slice | Tensor) -> "ParticleCandidates":
        """The candidates of `part`, or of these numbers (n,)."""
        own = part if isinstance(part, slice) else part.cpu()
        return ParticleCandidates(self.base, self.subspace, self.particle[part], self.offset[part], self.places[own])


def leading_signs(offset: Tensor) -> Tensor:
    """The sign of the first number that is not zero in each row of `offset` (N, d), +1 or -1, (N,): that of a direction which
    its opposite shares.
    """
    first = (offset != 0).int().argmax(1, keepdim=True)
    return torch.where(offset.gather(1, first).squeeze(1) < 0, -1.0, 1.0)
