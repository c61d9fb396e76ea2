"""The clauses of a formula as they are evaluated: coded, without repetitions, each with its cost."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tasks.maxsat import kernels
from tasks.maxsat.formula import Formula


@dataclass(frozen=True, eq=False)
class Clauses:
    """The clauses that some assignment leaves unsatisfied; loss = scale x the weights of those that it does.

    codes: uint32, 2 v + s for v = 0..n - 1 with s = 1 where v is negated, ascending within a clause, each variable once.
    starts: int64, clause c is codes[starts[c]:starts[c + 1]]. weights: int64, None where each is 1. numbers: int64, places
    among all clauses of the formula.
    """

    variables: int
    codes: NDArray[np.uint32]
    starts: NDArray[np.int64]
    weights: NDArray[np.int64] | None
    numbers: NDArray[np.int64]
    scale: float

    @classmethod
    def of_formula(cls, formula: Formula, weights: NDArray[np.int64] | None, scale: float) -> "Clauses":
        """Tautologies and repeated literals are dropped. `weights`: of all clauses of the formula; None: 1 each."""
        codes, starts, kept = kernels.normalise(formula.literals, formula.starts, formula.variables)
        chosen = None if weights is None else weights[kept]
        return cls(formula.variables, codes, starts, chosen, np.flatnonzero(kept), scale)
