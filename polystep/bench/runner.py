"""The one loop: an optimiser works on a task under a budget, and a record is left behind."""

import datetime
import math
import traceback
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from polystep.bench.checkpoint import load_checkpoint, save_checkpoint
from polystep.bench.environment import describe_environment
from polystep.bench.identity import planned_identity, run_identity, run_name
from polystep.bench.ledger import Budget, Ledger, MeteredObjective
from polystep.bench.lock import exclusive
from polystep.bench.observers import Observer
from polystep.bench.records import RunRecord, read_record, write_history, write_record
from polystep.contracts import DiagnosableTask, ExpectedError, Optimizer, State, Task
from polystep.evaluation.sharded import Processes, ProcessLost
from polystep.files import StorageError, json_value


@dataclass(frozen=True)
class Evaluation:
    """When a run is judged. validate_every: steps between validations, or validations: how many, evenly spaced over the
    budget; test_steps: steps whose points are kept and read on the test set after training, for comparison with published
    curves (never for selection).
    """

    validate_every: int | None = None
    validations: int | None = None
    test_steps: Sequence[int] = ()

    def __post_init__(self) -> None:
        intervals = {"validate_every": self.validate_every, "validations": self.validations}
        given = {name: value for name, value in intervals.items() if value is not None}
        if len(given) != 1:
            raise ValueError(f"set one of evaluation.validate_every and evaluation.validations, got {given or 'none'}")
        for name, value in given.items():
            if value < 1:
                raise ValueError(f"evaluation.{name} must be at least 1, got {value}")
        if not all(isinstance(step, int) and step >= 1 for step in self.test_steps):
            raise ValueError(f"evaluation.test_steps must be whole numbers of at least 1, got {list(self.test_steps)}")

    def is_due(self, step: int, before: float, after: float, often: int = 1) -> bool:
        """Whether to validate after `step`, which took the used share of the budget from `before` to `after`.

        With `often` above 1: whether something that happens that many times as often is due.
        """
        if self.validations is not None:
            return int(after * self.validations * often) > int(before * self.validations * often)
        assert self.validate_every is not None
        return step % max(1, self.validate_every // often) == 0


@dataclass(frozen=True)
class RunOutcome:
    """What became of a run: "skipped" means that its finished record was there already."""

    status: Literal["finished", "skipped", "failed", "interrupted"]
    folder: Path
    record: RunRecord


@dataclass
class Run:
    """One run, from its resolved configuration. `build_task()` and `build_optimizer(task)` come from the configuration."""

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

        Raises RunBusyError where another process works on the same run, StorageError where files cannot be read or
        written. Ctrl-C leaves a checkpoint and returns the status "interrupted".
        """
        task, optimizer = self._prepare()
        with exclusive(self._folder, planned_identity(self.config)):
            for leftover in self._folder.glob(".*.partial"):
                # of a process that was killed while writing
                leftover.unlink()
            if (self._folder / "run.json").exists():
                record = read_record(self._folder)
                if record.run_id != self._identity:
                    raise StorageError(
                        f"{self._folder / 'run.json'} belongs to run {record.run_id}, not to {self._identity}; delete the "
                        "folder and repeat the command"
                    )
                if record.status == "finished":
                    self.processes.agree(_NOTHING_TO_DO)
                    return RunOutcome("skipped", self._folder, record)
            self.processes.agree(_number(self._identity))
            return self._work(task, optimizer)

    def assist(self) -> None:
        """In any other process of the run: take the same steps, for a share of the candidates; nothing is judged or written.

        Raises ProcessLost, also where this process has other settings or data than the first one.
        """
        task, optimizer = self._prepare()
        announced = self.processes.agree(0.0)
        if announced == _NOTHING_TO_DO:
            return
        if announced != _number(self._identity):
            raise ProcessLost(
                "the processes of this run have different settings, data or code; start them with the same"
            )
        self._resume(task, optimizer)
        while (used := self.processes.agree(0.0)) < 1:
            optimizer.step(self.processes.share(task.next_objective()), used)

    def _prepare(self) -> tuple[Task, Optimizer]:
        self._ledger = Ledger()
        self._started = _now()
        with self._ledger.clock("preparation"):
            task = self.build_task()
            optimizer = self.build_optimizer(task)
            self._fingerprint = task.fingerprint
            self._identity = run_identity(self.config, self._fingerprint)
            self._name = run_name(self.config, self._identity)
            self._folder = self.records / self._name
        return task, optimizer

    def _work(self, task: Task, optimizer: Optimizer) -> RunOutcome:
        self._step, self._finished = 0, False
        self._history: list[dict[str, float | int | None]] = []
        self._selected: State = {}
        self._marked: dict[str, Tensor] = {}
        self._watching: list[Observer] = []
        try:
            self._resume(task, optimizer)
            self._watching = list(self.observers)
            self._notify("started", self._name, self.config, min(1.0, self._share()))
            self._train(task, optimizer)
            return self._end(task, "finished", self._judge(task, optimizer))
        except KeyboardInterrupt:
            # the last periodic checkpoint is whole; steps since then are repeated exactly
            return self._end(task, "interrupted", {})
        except ExpectedError:
            raise
        except Exception as error:
            return self._end(
                task,
                "failed",
                {},
                {"type": type(error).__name__, "message": str(error), "traceback": traceback.format_exc()},
            )

    def _train(self, task: Task, optimizer: Optimizer) -> None:
        since_checkpoint = self._ledger.wall_seconds
        if self._step == 0:
            self._validate(task, optimizer, None)
        while (before := self.processes.agree(1.0 if self._finished else self._share())) < 1:
            with self._ledger.clock("data"):
                objective = MeteredObjective(self.processes.share(task.next_objective()), self._ledger)
            with self._ledger.clock("optimizer"):
                report = optimizer.step(objective, before)
            self._step += 1
            self._finished = report.finished
            if not self._finished:
                self.budget.require_use(self._step, self._ledger)
            if self._step in self.evaluation.test_steps:
                self._marked[str(self._step)] = optimizer.solution.clone()
            after = self._share()
            row = {"loss": report.loss, **report.diagnostics}
            if after >= 1 or self._finished or self.evaluation.is_due(self._step, before, after):
                self._validate(task, optimizer, row)
            elif self.evaluation.is_due(self._step, before, after, often=10):
                self._log(task, None, row)
            if self._ledger.wall_seconds - since_checkpoint >= self.checkpoint_seconds or after >= 1 or self._finished:
                self._checkpoint(task, optimizer)
                since_checkpoint = self._ledger.wall_seconds

    def _validate(self, task: Task, optimizer: Optimizer, row: dict[str, float | None] | None) -> None:
        with self._ledger.clock("validation"):
            score = task.validate(optimizer.solution)
        best = self._selected.get("score")
        if best is None or task.metric.better(score, task.metric.worst if math.isnan(best) else best):
            self._selected = {"score": score, "step": self._step, "point": optimizer.solution.clone()}
        self._log(task, score, row or {"loss": None})

    def _log(self, task: Task, score: float | None, row: dict[str, float | None]) -> None:
        with self._ledger.clock("logging"):
            spent = self._ledger.spent
            full = {
                "step": self._step,
                "epoch": self._step / task.steps_per_epoch,
                "validation": score,
                "candidate_evaluations": spent.candidate_evaluations,
                "sample_forwards": spent.sample_forwards,
                "backward_passes": spent.backward_passes,
                "environment_steps": spent.environment_steps,
                "seconds": self._ledger.step_seconds,
                **row,
            }
            self._history.append(full)
            self._notify("progressed", full, min(1.0, self._share()))

    def _judge(self, task: Task, optimizer: Optimizer) -> dict[str, Any]:
        """Metrics of the record: the only place where the test set is read."""
        with self._ledger.clock("test"):
            found = task.diagnostics(self._selected["point"]) if isinstance(task, DiagnosableTask) else {}
            return {
                **({"diagnostics": found} if found else {}),
                "validation_selected": self._selected["score"],
                "selected_step": self._selected["step"],
                "test_selected": task.test(self._selected["point"]),
                "test_last": task.test(optimizer.solution),
                "steps": self._step,
                "test_curve": [{"step": int(step), "test": task.test(point)} for step, point in self._marked.items()],
            }

    def _end(
        self,
        task: Task,
        status: Literal["finished", "failed", "interrupted"],
        metrics: dict[str, Any],
        error: dict[str, str] | None = None,
    ) -> RunOutcome:
        metric = task.metric
        record = RunRecord(
            run_id=self._identity,
            name=self._name,
            status=status,
            labels={
                **{key: self.config["names"][key] for key in ("optimizer", "study")},
                "task": task.info.name,
                "seed": self.config["seed"],
            },
            protocol=self.config["names"]["protocol"],
            config=self.config,
            data_fingerprint=self._fingerprint,
            metric={"name": metric.name, "direction": metric.direction, "unit": metric.unit},
            metrics=json_value(metrics),
            ledger=self._ledger.summary(),
            environment=describe_environment(str(self.config["device"])),
            started=self._started,
            ended=_now(),
            error=error,
        )
        with self._ledger.clock("logging"):
            write_history(self._folder, self._history)
            write_record(self._folder, record)
        self._notify("ended", status, metrics)
        return RunOutcome(status, self._folder, record)

    def _notify(self, event: Literal["started", "progressed", "ended"], *arguments: Any) -> None:
        """Tell the observers; one that fails is told nothing more, and the run goes on."""
        for observer in tuple(self._watching):
            try:
                getattr(observer, event)(*arguments)
            except Exception as error:
                self._watching.remove(observer)
                warnings.warn(f"{type(observer).__name__} failed and is left out: {error!r}", stacklevel=2)

    def _share(self) -> float:
        return self.budget.used(self._step, self._ledger)

    def _checkpoint(self, task: Task, optimizer: Optimizer) -> None:
        with self._ledger.clock("checkpoint"):
            save_checkpoint(
                self._folder / "checkpoint.safetensors",
                {
                    "identity": self._identity,
                    "started": self._started,
                    "step": self._step,
                    "finished": self._finished,
                    "selected": self._selected,
                    "marked": self._marked,
                    "history": self._history,
                    "ledger": self._ledger.summary(),
                    "optimizer": optimizer.state_dict(),
                    "task": task.state_dict(),
                },
            )

    def _resume(self, task: Task, optimizer: Optimizer) -> None:
        path = self._folder / "checkpoint.safetensors"
        if not path.exists():
            return
        with self._ledger.clock("checkpoint"):
            state = load_checkpoint(path, torch.device(str(self.config["device"])))
            if state.get("identity") != self._identity:
                raise StorageError(
                    f"checkpoint {path} belongs to run {state.get('identity')}, not to {self._identity}; delete it "
                    "and repeat the command"
                )
            self._started, self._step, self._finished = state["started"], state["step"], state["finished"]
            self._selected = state["selected"]
            self._marked, self._history = state["marked"], state["history"]
            optimizer.load_state_dict(state["optimizer"])
            task.load_state_dict(state["task"])
            self._ledger.restore(state["ledger"])


_NOTHING_TO_DO = -1.0


def _number(identity: str) -> float:
    """As much of an identity as fits a number of 53 bits."""
    return float(int(identity[:13], 16))


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
