"""A run: an optimiser works on a task under a budget, and a record is left behind."""

import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from polystep.bench.context import describe_context, machine_load, uncommitted_sources
from polystep.bench.evaluation import Evaluation
from polystep.bench.interruption import Interruption, heeded_signals
from polystep.bench.ledger import Budget, Ledger
from polystep.bench.lock import exclusive
from polystep.bench.observers import Observer, Observers
from polystep.bench.recording import make_record, now
from polystep.bench.schema import locate
from polystep.bench.sources import source_files, suite_hash
from polystep.bench.specification import specification
from polystep.bench.state import Prepared, RunCheckpoint, RunState, score_of
from polystep.bench.training import Training, follow, train
from polystep.contracts import DiagnosableTask, ExpectedError, Optimizer, Task
from polystep.evaluation.sharded import Processes, ProcessLost
from polystep.files import StorageError
from polystep.records import RecordError, Row, RunRecord, read_record, write_record
from polystep.records.identity import digest
from polystep.validation import place_of, with_place


class PreparationError(ExpectedError):
    """The task or the optimiser of a run raises an error while it is built."""


@dataclass(frozen=True)
class RunOutcome:
    """What became of a run: "skipped" means that its finished record was there already.

    changed: of a skipped run, the files of its task and optimiser, or packages, with other contents now than then.
    """

    status: Literal["finished", "skipped", "failed", "interrupted"]
    folder: Path
    record: RunRecord
    changed: tuple[str, ...] = ()


@dataclass
class Run:
    """One run, from its resolved configuration. `build_task()` and `build_optimizer(task)` come from the configuration.

    checkpoint_seconds: how much work may be lost with a process that is killed.
    """

    config: dict[str, Any]
    build_task: Callable[[], Task]
    build_optimizer: Callable[[Task], Optimizer]
    budget: Budget
    evaluation: Evaluation
    records: Path
    observers: Sequence[Observer] = ()
    checkpoint_seconds: float = 30.0
    processes: Processes = field(default_factory=Processes)

    def execute(self) -> RunOutcome:
        """Work until the budget is used, in the first process of the run; skip a finished run, resume an interrupted one,
        record a failure.

        Ctrl-C or SIGTERM leave a checkpoint of the last finished step and the status "interrupted"; before the first step
        they raise KeyboardInterrupt. Raises RunBusyError where another process works on the same run, StorageError where
        files cannot be read or written, ProcessLost where the other processes of the run are not with this one.
        """
        with heeded_signals() as interruption:
            with interruption.at_once():
                run = self._prepare()
            with exclusive(run.folder, run.settings_id):
                for leftover in run.folder.glob(".*.partial"):
                    # of a process that was killed while writing
                    leftover.unlink()
                record = self._finished_record(run)
                if self.processes.broadcast(0.0 if record is None else 1.0):
                    assert record is not None
                    return RunOutcome("skipped", run.folder, record, tuple(_changed_since(record, run)))
                return self._work(run, interruption)

    def follow(self) -> None:
        """In any other process of the run: take the same steps, for a share of the candidates; nothing is judged or written.

        Raises ProcessLost, also where this process has other settings, data or checkpoints than the first one.
        """
        with heeded_signals() as interruption:
            with interruption.at_once():
                run = self._prepare()
            if not self.processes.broadcast(0.0):
                self._resume(run, RunCheckpoint(run, self.checkpoint_seconds))
                follow(run, self.processes)

    def _prepare(self) -> Prepared:
        ledger, state = Ledger(), RunState(now())
        with ledger.clock("preparation"):
            load = machine_load()
            # now: building may take minutes, in which the code that is imported already can be edited
            suite_hash()
            try:
                task = self.build_task()
                optimizer = self.build_optimizer(task)
                data = task.fingerprint
            except ExpectedError:
                raise
            except Exception as error:
                # there is no record yet that could hold the traceback
                raise PreparationError(f"the task and the optimizer cannot be built: {with_place(error)}") from error
            decisive = specification(self.config)
            files = {
                "task": _files(self.config, "task", task),
                "optimizer": _files(self.config, "optimizer", optimizer),
            }
            context = {**describe_context(str(self.config["device"]), **files), "load_before": load}
        return Prepared(self.config, decisive, context, data, task, optimizer, ledger, state, self.records)

    def _finished_record(self, run: Prepared) -> RunRecord | None:
        if not (run.folder / "run.json").exists():
            return None
        try:
            record = read_record(run.folder)
        except RecordError as error:
            raise StorageError(f"{error}; delete it and repeat the command") from error
        if record.run_id != run.run_id:
            raise StorageError(
                f"{run.folder / 'run.json'} belongs to run {record.run_id}, not to {run.run_id}; delete the folder and "
                "repeat the command"
            )
        return record if record.status == "finished" else None

    def _work(self, run: Prepared, interruption: Interruption) -> RunOutcome:
        # of a run that never begins nobody is told
        observers = Observers(())

        def show(row: Row, used: float) -> None:
            with run.ledger.clock("logging"):
                observers.tell(lambda observer: observer.progressed(row, used))

        checkpoint = RunCheckpoint(run, self.checkpoint_seconds)
        training = Training(run, self.budget, self.evaluation, checkpoint, self.processes, interruption, show)
        status: Literal["finished", "failed", "interrupted"] = "finished"
        scores: dict[str, Any] = {}
        error: dict[str, str] | None = None
        try:
            try:
                self._resume(run, checkpoint)
                observers = Observers(self.observers)
                observers.tell(lambda observer: observer.started(run.name, self.config, training.used))
                train(training)
                with interruption.at_once(), run.ledger.clock("test"):
                    scores = _scores(run)
            except KeyboardInterrupt:
                status = "interrupted"
            except ExpectedError:
                raise
            except Exception as failure:
                status = "failed"
                error = {"type": type(failure).__name__, "message": str(failure)}
                error |= {"place": place_of(failure), "traceback": traceback.format_exc()}
            record = make_record(run, status, scores, error, training.used)
            write_record(run.folder, record)
        except ExpectedError:
            # it leaves no record, but who watches must not wait for it: a progress bar hides the cursor
            observers.tell(lambda observer: observer.ended("failed", {}))
            raise
        observers.tell(lambda observer: observer.ended(status, scores))
        return RunOutcome(status, run.folder, record)

    def _resume(self, run: Prepared, checkpoint: RunCheckpoint) -> None:
        """Continue at the checkpoint, if there is one, in all processes alike."""
        # as much of an identity as fits a number of 53 bits
        same = digest([run.settings_id, run.data, run.context["sources"]])
        if not self.processes.all_have(float(int(same[:13], 16))):
            raise ProcessLost(
                "the processes of this run have different settings, data or code; start them with the same"
            )
        checkpoint.load(str(self.config["device"]))
        if not self.processes.all_have(run.state.step):
            raise ProcessLost(
                f"the processes of this run do not see the same checkpoint: in process {self.processes.rank}, {run.folder} "
                f"leads to step {run.state.step}; name a folder that all machines share with records=FOLDER"
            )


def _files(config: Mapping[str, Any], name: str, part: object) -> list[Path]:
    """Of a component: of its class, and of what the configuration names, which may be a function that returns it."""
    return source_files(part, locate(config[name]["_target_"], name))


def _changed_since(record: RunRecord, run: Prepared) -> Iterator[str]:
    then, today = record.context.get("sources") or {}, run.context["sources"]
    other = {name for name in today if then.get(name, today[name]) != today[name]}
    for name, part in (("task", run.task), ("optimizer", run.optimizer)):
        if name in other:
            yield from map(str, _files(run.config, name, part))
    # between two commits versions of components tell what gives other numbers
    edited = [file for context in (record.context, run.context) for file in uncommitted_sources(context)]
    if other == {"suite"} and edited:
        yield ", ".join(dict.fromkeys(edited))


def _scores(run: Prepared) -> dict[str, Any]:
    """The only place where the test set is read."""
    task, selected = run.task, run.state.selected

    found = task.diagnostics(selected["point"]) if isinstance(task, DiagnosableTask) else {}
    return {
        "diagnostics": dict(found),
        "validation_selected": selected["score"],
        "selected_step": selected["step"],
        "test_selected": score_of(task, "test", selected["point"]),
        "test_last": score_of(task, "test", run.optimizer.solution),
        "test_curve": [
            {"step": int(step), "test": score_of(task, "test", point)}
            for step, point in run.state.test_checkpoints.items()
        ],
    }
