"""Candidates that move everything: they share one matrix product for their first layers."""

from functools import cached_property
from typing import Any, TypeGuard

import numpy as np
import torch
from torch import Tensor

from polystep.candidates import Candidates, DenseCandidates, ParticleCandidates, SeededCandidates
from polystep.dense_subspace import DenseSubspace
from polystep.evaluation.compiled_network import CompiledNetwork
from polystep.evaluation.dense_kernels import build_dense
from polystep.evaluation.layered import with_bias_input
from polystep.evaluation.simd_blocks import pad_samples


class FusedDense:
    """Losses of any candidates. Seeded ones with the same seed share its column of the product, and so do opposite moves along
    directions without structure: an antithetic pair costs half of it. Torch counterpart: `IncrementalEvaluator`.
    """

    def __init__(self, compiled: CompiledNetwork):
        self._compiled = compiled

    @cached_property
    def kernels(self) -> Any:
        """The kernel of this network."""
        return build_dense(self._compiled.functions)

    def losses(self, candidates: Candidates, inputs: Tensor, targets: Tensor) -> Tensor:
        """Mean losses (N,)."""
        compiled = self._compiled
        if _has_shared_directions(candidates):
            base, scale, directions_of = candidates.base, candidates.scale, candidates.distinct
        else:
            base, scale = torch.zeros(compiled.layout.size), torch.ones(len(candidates))

            def directions_of(part: slice) -> tuple[Tensor, Tensor]:
                return candidates.dense(part), torch.arange(part.stop - part.start)

        losses = torch.empty(len(candidates))
        # a sum is finite only if all is, and quicker to find out
        is_finite = bool(torch.isfinite(base.sum()))
        per_candidate = 4 * (len(inputs) * compiled.units[0] + 2 * compiled.layout.size)
        # an even number, so that antithetic pairs stay together
        chunk = max(2, compiled.memory_bytes // per_candidate // 2 * 2)
        for first in range(0, len(candidates), chunk):
            part = slice(first, min(first + chunk, len(candidates)))
            directions, which = directions_of(part)
            if not (is_finite and torch.isfinite(directions.sum())):
                # kernels skip weights behind silent units, but 0 x NaN is NaN
                losses[part] = compiled.general.losses(DenseCandidates(candidates.dense(part)), inputs, targets)
                continue
            losses[part] = self._run(base, scale[part], directions, which, inputs, targets)
        return losses

    def _run(
        self, base: Tensor, scale: Tensor, directions: Tensor, which: Tensor, inputs: Tensor, targets: Tensor
    ) -> Tensor:
        """Losses (n,) of base + scale[n] directions[which[n]]."""
        compiled = self._compiled
        still, moved = compiled.layout.unflatten(base), compiled.layout.unflatten(directions)
        samples = pad_samples(with_bias_input(inputs).T)

        def own(index: int, name: str) -> Tensor:
            factor = scale.reshape(-1, *[1] * still[name].ndim)
            return compiled.network.layers[index].used(still[name] + factor * moved[name][which])

        first, units = compiled.network.layers[0], compiled.units[0]
        if first.transform is None:
            z = torch.cat([still[first.weight], still[first.bias].unsqueeze(1)], dim=1) @ samples
            weight, bias = moved[first.weight], moved[first.bias]
        else:
            # no two candidates share a column
            z = torch.zeros(units, samples.shape[1])
            weight, bias = own(0, first.weight), own(0, first.bias)
            scale, which = torch.ones(len(scale)), torch.arange(len(scale))
        # a product for each direction from where its weights are; one for all would copy them
        delta = torch.baddbmm(bias.unsqueeze(2), weight, samples[:-1].expand(len(weight), -1, -1))
        # the kernel reads no weights of the first layer
        stacked = [np.empty((len(which), 0), np.float32)] * 2
        for index, layer in enumerate(compiled.network.layers[1:], start=1):
            stacked += [
                array.numpy() for array in compiled.padded(index, own(index, layer.weight), own(index, layer.bias))
            ]
        moves = (z.numpy(), delta.numpy(), which.numpy(), scale.numpy())
        rest = (tuple(stacked), pad_samples(targets.long()).numpy(), len(targets))
        return torch.from_numpy(compiled.clock.call(self.kernels, *moves, *rest))


def _has_shared_directions(candidates: Candidates) -> TypeGuard[SeededCandidates | ParticleCandidates]:
    if isinstance(candidates, ParticleCandidates):
        # candidates of other subspaces change little each, or have no opposites that matter
        return isinstance(candidates.subspace, DenseSubspace)
    return isinstance(candidates, SeededCandidates)
