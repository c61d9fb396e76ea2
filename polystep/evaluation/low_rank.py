"""Candidates that move every weight matrix by one of low rank: their first layers share all but a few numbers per sample."""

from functools import cached_property

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from polystep.evaluation.compiled_network import CompiledNetwork, FloatArray
from polystep.evaluation.dense import FusedDense
from polystep.evaluation.kernels import LANES
from polystep.evaluation.layered import with_bias_input
from polystep.evaluation.low_rank_kernels import TOGETHER, LowRankKernels, build_low_rank
from polystep.evaluation.simd_blocks import pad_samples
from polystep.low_rank import LowRankCandidates, LowRankMoves

CHUNK_BYTES = 4 * 2**20
"""Weights of their own that candidates of a chunk may have: they are made in several passes and stay in the cache meanwhile."""


class FusedLowRank:
    """Losses of `LowRankCandidates`: x (W + s a b^T)^T is x W^T, shared by all, and s (x b) a^T. Behind the first layer every
    candidate has signals of its own, and weights of its own cost little beside them. Torch counterpart:
    `IncrementalEvaluator`.
    """

    def __init__(self, compiled: CompiledNetwork, dense: FusedDense):
        self._compiled, self._dense = compiled, dense
        shapes = {entry.name: entry.shape for entry in compiled.layout.entries}
        self._inputs = shapes[compiled.network.layers[0].weight][1]

    @cached_property
    def kernels(self) -> LowRankKernels:
        """The kernels of this network."""
        return build_low_rank(self._compiled.functions, self._inputs)

    def losses(self, candidates: LowRankCandidates, inputs: Tensor, targets: Tensor) -> Tensor:
        """Mean losses (N,)."""
        compiled = self._compiled
        first = compiled.network.layers[0]
        # transformed weights have no structure; kernels skip what is silent, but 0 x NaN is NaN
        if first.transform is not None or not torch.isfinite(candidates.base).all():
            return self._dense.losses(candidates, inputs, targets)
        still = compiled.layout.unflatten(candidates.base)
        samples = pad_samples(with_bias_input(inputs).T)
        blocks = samples[:-1].unflatten(1, (-1, LANES)).transpose(0, 1).flatten(1).numpy()
        z = (torch.cat([still[first.weight], still[first.bias].unsqueeze(1)], dim=1) @ samples).numpy()
        rest = (pad_samples(targets.long()).numpy(), len(targets))
        losses = torch.empty(len(candidates))
        weights = sum(still[layer.weight].numel() for layer in compiled.network.layers[1:])
        # an even number, so that antithetic pairs stay together
        chunk = 2 * max(1, CHUNK_BYTES // (8 * max(weights, 1)))
        for begin in range(0, len(candidates), chunk):
            part = slice(begin, min(begin + chunk, len(candidates)))
            moves = candidates.moves(part)
            vectors = _in_groups(moves.right[first.weight].flatten(0, 1))
            projected = compiled.clock.call(self.kernels.project, vectors, blocks)
            of_first = (moves.which, moves.scaled_left(first.weight), moves.dense(first.bias))
            own = (*(tensor.numpy() for tensor in of_first), self._weights(still, moves))
            losses[part] = torch.from_numpy(compiled.clock.call(self.kernels.network, z, projected, *own, *rest))
        return losses

    def _weights(self, still: dict[str, Tensor], moves: LowRankMoves) -> tuple[FloatArray, ...]:
        """The tensors of every layer but the first, stacked over candidates (n, ...)."""
        # the kernel reads no weights of the first layer
        stacked = [np.empty((len(moves.which), 0), np.float32)] * 2
        for index, layer in enumerate(self._compiled.network.layers[1:], start=1):
            weight = layer.used(moves.dense(layer.weight).add_(still[layer.weight].T))
            bias = layer.used(moves.dense(layer.bias).add_(still[layer.bias]))
            stacked += [tensor.numpy() for tensor in self._compiled.padded(index, weight.mT, bias)]
        return tuple(stacked)


def _in_groups(vectors: Tensor) -> FloatArray:
    """Vectors (R, I) by TOGETHER, zeros behind the last: (G, I, TOGETHER)."""
    padded = F.pad(vectors, (0, 0, 0, -len(vectors) % TOGETHER))
    groups: FloatArray = padded.unflatten(0, (-1, TOGETHER)).mT.contiguous().numpy()
    return groups
