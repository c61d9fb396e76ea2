"""The loss of candidates on a formula, charged as it is evaluated."""

from collections.abc import Callable

from torch import Tensor

from polystep.candidates import Candidates
from polystep.capabilities import ClauseView, Found
from polystep.contracts import Spent
from tasks.maxsat.clauses import Clauses
from tasks.maxsat.evaluation import ClauseEvaluator


class MaxSatObjective:
    """All clauses of a formula; deterministic."""

    def __init__(self, clauses: Clauses, evaluator: ClauseEvaluator):
        self._clauses, self._evaluator = clauses, evaluator
        self.loss_dtype = clauses.loss_dtype
        self.spent = Spent()

    def losses(self, candidates: Candidates) -> Tensor:
        """Loss of every candidate, shape (N,); charges N evaluations and every clause that was looked at."""
        compiled_before = self._evaluator.compilation_seconds
        losses, checks = self._evaluator.losses(candidates)
        self.spent += Spent(
            candidate_evaluations=len(candidates),
            clause_checks=checks,
            compilation_seconds=self._evaluator.compilation_seconds - compiled_before,
        )
        return losses

    def search(self, solver: Callable[[ClauseView], tuple[Found, Spent]]) -> Found:
        """What a solver makes of the clauses; charges what it says that it spent."""
        found, spent = solver(self._clauses)
        self.spent += spent
        return found
