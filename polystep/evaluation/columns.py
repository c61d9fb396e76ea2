"""The columns of a subspace as the fused path reads them: per layer, sparse or dense."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from polystep.subspace import HybridSubspace

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SEVERAL_LAYERS = -1


@dataclass(frozen=True)
class SparseColumns:
    """What the particles do to a one-channel layer.

    Particle p owns runs[p] .. runs[p+1]; run j concerns input run_input[j] (the number of inputs: the bias) and entries
    run_start[j] .. run_start[j+1]; an entry adds offset[coordinate] x input x value to one unit, with
    slot = unit x d + coordinate.
    """

    runs: "NDArray[np.int64]"
    run_input: "NDArray[np.int64]"
    run_start: "NDArray[np.int64]"
    slot: "NDArray[np.int64]"
    value: "NDArray[np.float32]"

    def as_tuple(
        self,
    ) -> "tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]":
        """The fields in order, for a kernel."""
        return self.runs, self.run_input, self.run_start, self.slot, self.value


@dataclass(frozen=True)
class Projection:
    """Columns of one tensor: row k of `columns` (coordinates, elements), dense or sparse COO, belongs to coordinate first + k
    of the subspace.
    """

    first: int
    columns: Tensor

    def entries(self) -> tuple[Tensor, Tensor, Tensor]:
        """Coordinate, element and value of each entry of sparse columns."""
        coordinate, element = self.columns.indices()
        return coordinate + self.first, element, self.columns.values()

    def dense(self, coordinates: Tensor) -> tuple[Tensor, Tensor]:
        """Which of the coordinates (R,) have columns here, as booleans (R,), and those columns (n, elements)."""
        place = coordinates - self.first
        own = (place >= 0) & (place < len(self.columns))
        chosen = self.columns.index_select(0, place[own])
        return own, chosen.to_dense() if chosen.is_sparse else chosen


@dataclass(frozen=True)
class LayerColumns:
    """The columns of a layer's weight (units x inputs elements) and bias (units elements), where it has one; `particles` of
    the subspace have `dimension` coordinates each.
    """

    weight: Projection
    bias: Projection | None
    units: int
    inputs: int
    particles: int
    dimension: int

    @property
    def are_sparse(self) -> bool:
        """Whether adding entries one by one beats a product with a dense matrix."""
        return self.weight.columns.is_sparse

    @cached_property
    def sparse(self) -> SparseColumns:
        """All entries, sorted by particle and input."""
        coordinate, element, value = self.weight.entries()
        unit, source = element // self.inputs, element % self.inputs
        if self.bias is not None:
            of_bias, unit_of_bias, value_of_bias = self.bias.entries()
            coordinate, value = torch.cat([coordinate, of_bias]), torch.cat([value, value_of_bias])
            unit = torch.cat([unit, unit_of_bias])
            source = torch.cat([source, torch.full_like(unit_of_bias, self.inputs)])
        key = coordinate // self.dimension * (self.inputs + 1) + source
        order = torch.argsort(key, stable=True)
        run_key, length = torch.unique_consecutive(key[order], return_counts=True)
        runs = torch.searchsorted(run_key // (self.inputs + 1), torch.arange(self.particles + 1))
        start = torch.cat([torch.zeros(1, dtype=torch.int64), length.cumsum(0)])
        slot = (unit * self.dimension + coordinate % self.dimension)[order]
        return SparseColumns(
            runs.numpy(), (run_key % (self.inputs + 1)).numpy(), start.numpy(), slot.numpy(), value[order].numpy()
        )

    def dense(self, particle: Tensor) -> Tensor:
        """What each coordinate of the particles (R,) adds to weights and bias: (R d, units, inputs + 1)."""
        device = particle.device
        within = torch.arange(self.dimension, device=device)
        coordinates = (particle.unsqueeze(1) * self.dimension + within).flatten()
        change = torch.zeros(len(coordinates), self.units, self.inputs + 1, device=device)
        own, columns = self.weight.dense(coordinates)
        change[own, :, : self.inputs] = columns.unflatten(1, (self.units, self.inputs))
        if self.bias is not None:
            own, columns = self.bias.dense(coordinates)
            change[own, :, self.inputs] = columns
        return change


class SubspaceColumns:
    """The columns of one draw of a subspace by layer; layer_of_particle: for each the number of the layer that it moves,
    SEVERAL_LAYERS, or the number of layers for none, shape (P,).
    """

    def __init__(self, subspace: HybridSubspace, layers: Sequence[tuple[str, str | None]]):
        """`layers`: the names of weight and bias."""
        self._subspace, self._draw, self._nothing = subspace, subspace.draw, len(layers)
        self._projections = {entry.name: (entry, first, matrix) for entry, first, matrix in subspace.projections()}
        device = next(subspace.projections())[2].device
        self.layer_of_particle = torch.full((subspace.particles,), self._nothing, device=device)
        self.layers = [self._layer(index, weight, bias) for index, (weight, bias) in enumerate(layers)]

    def belongs_to(self, subspace: HybridSubspace) -> bool:
        """Whether these are the columns of its present draw."""
        return self._subspace is subspace and self._draw == subspace.draw

    def _layer(self, index: int, weight: str, bias: str | None) -> LayerColumns:
        projections = self._own(index, weight), None if bias is None else self._own(index, bias)
        units, inputs = self._projections[weight][0].shape
        return LayerColumns(*projections, units, inputs, self._subspace.particles, self._subspace.particle_dimension)

    def _own(self, index: int, name: str) -> Projection:
        """The projection of a tensor; its particles move layer `index`."""
        _, first, matrix = self._projections[name]
        columns = matrix.T.coalesce() if matrix.is_sparse else matrix.T.contiguous()
        last, dimension = first + len(columns) - 1, self._subspace.particle_dimension
        owners = slice(first // dimension, last // dimension + 1)
        free = (self.layer_of_particle[owners] == self._nothing) | (self.layer_of_particle[owners] == index)
        self.layer_of_particle[owners] = torch.where(free, index, SEVERAL_LAYERS)
        return Projection(first, columns)
