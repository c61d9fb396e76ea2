"""Exact losses of candidates on a formula, on the CPU: what a candidate does not touch is not computed again."""

from functools import cached_property
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from polystep.candidates import Candidates, ParticleCandidates, SeededCandidates
from polystep.low_rank import LowRankCandidates
from polystep.sampled_space import SampledSpace
from polystep.subspace import FullSpace
from tasks.maxsat import kernels
from tasks.maxsat.clauses import Clauses
from tasks.maxsat.workers import Workers

DENSE_BYTES = 64 * 2**20
"""Points that are written out at once."""


class ClauseEvaluator(Protocol):
    """loss = scale x weight of the unsatisfied clauses, where x_v is true if point[v] > 0.

    Losses keep every unit of weight: they are float64 where float32 does not tell units apart, and, where that does not
    either, losses of candidates that move a base point are relative to the loss of that.
    """

    @property
    def compilation_seconds(self) -> float:
        """Seconds spent so far on compiling kernels; 0 where nothing is compiled."""
        ...

    def losses(self, candidates: Candidates) -> tuple[Tensor, int]:
        """Loss of every candidate, shape (N,), and how many clauses were looked at for them."""
        ...

    def unsatisfied(self, point: Tensor) -> NDArray[np.int64]:
        """Numbers of the clauses that `point` leaves unsatisfied."""
        ...


class FusedClauseEvaluator:
    """Compiled loops.

    Pairs of the full space (particle dimension 2): one pass over the clauses tabulates what each flip of a variable changes,
    and each pair of flips beyond the sum of both; a candidate reads the entries that its signs name. Particles of other
    dimensions: the clauses of the flipped variables are looked at. Other candidates: 64 assignments at a time, one bit each.
    Source of the table: METHOD.md, exact incremental evaluation.
    """

    def __init__(self, clauses: Clauses):
        self.variables, self.scale, self._relative = clauses.variables, clauses.scale, clauses.relative
        self._losses = np.float32 if clauses.loss_dtype == torch.float32 else np.float64
        self._codes, self._starts, self._numbers = clauses.codes, clauses.starts, clauses.numbers
        self._workers = Workers()
        lengths = np.diff(self._starts)
        self._weights = _narrow(self._codes, lengths, clauses.weights)
        # the usual length is worth a loop of its own, which the compiler unrolls
        self._tabulate = kernels.build_tabulate(3 if (lengths == 3).all() else 0)
        self._with_pairs = self._clauses_with_pairs(lengths)

    @property
    def compilation_seconds(self) -> float:
        """Seconds spent so far on compiling kernels."""
        return self._workers.clock.seconds

    def losses(self, candidates: Candidates) -> tuple[Tensor, int]:
        """Loss of every candidate, shape (N,), and how many clauses were looked at for them."""
        if isinstance(candidates, ParticleCandidates) and isinstance(candidates.subspace, FullSpace):
            return self._particle_losses(candidates, candidates.subspace.particle_dimension)
        return self._dense_losses(candidates)

    def unsatisfied(self, point: Tensor) -> NDArray[np.int64]:
        """Numbers of the clauses that `point` leaves unsatisfied."""
        return self._numbers[self._marks(self._words(point.numpy()))]

    def _particle_losses(self, candidates: ParticleCandidates, dimension: int) -> tuple[Tensor, int]:
        point = candidates.base.numpy()
        words = self._words(point)
        place, offset = places(candidates), candidates.offset.contiguous().numpy()
        losses = np.empty(len(candidates), self._losses)
        if dimension == 2:
            flips, both, total = self._tables(words)
            total = 0 if self._relative else total
            moves = (place.numpy(), offset, point)
            self._workers.share(kernels.look_up, len(losses), *moves, flips, both, total, self.scale, losses)
            return torch.from_numpy(losses), len(self._weights)
        total = 0 if self._relative else self._unsatisfied_weight(words)
        moves = ((place * dimension).numpy(), offset, point)
        clauses = (self._codes, self._starts, self._weights, words, *self._index)
        checks = self._workers.share(kernels.walk, len(losses), *moves, *clauses, total, self.scale, losses)
        return torch.from_numpy(losses), len(self._weights) + sum(checks)

    def _tables(self, words: NDArray[np.uint32]) -> tuple[Any, Any, int]:
        """Changes of the unsatisfied weight by single flips (n,) and beyond them by both of a pair, and that weight."""
        clauses = (self._codes, self._starts, self._weights, words)
        parts = np.zeros((self._workers.parts(len(self._weights)), self.variables), self._weights.dtype)
        totals = self._workers.share(self._tabulate, len(self._weights), *clauses, each=parts)
        both = np.zeros(-(-self.variables // 2) if len(self._with_pairs[2]) else 0, self._weights.dtype)
        if len(both):
            self._workers.clock.call(kernels.tabulate_pairs, *self._with_pairs, words, both)
        return parts.sum(0, dtype=parts.dtype) if len(parts) > 1 else parts[0], both, sum(totals)

    def _dense_losses(self, candidates: Candidates) -> tuple[Tensor, int]:
        losses = np.empty(len(candidates), self._losses)
        words = np.empty(self.variables, np.uint64)
        rows = min(kernels.LANES, max(1, DENSE_BYTES // (4 * self.variables)))
        clauses = (self._codes, self._starts, self._weights, words)
        base = base_of(candidates) if self._relative else None
        of_base = 0 if base is None else self._unsatisfied_weight(self._words(base.numpy()))
        for first in range(0, len(candidates), kernels.LANES):
            last = min(first + kernels.LANES, len(candidates))
            for row in range(first, last, rows):
                points = candidates.dense(slice(row, min(row + rows, last))).contiguous().numpy()
                self._workers.share(kernels.pack_lanes, self.variables, points, row - first, words)
            totals = np.zeros((self._workers.parts(len(self._weights)), last - first), np.int64)
            self._workers.share(kernels.count_lanes, len(self._weights), *clauses, each=totals)
            losses[first:last] = self.scale * (totals.sum(0) - of_base)
        return torch.from_numpy(losses), len(candidates) * len(self._weights)

    def _words(self, point: NDArray[np.float32]) -> NDArray[np.uint32]:
        words = np.empty(-(-self.variables // 32), np.uint32)
        self._workers.share(kernels.pack_signs, len(words), point, words)
        return words

    def _unsatisfied_weight(self, words: NDArray[np.uint32]) -> int:
        return int(self._weights[self._marks(words)].sum(dtype=np.int64))

    def _marks(self, words: NDArray[np.uint32]) -> NDArray[np.bool_]:
        marks = np.empty(len(self._weights), np.bool_)
        self._workers.share(kernels.mark_unsatisfied, len(marks), self._codes, self._starts, words, marks)
        return marks

    def _clauses_with_pairs(self, lengths: NDArray[np.int64]) -> tuple[Any, Any, Any]:
        """Codes, starts and weights of the clauses that hold both variables of a pair."""
        # a pair's codes are neighbours within a clause; those of two clauses do not count
        together = np.flatnonzero(self._codes[1:] >> 2 == self._codes[:-1] >> 2) + 1
        clause = np.searchsorted(self._starts, together, side="right") - 1
        chosen = np.unique(clause[together > self._starts[clause]])
        starts = np.concatenate([np.zeros(1, np.int64), lengths[chosen].cumsum()])
        within = np.arange(starts[-1]) + np.repeat(self._starts[chosen] - starts[:-1], lengths[chosen])
        return self._codes[within], starts, self._weights[chosen]

    @cached_property
    def _index(self) -> tuple[Any, Any]:
        clauses_of, first = self._workers.clock.call(kernels.index_clauses, self._codes, self._starts, self.variables)
        return clauses_of, first


def base_of(candidates: Candidates) -> Tensor | None:
    """The point (D,) that all candidates are moves of; None where each is a point of its own."""
    return (
        candidates.base if isinstance(candidates, ParticleCandidates | SeededCandidates | LowRankCandidates) else None
    )


def places(candidates: ParticleCandidates) -> Tensor:
    """Place (N,) of each candidate's particle among all particles of the full space."""
    subspace = candidates.subspace
    return subspace.active[candidates.particle] if isinstance(subspace, SampledSpace) else candidates.particle


def _narrow(codes: Any, lengths: NDArray[np.int64], weights: NDArray[np.int64] | None) -> Any:
    """Weights in 16 bits where these hold all weight that one variable can change, so that tables fit into caches."""
    carried = None if weights is None else np.repeat(weights, lengths)
    greatest = int(np.bincount(codes >> 1, carried, minlength=1).max())
    kind = np.int16 if 2 * greatest <= np.iinfo(np.int16).max else np.int64
    return np.ones(len(lengths), kind) if weights is None else weights.astype(kind)
