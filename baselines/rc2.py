"""RC2: the exact optimum of a MAX-SAT instance, where it can be proven in time."""

import threading
from typing import Any

import torch
from torch import Tensor

from polystep.capabilities import ClauseView, clauses_of
from polystep.component import component
from polystep.contracts import ExpectedError, Objective, Spent, State, StepReport
from polystep.layout import ParameterLayout
from polystep.validation import positive


@component("rc2", version=1, title="RC2", family="exact solvers")
class Rc2:
    """Core-guided search of python-sat; the first step is all of it, and the solution is optimal or the starting point.

    Diagnostics: `proven` (1 or 0) and a `lower_bound` on the loss, which then is the loss itself. What the solver does inside
    is not counted: one look at every clause is charged. Source: Ignatiev, Morgado and Marques-Silva, "RC2: an efficient MaxSAT
    solver", JSAT 2019.
    """

    def __init__(self, layout: ParameterLayout, point: Tensor, seed: int, *, seconds: float = 60.0):
        """`point`: (n,), kept where time runs out. `seed`: not used, the method draws nothing. `seconds`: limit
        of the search itself, once the clauses are loaded.
        """
        self.seconds = positive(seconds, "seconds")
        self._point = layout.copy_of(point)
        self._report: StepReport | None = None

    @property
    def solution(self) -> Tensor:
        """The optimal assignment as -1 and 1, or the starting point."""
        return self._point

    def step(self, objective: Objective, used: float) -> StepReport:
        """Solve; raises CapabilityUnavailable where the task has no clauses, ExpectedError where python-sat is missing."""
        if self._report is None:
            self._report = clauses_of(objective).search(self._solve)
        return self._report

    def _solve(self, clauses: ClauseView) -> tuple[StepReport, Spent]:
        try:
            from pysat.examples.rc2 import RC2
            from pysat.formula import WCNF
        except ImportError:
            raise ExpectedError(
                "optimizer=rc2 needs the package python-sat; install it with pip install python-sat"
            ) from None
        literals = (clauses.codes >> 1).astype("int64") + 1
        literals[clauses.codes % 2 == 1] *= -1
        formula = WCNF()
        for c, (first, last) in enumerate(zip(clauses.starts[:-1], clauses.starts[1:], strict=True)):
            weight = 1 if clauses.weights is None else int(clauses.weights[c])
            formula.append(literals[first:last].tolist(), weight=weight)
        with RC2(formula) as solver:
            model = self._compute(solver)
            bound = clauses.scale * solver.cost
        if model is not None:
            truth = torch.zeros(clauses.variables, dtype=torch.bool)
            truth[torch.tensor([v - 1 for v in model if v > 0], dtype=torch.int64)] = True
            self._point = torch.where(truth, 1.0, -1.0).to(self._point)
        proven = model is not None
        diagnostics = {"proven": float(proven), "lower_bound": bound}
        report = StepReport(bound if proven else None, diagnostics, finished=True)
        return report, Spent(clause_checks=len(clauses.starts) - 1)

    def _compute(self, solver: Any) -> list[int] | None:
        """A model of least cost; None where the time runs out."""
        timer = threading.Timer(self.seconds, solver.interrupt)
        timer.daemon = True
        timer.start()
        try:
            model: list[int] | None = solver.compute(expect_interrupt=True)
        finally:
            timer.cancel()
        return model

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
