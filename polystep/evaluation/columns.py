"""The sparse columns of a subspace, sorted for the fused path: per layer, per particle, per input of the layer."""

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
class LayerColumns:
    """What the particles do to one layer.

    Particle p owns runs[p] .. runs[p+1]; run j concerns input run_input[j] (the number of inputs: the bias) and entries
    run_start[j] .. run_start[j+1]; an entry adds offset[coordinate] x input x value to one unit, with
    slot = coordinate x channels x units + unit.
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


def split_columns(
    subspace: HybridSubspace, network: LayeredNetwork, layout: ParameterLayout, units: list[int]
) -> tuple[Tensor, list[LayerColumns]]:
    """For each particle the layer that it moves, or SEVERAL_LAYERS, shape (P,); and the columns of each layer.

    `units`: padded number of units of each layer.
    """
    columns = subspace.columns()
    entries = {entry.name: entry for entry in layout.entries}
    particle = columns.coordinates // subspace.particle_dimension
    coordinate = columns.coordinates % subspace.particle_dimension
    home = torch.full((subspace.particles,), len(network.layers))
    found = []
    channels = 1
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
        slot = coordinate[chosen] * (channels * units[index]) + unit[chosen]
        found.append(
            _sorted_runs(particle[chosen], source[chosen], slot, columns.values[chosen], subspace.particles, inputs + 1)
        )
        channels = layer.activation.channels
    return home, found


def _sorted_runs(
    particle: Tensor, source: Tensor, slot: Tensor, value: Tensor, particles: int, inputs: int
) -> LayerColumns:
    key = particle * inputs + source
    order = torch.argsort(key, stable=True)
    run_key, length = torch.unique_consecutive(key[order], return_counts=True)
    runs = torch.searchsorted(run_key // inputs, torch.arange(particles + 1))
    start = torch.cat([torch.zeros(1, dtype=torch.int64), length.cumsum(0)])
    return LayerColumns(
        runs.numpy(), (run_key % inputs).numpy(), start.numpy(), slot[order].numpy(), value[order].numpy()
    )
