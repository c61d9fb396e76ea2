"""The same losses in torch operations: for GPUs, and to check the compiled loops."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from polystep.candidates import Candidates, ParticleCandidates
from polystep.subspace import FullSpace
from tasks.maxsat.clauses import Clauses
from tasks.maxsat.evaluation import base_of, places

CHUNK_GROUPS = 2**24
"""Groups of all candidates of a chunk that are looked at together."""


class TorchClauseEvaluator:
    """A clause is the set of sign patterns that satisfy it, pair by pair.

    Each (clause, pair) of variables (2i, 2i + 1) that occurs is a group with a mask: bit q tells whether pattern
    q = x_2i + 2 x_2i+1 satisfies the clause. Particles of dimension 2: the loss change of every pattern of every pair, as a
    table (pairs, 4). Other candidates: whole assignments.
    """

    compilation_seconds = 0.0

    def __init__(self, clauses: Clauses, device: torch.device):
        self.variables, self.clauses, self.scale = clauses.variables, len(clauses.starts) - 1, clauses.scale
        self._dtype, self._relative, self._numbers = clauses.loss_dtype, clauses.relative, clauses.numbers
        self.pairs = -(-clauses.variables // 2)
        codes = torch.from_numpy(clauses.codes.astype(np.int64)).to(device)
        lengths = torch.from_numpy(np.diff(clauses.starts)).to(device)
        clause = torch.repeat_interleave(torch.arange(self.clauses, device=device), lengths)
        variable = codes // 2
        # patterns 0..3 in which the first, or the second, variable of a pair is true
        true_in = torch.tensor([0b1010, 0b1100], device=device)[variable % 2]
        satisfied_in = torch.where(codes % 2 == 0, true_in, 15 - true_in)
        groups, owner = torch.unique(clause * self.pairs + variable // 2, return_inverse=True)
        patterns = torch.zeros(len(groups), 4, dtype=torch.bool, device=device)
        for pattern in range(4):
            patterns[owner[(satisfied_in >> pattern & 1).bool()], pattern] = True
        self._patterns = patterns
        self._clause, self._pair = groups // self.pairs, groups % self.pairs
        self._weights = torch.ones(self.clauses, dtype=torch.int64, device=device)
        if clauses.weights is not None:
            self._weights = torch.from_numpy(clauses.weights).to(device)

    def losses(self, candidates: Candidates) -> tuple[Tensor, int]:
        """Loss of every candidate, shape (N,), and how many clauses were looked at for them."""
        if (
            isinstance(candidates, ParticleCandidates)
            and isinstance(candidates.subspace, FullSpace)
            and candidates.subspace.particle_dimension == 2
        ):
            return self._losses_of(self._pair_totals(candidates)), self.clauses
        base = base_of(candidates) if self._relative else None
        rows = max(1, CHUNK_GROUPS // max(1, len(self._clause)))
        parts = [
            self._totals(candidates.dense(slice(first, first + rows)) > 0) for first in range(0, len(candidates), rows)
        ]
        totals = torch.cat(parts) if base is None else torch.cat(parts) - self._totals(base > 0)
        return self._losses_of(totals), len(candidates) * self.clauses

    def unsatisfied(self, point: Tensor) -> NDArray[np.int64]:
        """Numbers of the clauses that `point` leaves unsatisfied."""
        none = self._satisfiers(self._chosen(point > 0)) == 0
        numbers: NDArray[np.int64] = self._numbers[none.cpu().numpy()]
        return numbers

    def _pair_totals(self, candidates: ParticleCandidates) -> Tensor:
        """Unsatisfied weight (N,) of each candidate, or what it is beyond that of the base."""
        truth = candidates.base > 0
        chosen = self._chosen(truth)
        satisfiers = self._satisfiers(chosen)
        weights = self._weights[self._clause]
        others = satisfiers[self._clause] - chosen.long()
        # where no other pair satisfies the clause, this one's pattern decides
        change = (chosen.long().unsqueeze(1) - self._patterns.long()) * (weights * (others == 0)).unsqueeze(1)
        table = torch.zeros(self.pairs, 4, dtype=torch.int64, device=truth.device).index_add_(0, self._pair, change)
        total = 0 if self._relative else self._weights[satisfiers == 0].sum()
        pair = places(candidates)
        base = torch.nn.functional.pad(candidates.base, (0, 2 * self.pairs - self.variables)).reshape(-1, 2)
        signs = (base[pair] + candidates.offset > 0).long()
        return total + table[pair, signs[:, 0] + 2 * signs[:, 1]]

    def _totals(self, truth: Tensor) -> Tensor:
        """Unsatisfied weight (...) of assignments (..., n)."""
        return ((self._satisfiers(self._chosen(truth)) == 0) * self._weights).sum(-1)

    def _losses_of(self, totals: Tensor) -> Tensor:
        return (self.scale * totals.double()).to(self._dtype)

    def _chosen(self, truth: Tensor) -> Tensor:
        """Whether each group satisfies its clause under assignments (..., n)."""
        bits = torch.nn.functional.pad(truth, (0, 2 * self.pairs - self.variables)).unflatten(-1, (-1, 2)).long()
        pattern = (bits[..., 0] + 2 * bits[..., 1])[..., self._pair]
        return self._patterns.flatten()[4 * torch.arange(len(self._pair), device=truth.device) + pattern]

    def _satisfiers(self, chosen: Tensor) -> Tensor:
        """Number of groups (..., M) that satisfy each clause."""
        counts = torch.zeros(*chosen.shape[:-1], self.clauses, dtype=torch.int64, device=chosen.device)
        return counts.index_add_(-1, self._clause, chosen.long())
