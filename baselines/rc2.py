"""RC2: the exact optimum of a MAX-SAT instance, where it can be proven in time."""

import threading
import time
from typing import Any

import torch
from torch import Tensor

from polystep.capabilities import ClauseView, clauses_of
from polystep.component import component
from polystep.contracts import Objective, Spent, State, StepReport
from polystep.layout import ParameterLayout
from polystep.packages import optional_package
from polystep.validation import positive


@component("rc2", version=1, title="RC2", family="exact solvers")
class Rc2:
    """Core-guided search of python-sat; the first step is all of it.

    The solution is optimal, or, where the time runs out, an assignment that satisfies the hard clauses, or, where not even that
    is found, the starting point. Diagnostics: `proven` (1 or 0) and a `lower_bound` on the loss, which then is the loss itself.
    What the solver does inside is not counted: one look at every clause is charged. Source: Ignatiev, Morgado and
    Marques-Silva, "RC2: an efficient MaxSAT solver", JSAT 2019.
    """

    def __init__(self, layout: ParameterLayout, point: Tensor, seed: int, *, seconds: float = 60.0):
        """`point`: (n,). `seed`: not used, the method draws nothing. `seconds`: limit of the search itself.
        Raises MissingPackageError without python-sat.
        """
        # here, since records tell the versions of what is imported when a run begins
        optional_package("pysat.examples.rc2", "optimizer=rc2", "python-sat", "bench")
        self.seconds = positive(seconds, "seconds")
        self._point = layout.copy_of(point)
        self._report: StepReport | None = None

    @property
    def solution(self) -> Tensor:
        """The best assignment that was found as -1 and 1, or the starting point."""
        return self._point

    def step(self, objective: Objective, used: float) -> StepReport:
        """Solve; raises CapabilityUnavailable where the task has no clauses."""
        if self._report is None:
            self._report = clauses_of(objective).search(self._solve)
        return self._report

    def _solve(self, clauses: ClauseView) -> tuple[StepReport, Spent]:
        from pysat.examples.rc2 import RC2
        from pysat.formula import WCNF

        formula = WCNF()
        literals = (clauses.codes >> 1).astype("int64") + 1
        literals[clauses.codes % 2 == 1] *= -1
        rows = [
            literals[first:last].tolist() for first, last in zip(clauses.starts[:-1], clauses.starts[1:], strict=True)
        ]
        weights = [1] * len(rows) if clauses.weights is None else clauses.weights.tolist()
        hard = [False] * len(rows) if clauses.hard is None else clauses.hard.tolist()
        ends = time.monotonic() + self.seconds
        feasible, model = self._satisfy([row for row, is_hard in zip(rows, hard, strict=True) if is_hard])
        self._take(clauses, model)
        for row, weight, is_hard in zip(rows, weights, hard, strict=True):
            # hard clauses that contradict each other are weighed like soft ones
            formula.append(row, weight=None if is_hard and feasible else weight)
        with RC2(formula) as solver:
            model = _interrupted(solver, solver.compute, ends - time.monotonic())
            bound = clauses.scale * solver.cost
        self._take(clauses, model)
        proven = model is not None
        diagnostics = {"proven": float(proven), "lower_bound": bound}
        report = StepReport(bound if proven else None, diagnostics, finished=True)
        return report, Spent(clause_checks=len(rows))

    def _satisfy(self, hard: list[list[int]]) -> tuple[bool, list[int] | None]:
        """Whether all hard clauses can be satisfied, or this is not known in time, and by what; near the starting point."""
        from pysat.solvers import Glucose4

        if not hard:
            return True, None
        with Glucose4(bootstrap_with=hard) as solver:
            solver.set_phases([v if truth else -v for v, truth in enumerate((self._point > 0).tolist(), 1)])
            found = _interrupted(solver, solver.solve_limited, self.seconds)
            return found is not False, solver.get_model() if found else None

    def _take(self, clauses: ClauseView, model: list[int] | None) -> None:
        """Make a model the solution; variables that it leaves open stay as they are."""
        if model is not None:
            signs = torch.tensor([v for v in model if abs(v) <= clauses.variables], dtype=torch.int64)
            self._point = torch.where(self._point > 0, 1.0, -1.0).to(self._point)
            self._point[signs.abs() - 1] = signs.sign().to(self._point)

    def state_dict(self) -> State:
        """The solution and what was found about it."""
        if self._report is None:
            return {}
        return {"point": self._point, "loss": self._report.loss, "diagnostics": dict(self._report.diagnostics)}

    def load_state_dict(self, state: State) -> None:
        """Continue exactly where `state` was taken."""
        self._report = None
        if state:
            self._point = state["point"].clone()
            self._report = StepReport(state["loss"], state["diagnostics"], finished=True)


def _interrupted(solver: Any, compute: Any, seconds: float) -> Any:
    """The result of compute(expect_interrupt=True), which is None where the time runs out."""
    timer = threading.Timer(seconds, solver.interrupt)
    timer.daemon = True
    timer.start()
    try:
        return compute(expect_interrupt=True)
    finally:
        timer.cancel()
