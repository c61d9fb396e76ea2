"""The clauses of a formula as they are evaluated: coded, without repetitions, each with its cost."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray

from polystep.evaluation.compilation import CompilationClock
from tasks.maxsat import kernels
from tasks.maxsat.formula import Formula

MOST_CLAUSES, MOST_WEIGHT = 2**23, 2**40
"""Up to so many clauses, float32 tells losses apart that differ by one; up to so much weight, float64 does to 1/4096 unit."""


@dataclass(frozen=True, eq=False)
class Clauses:
    """The clauses that some assignment leaves unsatisfied; loss = scale x the weights of those that it does.

    codes: uint32, 2 v + s for v = 0..n - 1 with s = 1 where v is negated, ascending within a clause, each variable once.
    starts: int64, clause c is codes[starts[c]:starts[c + 1]]. weights: int64, None where each is 1. hard: (M,), None where no
    clause is. numbers: int64, places among all clauses of the formula.
    """

    variables: int
    codes: NDArray[np.uint32]
    starts: NDArray[np.int64]
    weights: NDArray[np.int64] | None
    hard: NDArray[np.bool_] | None
    numbers: NDArray[np.int64]
    scale: float

    @classmethod
    def of_formula(cls, formula: Formula, weights: NDArray[np.int64] | None, scale: float) -> "Clauses":
        """Tautologies and repeated literals are dropped. `weights`: of all clauses of the formula; None: 1 each."""
        arguments = (formula.literals, formula.starts, formula.variables)
        codes, starts, kept = CompilationClock().call(kernels.normalise, *arguments)
        chosen = None if weights is None else weights[kept]
        hard = None if formula.hard is None else formula.hard[kept]
        return cls(formula.variables, codes, starts, chosen, hard, np.flatnonzero(kept), scale)

    @cached_property
    def total(self) -> int:
        """The weights of all clauses, added up."""
        return len(self.starts) - 1 if self.weights is None else int(self.weights.sum())

    @property
    def loss_dtype(self) -> torch.dtype:
        """A type of numbers that tells losses apart that differ by a unit of weight, which may be far below the mean one."""
        return torch.float32 if self.weights is None and self.total <= MOST_CLAUSES else torch.float64

    @property
    def relative(self) -> bool:
        """Whether no type does; then losses of candidates that move a base point are relative to that of the base."""
        return self.total > MOST_WEIGHT
