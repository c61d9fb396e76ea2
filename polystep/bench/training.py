"""The one loop, and what the other processes of a run do meanwhile."""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass

from polystep.ask_tell import NonFiniteLossError, all_finite
from polystep.bench.evaluation import Evaluation
from polystep.bench.interruption import Interruption
from polystep.bench.ledger import Budget, MeteredObjective
from polystep.bench.state import Prepared, RunCheckpoint, score_of
from polystep.contracts import StepReport
from polystep.evaluation.sharded import Processes
from polystep.records import COUNTERS, Row


@dataclass(frozen=True)
class Training:
    """What the loop works with. `show` is told each row, and the used share of the budget."""

    run: Prepared
    budget: Budget
    evaluation: Evaluation
    checkpoint: RunCheckpoint
    processes: Processes
    interruption: Interruption
    show: Callable[[Row, float], None]

    @property
    def used(self) -> float:
        """Share of the budget that is used, at most 1."""
        return min(1.0, self.budget.used(self.run.state.step, self.run.ledger))

    def stoppable(self, nothing_is_lost: bool) -> contextlib.AbstractContextManager[None]:
        """Around work that a signal may stop at once, if nothing is lost and no other process waits for it."""
        return (
            self.interruption.at_once() if nothing_is_lost and self.processes.count == 1 else contextlib.nullcontext()
        )


def train(training: Training) -> None:
    """Take steps until the budget is used, the method finds nothing better, or it diverges.

    The start is validated, and so are the points after the steps that the evaluation names, and the last one; the best of
    them is selected. Now and then, and at the end, everything is saved. A signal to stop is heeded as soon as nothing is
    lost by it: then KeyboardInterrupt is raised, and the checkpoint holds the last step that was finished.
    """
    state, checkpoint = training.run.state, training.checkpoint
    while True:
        if state.unvalidated is not None:
            _validate(training)
        if checkpoint.is_due and not checkpoint.holds_every_step:
            checkpoint.save()
        stop = state.ended_by is not None or training.interruption.requested
        used = training.processes.broadcast(1.0 if stop else training.used)
        if used >= 1:
            break
        with training.stoppable(checkpoint.holds_every_step):
            _take_step(training, used)
    if not checkpoint.holds_everything:
        checkpoint.save()
    if training.interruption.requested:
        raise KeyboardInterrupt


def follow(run: Prepared, processes: Processes) -> None:
    """In any other process: take the steps that the first announces, for a share of the candidates."""
    while (used := processes.broadcast(0.0)) < 1:
        try:
            run.optimizer.step(processes.share(run.task.next_objective()), used)
        except NonFiniteLossError:
            if run.state.step == 0:
                raise
        run.state.step += 1


def _take_step(training: Training, used: float) -> None:
    state, ledger = training.run.state, training.run.ledger
    with ledger.clock("data"):
        objective = MeteredObjective(training.processes.share(training.run.task.next_objective()), ledger)
    try:
        with ledger.clock("optimizer"):
            report = training.run.optimizer.step(objective, used)
    except NonFiniteLossError:
        if state.step == 0:
            # no step led there, so the model or its data are at fault
            raise
        report, state.ended_by = StepReport(None), "divergence"
    else:
        state.step, state.ended_by = state.step + 1, "method" if report.finished else None
    if state.ended_by is None:
        training.budget.check_use(state.step, ledger)
    if training.evaluation.test_is_due(state.step):
        state.test_checkpoints[str(state.step)] = training.run.optimizer.solution.clone()
    row = {"loss": report.loss, **report.diagnostics}
    if training.used >= 1 or state.ended_by or training.evaluation.validation_is_due(state.step, used, training.used):
        state.unvalidated = row
    elif training.evaluation.display_is_due(state.step, used, training.used):
        training.show(_row(training, None, row), training.used)


def _validate(training: Training) -> None:
    state, solution = training.run.state, training.run.optimizer.solution
    assert state.unvalidated is not None
    if not all_finite(solution):
        if state.step == 0:
            raise ValueError("the starting point, initial_point(seed) of the task, is not finite")
        state.ended_by = "divergence"
    try:
        with training.stoppable(True), training.run.ledger.clock("validation"):
            score = score_of(training.run.task, "validate", solution)
    except KeyboardInterrupt:
        # the next process validates it
        if not training.checkpoint.holds_every_step:
            training.checkpoint.save()
        raise
    state.select(score, solution, training.run.task.metric)
    state.history.append(_row(training, score, state.unvalidated))
    state.unvalidated = None
    training.show(state.history[-1], training.used)


def _row(training: Training, score: float | None, details: Row) -> Row:
    spent = training.run.ledger.spent
    return {
        "step": training.run.state.step,
        "epoch": training.run.state.step / training.run.task.steps_per_epoch,
        "validation": score,
        **{name: getattr(spent, name) for name in COUNTERS if name != "steps"},
        "seconds": training.run.ledger.step_seconds,
        **details,
    }
