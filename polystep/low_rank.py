"""Candidates that move every weight matrix by a matrix of low rank, drawn from a seed."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from polystep.candidates import check_weights
from polystep.layout import ParameterLayout
from polystep.random import named_generator
from polystep.validation import at_least

COMBINED = 256
"""Candidates whose directions `LowRankCandidates.combine` draws at a time."""


@dataclass(frozen=True)
class LowRankMoves:
    """scale[n] (n,) times direction which[n] (n,) of K, by the names of the tensors: left (K, o, rank) times right (K, rank, i)
    for a matrix of o rows, others (K, size) for a tensor of fewer than two dimensions.
    """

    left: Mapping[str, Tensor]
    right: Mapping[str, Tensor]
    others: Mapping[str, Tensor]
    which: Tensor
    scale: Tensor

    def scaled_left(self, name: str) -> Tensor:
        """The left factor of each move of a matrix, (n, o, rank)."""
        return self.left[name][self.which] * self.scale[:, None, None]

    def dense(self, name: str) -> Tensor:
        """The moves of one tensor written out, (n, size); those of a matrix transposed, (n, i, o)."""
        if name in self.others:
            return self.others[name][self.which] * self.scale[:, None]
        return product_by_terms(self.right[name][self.which].mT, self.scaled_left(name).mT)

    def images(self, name: str, inputs: Tensor) -> Tensor:
        """What the moves of a matrix add to the images of inputs (B, i), (n, B, o)."""
        # A product for each direction, since a batch of one rounds differently from a batch of several; of a copy, since a
        # product with a vector rounds by where that begins in memory.
        projected = torch.stack([F.linear(inputs, right.clone()) for right in self.right[name]])
        return projected[self.which] @ self.scaled_left(name).mT


def product_by_terms(left: Tensor, right: Tensor) -> Tensor:
    """left (..., o, r) times right (..., r, i), term by term, so that rounding does not depend on how many there are."""
    total = left[..., :, :1] * right[..., :1, :]
    for term in range(1, left.shape[-1]):
        total = total + left[..., :, term : term + 1] * right[..., term : term + 1, :]
    return total


class LowRankCandidates:
    """base + scale_n E_n with E_n drawn from seed n on demand: neither points nor directions are stored whole.

    A tensor of at least two dimensions with o rows of i elements gets E = A B^T/sqrt(rank), A (o, rank) and B (i, rank) of
    independent standard normal numbers; other tensors get such numbers themselves. A negative scale with a repeated seed
    gives the antithetic partner; neighbours that share a seed share the drawing.
    Source: Sarkar et al., Evolution Strategies at the Hyperscale (2025), arXiv 2511.16652, section 4.1.
    """

    def __init__(
        self,
        base: Tensor,
        layout: ParameterLayout,
        seeds: Tensor,
        scale: Tensor,
        rank: int = 1,
        input_bases: Mapping[str, Tensor] | None = None,
        places: Tensor | None = None,
    ):
        """`base`: (D,). `seeds`: (N,) integers. `scale`: (N,). `input_bases`: matrices (s, i) by the names of tensors of two
        dimensions and more, whose B is then a normal combination of these rows. `places`: (N,), 0..N - 1 where not given.
        """
        if seeds.shape != scale.shape or seeds.ndim != 1:
            raise ValueError(
                f"seeds and scale must both have shape (N,), got {tuple(seeds.shape)}, {tuple(scale.shape)}"
            )
        at_least(1, rank=rank)
        self.base, self.layout, self.seeds, self.scale, self.rank = base, layout, seeds, scale, rank
        self.input_bases = input_bases or {}
        self.places = torch.arange(len(seeds)) if places is None else places

    def __len__(self) -> int:
        return len(self.seeds)

    def dense(self, part: slice) -> Tensor:
        """The points of `part`, shape (n, D)."""
        tensors = self.tensors(self.moves(part), [entry.name for entry in self.layout.entries])
        return torch.cat([tensor.flatten(1) for tensor in tensors.values()], dim=1)

    def tensors(self, moves: LowRankMoves, names: Iterable[str]) -> dict[str, Tensor]:
        """Some tensors of the candidates with these moves, (n, *shape)."""
        still = self.layout.unflatten(self.base)
        changes = {name: moves.dense(name).mT if name in moves.left else moves.dense(name) for name in names}
        return {name: still[name] + change.reshape(len(change), *still[name].shape) for name, change in changes.items()}

    def part(self, part: slice) -> "LowRankCandidates":
        """The candidates of `part`."""
        chosen = (self.seeds[part], self.scale[part], self.rank, self.input_bases, self.places[part])
        return LowRankCandidates(self.base, self.layout, *chosen)

    def moves(self, part: slice) -> LowRankMoves:
        """What the candidates of `part` add to the base point; neighbours with one seed share a direction."""
        seeds, which = torch.unique_consecutive(self.seeds[part], return_inverse=True)
        return LowRankMoves(*self._draw(seeds), which.to(self.base.device), self.scale[part].to(self.base))

    def combine(self, weights: Tensor) -> Tensor:
        """sum_n weights_n E_n, shape (D,), for weights (N,); no E_n is written out."""
        check_weights(weights, self)
        total = torch.zeros_like(self.base)
        for first in range(0, len(self), COMBINED):
            part = slice(first, first + COMBINED)
            seeds, which = torch.unique_consecutive(self.seeds[part], return_inverse=True)
            own = weights.new_zeros(len(seeds)).index_add_(0, which.to(weights.device), weights[part]).to(total)
            left, right, others = self._draw(seeds)
            for entry in self.layout.entries:
                if entry.name in left:
                    change = torch.einsum("k,kor,kri->oi", own, left[entry.name], right[entry.name]).flatten()
                else:
                    change = own @ others[entry.name]
                total[entry.span] += change
        return total

    def _draw(self, seeds: Tensor) -> tuple[dict[str, Tensor], dict[str, Tensor], dict[str, Tensor]]:
        """Left and right factors and other tensors of the directions that belong to seeds (K,), see `LowRankMoves`."""
        device = self.base.device
        sizes = [self._numbers(entry.name, entry.shape) for entry in self.layout.entries]
        numbers = torch.empty(len(seeds), sum(map(sum, sizes)), device=device)
        for row, seed in zip(numbers, seeds.tolist(), strict=True):
            row.normal_(generator=named_generator(seed, "low rank", device=device))
        left: dict[str, Tensor] = {}
        right: dict[str, Tensor] = {}
        others: dict[str, Tensor] = {}
        first = 0
        for entry, (of_left, of_right) in zip(self.layout.entries, sizes, strict=True):
            drawn = numbers[:, first : first + of_left + of_right].to(self.base.dtype)
            first += of_left + of_right
            names = (entry.name, *entry.aliases)
            if not of_right:
                others |= dict.fromkeys(names, drawn)
                continue
            factor = drawn[:, of_left:].unflatten(1, (self.rank, -1))
            if (basis := self.input_bases.get(entry.name)) is not None:
                factor = product_by_terms(factor, basis)
            left |= dict.fromkeys(names, drawn[:, :of_left].unflatten(1, (-1, self.rank)) / math.sqrt(self.rank))
            right |= dict.fromkeys(names, factor)
        return left, right, others

    def _numbers(self, name: str, shape: tuple[int, ...]) -> tuple[int, int]:
        """How many numbers the left and the right factor take; tensors without factors: all, and none."""
        if len(shape) < 2:
            return math.prod(shape), 0
        inputs = len(self.input_bases[name]) if name in self.input_bases else math.prod(shape[1:])
        return shape[0] * self.rank, inputs * self.rank
