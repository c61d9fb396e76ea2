"""The one loop, and what the other processes of a run do meanwhile."""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass

from polystep.bench.evaluation import Evaluation
from polystep.bench.interruption import Interruption
from polystep.bench.ledger import Budget, Ledger, MeteredObjective
from polystep.bench.state import RunCheckpoint, RunState
from polystep.contracts import Optimizer, Task
from polystep.evaluation.sharded import Processes
from polystep.records import Row


@dataclass(frozen=True)
class Training:
    """What the loop works with. `show` is told each row, and the used share of the budget."""

    task: Task
    optimizer: Optimizer
    state: RunState
    ledger: Ledger
    budget: Budget
    evaluation: Evaluation
    checkpoint: RunCheckpoint
    processes: Processes
    interruption: Interruption
    show: Callable[[Row, float], None]

    @property
    def used(self) -> float:
        """Share of the budget that is used, at most 1."""
        return min(1.0, self.budget.used(self.state.step, self.ledger))

    def stoppable(self, nothing_is_lost: bool) -> contextlib.AbstractContextManager[None]:
        """Around work that a signal may stop at once, if nothing is lost and no other process waits for it."""
        return (
            self.interruption.at_once() if nothing_is_lost and self.processes.count == 1 else contextlib.nullcontext()
        )


def train(run: Training) -> None:
    """Take steps until the budget is used or the method finds nothing better.

    The start is validated, and so are the points after the steps that the evaluation names, and the last one; the best of
    them is selected. Now and then, and at the end, everything is saved. A signal to stop is heeded as soon as nothing is
    lost by it: then KeyboardInterrupt is raised, and the checkpoint holds the last step that was finished.
    """
    state, checkpoint = run.state, run.checkpoint
    while True:
        if state.unvalidated is not None:
            _validate(run)
        if checkpoint.is_due and not checkpoint.holds_every_step:
            checkpoint.save()
        stop = state.finished or run.interruption.requested
        used = run.processes.broadcast(1.0 if stop else run.used)
        if used >= 1:
            break
        with run.stoppable(checkpoint.holds_every_step):
            _take_step(run, used)
    if not checkpoint.holds_everything:
        checkpoint.save()
    if run.interruption.requested:
        raise KeyboardInterrupt


def follow(task: Task, optimizer: Optimizer, processes: Processes) -> None:
    """In any other process: take the steps that the first announces, for a share of the candidates."""
    while (used := processes.broadcast(0.0)) < 1:
        optimizer.step(processes.share(task.next_objective()), used)


def _take_step(run: Training, used: float) -> None:
    state, ledger = run.state, run.ledger
    with ledger.clock("data"):
        objective = MeteredObjective(run.processes.share(run.task.next_objective()), ledger)
    with ledger.clock("optimizer"):
        report = run.optimizer.step(objective, used)
    state.step, state.finished = state.step + 1, report.finished
    if not state.finished:
        run.budget.require_use(state.step, ledger)
    if run.evaluation.test_is_due(state.step):
        state.test_checkpoints[str(state.step)] = run.optimizer.solution.clone()
    row = {"loss": report.loss, **report.diagnostics}
    if run.used >= 1 or state.finished or run.evaluation.validation_is_due(state.step, used, run.used):
        state.unvalidated = row
    elif run.evaluation.display_is_due(state.step, used, run.used):
        run.show(_row(run, None, row), run.used)


def _validate(run: Training) -> None:
    state = run.state
    assert state.unvalidated is not None
    try:
        with run.stoppable(True), run.ledger.clock("validation"):
            score = run.task.validate(run.optimizer.solution)
    except KeyboardInterrupt:
        # the next process validates it
        if not run.checkpoint.holds_every_step:
            run.checkpoint.save()
        raise
    state.select(score, run.optimizer.solution, run.task.metric)
    state.history.append(_row(run, score, state.unvalidated))
    state.unvalidated = None
    run.show(state.history[-1], run.used)


def _row(run: Training, score: float | None, details: Row) -> Row:
    spent = run.ledger.spent
    return {
        "step": run.state.step,
        "epoch": run.state.step / run.task.steps_per_epoch,
        "validation": score,
        "candidate_evaluations": spent.candidate_evaluations,
        "sample_forwards": spent.sample_forwards,
        "backward_passes": spent.backward_passes,
        "clause_checks": spent.clause_checks,
        "environment_steps": spent.environment_steps,
        "seconds": run.ledger.step_seconds,
        **details,
    }
