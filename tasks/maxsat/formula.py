"""A formula in conjunctive normal form: clauses over Boolean variables, with weights and hard clauses."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

BYTES_PER_VARIABLE = 200
"""What a task and an optimiser need for each variable."""
MOST_VARIABLES = 2**30 - 1
"""A literal is kept as 2 v + sign in 32 bits."""
GREATEST_TOTAL_WEIGHT = 2**62


@dataclass(frozen=True, eq=False)
class Formula:
    """M clauses over n variables; clause c is literals[starts[c]:starts[c + 1]], in DIMACS signs.

    literals: int32, v or -v for variable v = 1..n. starts: int64, (M + 1,). weights: int64, (M,), None where every clause
    weighs 1; those of hard clauses mean nothing. hard: (M,), None where no clause is hard. Clauses may repeat literals or
    hold both v and -v. Raises ValueError where there is no clause or variable, a clause is empty, a literal names no
    variable, a weight is missing or not positive, or the sum of the weights passes 2^62.
    """

    variables: int
    literals: NDArray[np.int32]
    starts: NDArray[np.int64]
    weights: NDArray[np.int64] | None = None
    hard: NDArray[np.bool_] | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.variables <= MOST_VARIABLES:
            raise ValueError(f"a formula must have 1 to {MOST_VARIABLES} variables, got {self.variables}")
        if self.clauses < 1:
            raise ValueError("a formula must have at least one clause, so that there is something to satisfy")
        if (np.diff(self.starts) < 1).any():
            raise ValueError("clauses must hold at least one literal; an empty clause cannot be satisfied: drop it")
        if self.literals.min() < -self.variables or self.literals.max() > self.variables or not self.literals.all():
            raise ValueError(f"literals must be v or -v for a variable v in 1..{self.variables}")
        for name, column in (("weights", self.weights), ("hard", self.hard)):
            if column is not None and len(column) != self.clauses:
                raise ValueError(f"{name} must have an entry for each of {self.clauses} clauses, got {len(column)}")
        if self.weights is not None:
            if (self.weights < 1).any():
                raise ValueError(f"weights must be at least 1, got {int(self.weights.min())}; drop such clauses")
            # the sum of integers may wrap around, that of floats tells
            if self.weights.sum(dtype=np.float64) > GREATEST_TOTAL_WEIGHT:
                raise ValueError("the weights add up to more than 2^62; divide them by a common factor")

    @classmethod
    def of_clauses(
        cls,
        variables: int,
        clauses: Iterable[Sequence[int]],
        weights: Sequence[int] | None = None,
        hard: Sequence[bool] | None = None,
    ) -> "Formula":
        """A formula from clauses as sequences of signed variables."""
        rows = [list(clause) for clause in clauses]
        starts = np.cumsum([0, *(len(row) for row in rows)], dtype=np.int64)
        literals = np.array([literal for row in rows for literal in row], dtype=np.int32)
        return cls(
            variables,
            literals,
            starts,
            None if weights is None else np.array(weights, dtype=np.int64),
            None if hard is None else np.array(hard, dtype=np.bool_),
        )

    @property
    def clauses(self) -> int:
        """M."""
        return len(self.starts) - 1

    @cached_property
    def soft_clauses(self) -> int:
        """How many clauses are not hard."""
        return self.clauses if self.hard is None else self.clauses - int(self.hard.sum())

    @cached_property
    def soft_weight(self) -> int:
        """The weights of all clauses that are not hard, added up."""
        if self.weights is None:
            return self.soft_clauses
        return int(self.weights.sum() if self.hard is None else self.weights[~self.hard].sum())

    def score(self, unsatisfied: NDArray[np.int64]) -> float:
        """Share of the soft weight that is satisfied where the clauses of these numbers are not.

        Where hard clauses are among them: minus the share of the hard clauses that they are. 1 where nothing is soft.
        """
        if self.hard is not None and (broken := int(self.hard[unsatisfied].sum())):
            return -broken / (self.clauses - self.soft_clauses)
        if not self.soft_weight:
            return 1.0
        lost = len(unsatisfied) if self.weights is None else int(self.weights[unsatisfied].sum())
        return 1 - lost / self.soft_weight

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the formula: the same for the same clauses in the same order, whatever file they came from."""
        digest = hashlib.sha256(f"{self.variables} {self.clauses}".encode())
        for name in ("literals", "starts", "weights", "hard"):
            array = getattr(self, name)
            if array is not None:
                digest.update(name.encode())
                digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()
