"""Incremental evaluation of convolutional networks on the CPU as one compiled loop over candidates and samples."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from polystep.candidates import ParticleCandidates
from polystep.evaluation.compilation import CompilationClock
from polystep.evaluation.convolution.incremental import ConvolutionalEvaluator, RowPatch, group_of
from polystep.evaluation.convolution.kernels import build_rows
from polystep.evaluation.convolution.network import ConvolutionalNetwork, changes_of_rows
from polystep.evaluation.convolution.plan import Plan, base_blocks, in_blocks, number_activations, weights_of
from polystep.evaluation.kernels import LANES
from polystep.evaluation.layered import with_bias_input
from polystep.evaluation.objective import Evaluator
from polystep.evaluation.simd_blocks import pad_samples
from polystep.layout import ParameterLayout
from polystep.subspace import RowSubspace

PIECE = 16
"""Candidates whose images are computed at a time where each has an image of its own."""


class FusedConvolutionalEvaluator(ConvolutionalEvaluator):
    """Row candidates are evaluated by a compiled loop on the CPU; all others, and those on other devices, as
    `ConvolutionalEvaluator` does.

    Losses equal those of `ConvolutionalEvaluator` to float tolerance. The loop compiles on first use, for all sizes.
    """

    def __init__(
        self, network: ConvolutionalNetwork, layout: ParameterLayout, whole: Evaluator, memory_bytes: int = 256 * 2**20
    ):
        """`whole`: evaluates candidates that move more than a row. `memory_bytes`: bound for the images of a chunk."""
        super().__init__(network, layout, whole, memory_bytes)
        self._clock = CompilationClock()
        self._shapes = {entry.name: entry.shape for entry in layout.entries}

    @property
    def compilation_seconds(self) -> float:
        """Seconds spent so far on compiling kernels, and on those of `whole`."""
        return self._clock.seconds + self.whole.compilation_seconds

    def _row_losses(self, candidates: ParticleCandidates, subspace: RowSubspace, patch: RowPatch) -> Tensor:
        if patch.targets.device.type != "cpu":
            return super()._row_losses(candidates, subspace, patch)
        base = self._base(patch)
        group, row, block = subspace.locate(candidates.particle)
        totals = torch.zeros(len(candidates), dtype=torch.float64)
        for index, layer in enumerate(self.network.layers):
            number = group_of(subspace, layer.weight)
            chosen, basis = (group == number).nonzero().squeeze(1), subspace.bases[number]
            if not len(chosen):
                continue
            if layer.transform is None:
                moves = Moves(row[chosen], block[chosen], candidates.offset[chosen])
                totals[chosen] = self._changes(index, moves, basis, base)
                continue
            directions = basis.unflatten(0, (-1, subspace.particle_dimension))
            for part in chosen.split(PIECE):
                # a transformed row has an image of its own; always as many, so that parts of candidates give the same numbers
                change = torch.einsum("nd,ndi->ni", candidates.offset[part], directions[block[part]])
                rows = F.pad(changes_of_rows(layer, patch.tensors, row[part], change), (0, 0, 0, PIECE - len(part)))
                moves = Moves(row[part], torch.arange(len(part)), torch.ones(len(part), 1))
                totals[part] = self._changes(index, moves, rows, base)
        return ((patch.trace.losses.double().sum() + totals) / len(patch.targets)).float()

    def _changes(self, index: int, moves: "Moves", rows: Tensor, base: "Base") -> Tensor:
        """Changes (n,) of the sum of the losses, where row[n] of layer `index` moves by offset[n] over block[n] of `rows`."""
        dimension, positions = moves.offset.shape[1], base.plan.image_positions(index)
        first = moves.block * dimension * positions * LANES
        totals = torch.zeros(len(moves.row), dtype=torch.float64)
        samples = self.memory_bytes // (4 * len(rows) * positions)
        chunk = max(1, samples // LANES)
        for start in range(0, len(base.blocks), chunk):
            own = slice(start, start + chunk)
            projected = in_blocks(base.images(index, rows, slice(start * LANES, own.stop * LANES))).numpy()
            moved = np.full(len(first), index), moves.row.numpy(), first.numpy(), moves.offset.numpy(), projected
            found = self._clock.call(self.kernels, *moved, *base.arguments(own))
            # one after another, so that no sum depends on how many candidates there are
            for block in torch.from_numpy(found):
                totals += block
        return totals

    def _base(self, patch: RowPatch) -> "Base":
        """The base point for the kernel."""
        network, trace = self.network, patch.trace
        plan = Plan(network, self._shapes, (trace.signals[0].shape[2], trace.signals[0].shape[3]), self.activations[1])
        targets, losses = pad_samples(patch.targets.long()).numpy(), trace.losses.contiguous().numpy()
        return Base(patch, plan, base_blocks(trace), weights_of(network, plan.layers, patch.tensors), targets, losses)

    @cached_property
    def activations(self) -> tuple[list[Any], dict[int, int]]:
        """The numba functions of all activations and their numbers."""
        return number_activations(self.network)

    @cached_property
    def kernels(self) -> Any:
        """The compiled loop, built on first use."""
        outputs = self._shapes[self.network.head.layers[-1].weight][0]
        return build_rows(self.activations[0], self.network.head.loss.compiled(outputs))


@dataclass(frozen=True)
class Moves:
    """Candidates that move row[n] of one layer by offset[n] (d,) over block[n] of some rows."""

    row: Tensor
    block: Tensor
    offset: Tensor


@dataclass(frozen=True)
class Base:
    """The base point for the kernel: the plan of its layers, signals (blocks, numbers), weights, targets padded to whole blocks
    and losses (B,).
    """

    patch: RowPatch
    plan: Plan
    blocks: NDArray[np.float32]
    weights: NDArray[np.float32]
    targets: NDArray[np.int64]
    losses: NDArray[np.float32]

    def images(self, index: int, rows: Tensor, samples: slice) -> Tensor:
        """What rows (R, inputs) make of the inputs of layer `index`, (B, R, ...)."""
        convolutions, trace = self.patch.network.convolutions, self.patch.trace
        if index < len(convolutions):
            return convolutions[index].images(trace.signals[index][samples], rows)
        return with_bias_input(trace.head.signals[index - len(convolutions)][samples, 0]) @ rows.T

    def arguments(self, blocks: slice) -> tuple[Any, ...]:
        """Those arguments of the kernel that do not depend on the candidates."""
        samples = slice(blocks.start * LANES, blocks.stop * LANES)
        plan, own = self.plan, (self.targets[samples], self.losses[samples], self.plan.sizes)
        return self.blocks[blocks], plan.layers, plan.operations, self.weights, *own
