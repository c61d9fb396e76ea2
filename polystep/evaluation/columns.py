"""The columns of a subspace as the fused path reads them: per layer, sparse or dense."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from polystep.evaluation.layered import LayeredNetwork
from polystep.layout import ParameterLayout
from polystep.subspace import HybridSubspace

SEVERAL_LAYERS = -1


@dataclass(frozen=True)
class SparseColumns:
    """What the particles do to a one-channel layer.

    Particle p owns runs[p] .. runs[p+1]; run j concerns input run_input[j] (the number of inputs: the bias) and entries
    run_start[j] .. run_start[j+1]; an entry adds offset[coordinate] x input x value to one unit, with
    slot = coordinate x units + unit.
    """

    runs: NDArray[np.int64]
    run_input: NDArray[np.int64]
    run_start: NDArray[np.int64]
    slot: NDArray[np.int64]
    value: NDArray[np.float32]

    def as_tuple(
        self,
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
        """The fields in order, for a kernel."""
        return self.runs, self.run_input, self.run_start, self.slot, self.value


@dataclass(frozen=True)
class ColumnEntries:
    """All entries of one layer's columns: particle, coordinate within it, input (the number of inputs: the bias), unit,
    value.
    """

    particle: Tensor
    coordinate: Tensor
    source: Tensor
    unit: Tensor
    value: Tensor
    inputs: int

    def sparse(self, particles: int, units: int) -> SparseColumns:
        """Sorted by particle and input; `units`: padded number of units."""
        order = torch.argsort(self.particle * (self.inputs + 1) + self.source, stable=True)
        key = (self.particle * (self.inputs + 1) + self.source)[order]
        run_key, length = torch.unique_consecutive(key, return_counts=True)
        runs = torch.searchsorted(run_key // (self.inputs + 1), torch.arange(particles + 1))
        start = torch.cat([torch.zeros(1, dtype=torch.int64), length.cumsum(0)])
        slot = (self.coordinate * units + self.unit)[order]
        return SparseColumns(
            runs.numpy(), (run_key % (self.inputs + 1)).numpy(), start.numpy(), slot.numpy(), self.value[order].numpy()
        )

    def dense(self, chosen: Tensor, dimension: int, units: int) -> Tensor:
        """Matrix (inputs + 1, R d U) from inputs to the images of the particles `chosen` (R,)."""
        distinct, which = torch.unique(chosen, return_inverse=True)
        place = torch.searchsorted(distinct, self.particle).clamp(max=len(distinct) - 1)
        own = distinct[place] == self.particle
        matrix = torch.zeros(self.inputs + 1, len(distinct), dimension, units)
        index = (self.source[own], place[own], self.coordinate[own], self.unit[own])
        return matrix.index_put_(index, self.value[own], accumulate=True)[:, which].flatten(1)


def split_columns(
    subspace: HybridSubspace, network: LayeredNetwork, layout: ParameterLayout
) -> tuple[Tensor, list[ColumnEntries]]:
    """For each particle the layer that it moves, or SEVERAL_LAYERS, shape (P,); and the entries of each layer."""
    columns = subspace.columns()
    entries = {entry.name: entry for entry in layout.entries}
    particle = columns.coordinates // subspace.particle_dimension
    coordinate = columns.coordinates % subspace.particle_dimension
    home = torch.full((subspace.particles,), len(network.layers))
    found = []
    for index, layer in enumerate(network.layers):
        weight, bias = entries[layer.weight], entries[layer.bias]
        inputs = weight.shape[1]
        of_weight = (columns.elements >= weight.offset) & (columns.elements < weight.offset + weight.size)
        of_bias = (columns.elements >= bias.offset) & (columns.elements < bias.offset + bias.size)
        within = columns.elements - weight.offset
        unit = torch.where(of_bias, columns.elements - bias.offset, within // inputs)
        source = torch.where(of_bias, inputs, within % inputs)
        chosen = of_weight | of_bias
        owners = particle[chosen].unique()
        home[owners] = torch.where(home[owners] == len(network.layers), index, SEVERAL_LAYERS)
        places = (particle[chosen], coordinate[chosen], source[chosen], unit[chosen])
        found.append(ColumnEntries(*places, columns.values[chosen], inputs))
    return home, found
