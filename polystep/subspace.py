"""Subspaces: how the coordinates of the particles change the parameters.

Every lift is linear, so a point can be moved at once and coordinates always start from zero: what the author's library
calls absorbing (adding the lifted coordinates to the base and zeroing them) happens at every step.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from itertools import accumulate
from typing import Literal

import torch
from torch import Tensor

from polystep.component import component
from polystep.layout import Entry, ParameterLayout
from polystep.random import named_generator
from polystep.sparse_product import SparseProduct
from polystep.validation import SettingError, at_least

Placement = Literal["element", "dense", "sparse"]


class Subspace(ABC):
    """P particles of d coordinates each and a linear map from them to the D parameters."""

    has_random_projections = True

    def __init__(self, layout: ParameterLayout, particle_dimension: int, coordinates: int):
        """`coordinates`: how many there are; the last particle is padded with coordinates that change nothing."""
        at_least(1, particle_dimension=particle_dimension)
        if particle_dimension > coordinates:
            raise SettingError(
                f"particle_dimension {particle_dimension} is larger than the {coordinates} coordinates of "
                f"{type(self).__name__}; choose a particle_dimension of at most {coordinates}"
            )
        self.layout, self.particle_dimension, self.coordinates = layout, particle_dimension, coordinates
        self.particles = math.ceil(coordinates / particle_dimension)
        self.draw = 0

    @abstractmethod
    def lift(self, coordinates: Tensor) -> Tensor:
        """Parameter change (..., D) of coordinates (..., P, d)."""

    @abstractmethod
    def redraw(self, draw: int) -> None:
        """Replace every random projection by number `draw` of its sequence."""

    def lift_each(self, particle: Tensor, offset: Tensor) -> Tensor:
        """Parameter changes (N, D) of moving particle n alone by offset n; particle (N,), offset (N, d)."""
        coordinates = offset.new_zeros(len(particle), self.particles, self.particle_dimension)
        coordinates[torch.arange(len(particle), device=offset.device), particle] = offset
        return self.lift(coordinates)


@component("full", version=1)
class FullSpace(Subspace):
    """Coordinates are the parameters themselves."""

    has_random_projections = False

    def __init__(self, layout: ParameterLayout, particle_dimension: int, seed: int, device: torch.device | str = "cpu"):
        super().__init__(layout, particle_dimension, layout.size)

    def lift(self, coordinates: Tensor) -> Tensor:
        """Parameter change (..., D) of coordinates (..., P, d): the padding is cut off."""
        return coordinates.flatten(-2)[..., : self.layout.size]

    def redraw(self, draw: int) -> None:
        """Nothing is random."""


@dataclass(frozen=True)
class RowGroup:
    """One weight tensor seen as a matrix of rows (one per output), with its bias as a further input where there is one.

    `first_particle`: index of the first particle of row 0; row i, block b is particle first + i blocks + b.
    """

    weight: Entry
    bias: Entry | None
    rows: int
    inputs: int
    rank: int
    blocks: int
    first_particle: int

    @property
    def particles(self) -> int:
        """Particles of the whole group."""
        return self.rows * self.blocks


@component("row", version=1)
class RowSubspace(Subspace):
    """Every output row of every weight has its own coordinates over a random orthonormal basis that its tensor shares.

    row i of [W | b] changes by z_i B with B (rank, inputs + 1) orthonormal, rank = min(`rank`, inputs + 1), padded with zero
    rows to whole particles. A particle therefore touches ONE row of one layer, which is what incremental evaluation
    exploits. Weights of more than two dimensions are rows of all that follows the first; a 1-D tensor is a bias if it
    is the `bias` beside a weight of as many rows, else one row of its own.
    """

    def __init__(
        self,
        layout: ParameterLayout,
        particle_dimension: int,
        seed: int,
        rank: int = 16,
        device: torch.device | str = "cpu",
    ):
        if not 1 <= particle_dimension <= rank:
            raise SettingError(
                f"particle_dimension must lie in 1..{rank}, the rank of each row, got {particle_dimension}"
            )
        self.groups = _row_groups(layout, rank, particle_dimension)
        used = sum(group.rows * group.rank for group in self.groups)
        super().__init__(layout, particle_dimension, used)
        self.particles = sum(group.particles for group in self.groups)
        self._seed, self._device = seed, torch.device(device)
        self.redraw(0)

    def redraw(self, draw: int) -> None:
        """New bases, number `draw` of the sequence that belongs to the seed."""
        self.draw = draw
        self.bases = [self._basis(group, draw) for group in self.groups]

    def _basis(self, group: RowGroup, draw: int) -> Tensor:
        columns = group.inputs + (group.bias is not None)
        generator = named_generator(self._seed, "row subspace", group.weight.name, draw, device=self._device)
        gaussian = torch.randn(columns, group.rank, generator=generator, device=self._device)
        basis = torch.linalg.qr(gaussian).Q.T
        padding = group.blocks * self.particle_dimension - group.rank
        return torch.cat([basis, basis.new_zeros(padding, columns)]).contiguous()

    def lift(self, coordinates: Tensor) -> Tensor:
        """Parameter change (..., D) of coordinates (..., P, d)."""
        lead = coordinates.shape[:-2]
        change = coordinates.new_zeros(*lead, self.layout.size)
        for group, basis in zip(self.groups, self.bases, strict=True):
            part = coordinates[..., group.first_particle : group.first_particle + group.particles, :]
            rows = part.reshape(*lead, group.rows, len(basis)) @ basis.to(part.dtype)
            change[..., group.weight.span] = rows[..., : group.inputs].flatten(-2)
            if group.bias is not None:
                change[..., group.bias.span] = rows[..., group.inputs]
        return change

    def locate(self, particle: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Group, row and block of each particle, all of the shape of `particle`."""
        firsts = torch.tensor([group.first_particle for group in self.groups], device=particle.device)
        blocks = torch.tensor([group.blocks for group in self.groups], device=particle.device)
        group = torch.bucketize(particle, firsts, right=True) - 1
        within = particle - firsts[group]
        return group, within // blocks[group], within % blocks[group]


def _row_groups(layout: ParameterLayout, rank: int, particle_dimension: int) -> tuple[RowGroup, ...]:
    entries = {entry.name: entry for entry in layout.entries}
    bias_of = {}
    for entry in layout.entries:
        owner, _, kind = entry.name.rpartition(".")
        weight = entries.get(f"{owner}.weight" if owner else "weight")
        if kind == "bias" and weight is not None and len(weight.shape) >= 2 and entry.shape == weight.shape[:1]:
            bias_of[weight.name] = entry
    biases = {entry.name for entry in bias_of.values()}
    groups: list[RowGroup] = []
    first = 0
    for entry in layout.entries:
        if entry.name in biases or entry.size == 0:
            continue
        rows = entry.shape[0] if len(entry.shape) >= 2 else 1
        inputs = entry.size // rows
        bias = bias_of.get(entry.name)
        group_rank = min(rank, inputs + (bias is not None))
        blocks = math.ceil(group_rank / particle_dimension)
        groups.append(RowGroup(entry, bias, rows, inputs, group_rank, blocks, first))
        first += rows * blocks
    return tuple(groups)


@dataclass(frozen=True)
class Columns:
    """Sparse columns of one tensor's projection: coordinate k changes element elements[j] by values[j] for every j with
    coordinates[j] = k. Coordinates count within the tensor, elements within the flat vector.
    """

    coordinates: Tensor
    elements: Tensor
    values: Tensor


@component("hybrid", version=1, added=("at_most_elements",))
class HybridSubspace(Subspace):
    """The paper's subspace: one fixed random projection per tensor, of rank (rows + inputs) coordinates.

    A tensor of at least two dimensions with o rows, i inputs and N = o i elements gets k = min(rank, o, i)(o + i)
    coordinates: identity if k = N; if a dense matrix would pass `dense_bytes`, a very sparse Rademacher matrix
    (max(1, floor(sqrt(N))) entries +-1/sqrt(entries) per column, rows drawn with replacement); else the Q factor of a
    Gaussian matrix; a Gaussian matrix / sqrt(k) where k > N. 1-D tensors get one coordinate per element.
    With a `cap`, 1-D tensors keep their coordinates and the others share the rest in proportion to k, rounded, at least 1
    each. The first edition's runs used projection_seed 0 for every run seed; the revised edition's have projections of their
    own and `at_most_elements`: k is no larger than N. Source: METHOD.md, subspaces.
    """

    def __init__(
        self,
        layout: ParameterLayout,
        particle_dimension: int,
        seed: int,
        rank: int = 4,
        projection_seed: int | None = None,
        dense_bytes: int = 10**9,
        cap: int | None = None,
        at_most_elements: bool = False,
        device: torch.device | str = "cpu",
    ):
        """`projection_seed`: fixes the projections across run seeds; None derives them from the run seed. `cap`: about how
        many coordinates there may be at most.
        """
        at_least(1, rank=rank)
        counts = [_hybrid_coordinates(entry, rank) for entry in layout.entries]
        if at_most_elements:
            counts = [min(count, entry.size) for count, entry in zip(counts, layout.entries, strict=True)]
        self._counts = _capped(counts, layout, cap)
        super().__init__(layout, particle_dimension, sum(self._counts))
        self._seed = seed if projection_seed is None else projection_seed
        self._dense_bytes, self._device = dense_bytes, torch.device(device)
        self.redraw(0)

    def redraw(self, draw: int) -> None:
        """New projections, number `draw` of the sequence that belongs to the projection seed."""
        self.draw = draw
        self._projections = [
            self._project(entry, count, draw) for entry, count in zip(self.layout.entries, self._counts, strict=True)
        ]
        self._products = [
            SparseProduct(matrix) if matrix.is_sparse else partial(_dense_product, matrix)
            for matrix in self._projections
        ]

    def _project(self, entry: Entry, count: int, draw: int) -> Tensor:
        """The projection matrix (elements, coordinates) of one tensor: dense, or sparse COO."""
        generator = named_generator(self._seed, "hybrid subspace", entry.name, draw, device=self._device)
        if count == entry.size:
            index = torch.arange(count, device=self._device)
            return torch.sparse_coo_tensor(
                torch.stack([index, index]),
                torch.ones(count, device=self._device),
                (count, count),
                is_coalesced=True,
                check_invariants=False,
            )
        if entry.size * count * 4 > self._dense_bytes:
            return _very_sparse_rademacher(entry.size, count, generator)
        gaussian = torch.randn(entry.size, count, generator=generator, device=self._device)
        return torch.linalg.qr(gaussian).Q if entry.size >= count else gaussian / math.sqrt(count)

    def lift(self, coordinates: Tensor) -> Tensor:
        """Parameter change (..., D) of coordinates (..., P, d)."""
        lead = coordinates.shape[:-2]
        flat = coordinates.reshape(math.prod(lead), self.particles * self.particle_dimension)[:, : self.coordinates]
        parts = flat.split(self._counts, dim=1)
        lifted = [product(part.T).T for product, part in zip(self._products, parts, strict=True)]
        return torch.cat(lifted, dim=1).reshape(*lead, self.layout.size)

    def projections(self) -> Iterator[tuple[Entry, int, Tensor]]:
        """Every tensor with its first coordinate and its projection (elements, coordinates), dense or sparse COO."""
        firsts = accumulate(self._counts, initial=0)
        return zip(self.layout.entries, firsts, self._projections, strict=False)

    def projection(self, name: str) -> tuple[int, Tensor]:
        """The first coordinate of a tensor and its projection (elements, coordinates), dense or sparse COO."""
        place = next(i for i, entry in enumerate(self.layout.entries) if entry.name == name)
        return sum(self._counts[:place]), self._projections[place]

    def columns(self) -> Columns:
        """All projections as sparse columns; coordinates count over the whole subspace, in ascending order."""
        coordinates, elements, values = [], [], []
        first = 0
        for entry, count, projection in zip(self.layout.entries, self._counts, self._projections, strict=True):
            sparse = projection if projection.is_sparse else projection.to_sparse()
            element, coordinate = sparse.coalesce().indices()
            order = torch.argsort(coordinate, stable=True)
            coordinates.append(coordinate[order] + first)
            elements.append(element[order] + entry.offset)
            values.append(sparse.coalesce().values()[order])
            first += count
        return Columns(torch.cat(coordinates), torch.cat(elements), torch.cat(values))


def _dense_product(projection: Tensor, vectors: Tensor) -> Tensor:
    return projection.to(vectors.dtype) @ vectors


def _hybrid_coordinates(entry: Entry, rank: int) -> int:
    if len(entry.shape) < 2 or entry.size == 0:
        return entry.size
    rows, inputs = entry.shape[0], entry.size // entry.shape[0]
    return min(rank, rows, inputs) * (rows + inputs)


def _capped(counts: list[int], layout: ParameterLayout, cap: int | None) -> list[int]:
    projected = [count if len(entry.shape) >= 2 else 0 for entry, count in zip(layout.entries, counts, strict=True)]
    unprojected = sum(counts) - sum(projected)
    if cap is None or cap >= sum(counts):
        return counts
    if cap < unprojected:
        raise SettingError(f"cap must be at least {unprojected}, the coordinates of the 1-D tensors, got {cap}")
    share = (cap - unprojected) / sum(projected)
    return [max(1, round(part * share)) if part else count for part, count in zip(projected, counts, strict=True)]


def _very_sparse_rademacher(elements: int, coordinates: int, generator: torch.Generator) -> Tensor:
    """Sparse COO matrix (elements, coordinates); duplicates within a column add up."""
    entries = max(1, math.isqrt(elements))
    device = generator.device
    row = torch.randint(elements, (coordinates, entries), generator=generator, device=device)
    sign = torch.randint(2, (coordinates, entries), generator=generator, device=device) * 2.0 - 1.0
    column = torch.arange(coordinates, device=device).unsqueeze(1).expand(-1, entries)
    index = torch.stack([row.reshape(-1), column.reshape(-1)])
    return torch.sparse_coo_tensor(
        index, sign.reshape(-1) / math.sqrt(entries), (elements, coordinates), check_invariants=False
    ).coalesce()
