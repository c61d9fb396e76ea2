"""What a run is and has done so far, and the checkpoint that holds all of it."""

import math
import time
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from polystep.ask_tell import all_finite
from polystep.bench.checkpoint import load_checkpoint, save_checkpoint
from polystep.bench.context import CODE, code_of_both
from polystep.bench.ledger import Ledger
from polystep.contracts import Metric, Optimizer, State, Task
from polystep.files import StorageError
from polystep.records import Row, run_id, settings_id


@dataclass
class RunState:
    """Where a run is.

    started: when it first began. step: steps that are done. ended_by: what ended it, other than its budget. unvalidated: what
    is known of the last step, while it has still to be validated; the start is, too. selected: score, step and point of the
    best validation. test_checkpoints: points to be tested after training, by their step. history: a row per validation.
    """

    started: str
    step: int = 0
    ended_by: Literal["method", "divergence"] | None = None
    unvalidated: Row | None = field(default_factory=lambda: {"loss": None})
    selected: State = field(default_factory=dict)
    test_checkpoints: dict[str, Tensor] = field(default_factory=dict)
    history: list[Row] = field(default_factory=list)

    def select(self, score: float, point: Tensor, metric: Metric) -> None:
        """Keep `point` if it is the best so far; the first of equal ones stays, and NaN is worst."""
        best = self.selected.get("score")
        if best is None or metric.better(score, metric.worst if best != best else best):
            self.selected = {"score": score, "step": self.step, "point": point.clone()}

    def state_dict(self) -> State:
        """Everything."""
        return {f.name: getattr(self, f.name) for f in fields(self)}

    def load_state_dict(self, state: State) -> None:
        """Take up what `state_dict` returned."""
        for f in fields(self):
            setattr(self, f.name, state[f.name])


def score_of(task: Task, method: Literal["validate", "test"], point: Tensor) -> float:
    """What a method of a task gives as the score of a point, as a plain number; TypeError where it is none.

    NaN for a point that is not finite, whatever the task makes of it: units that spike or not hide it.
    """
    if not all_finite(point):
        return math.nan
    value: Any = getattr(task, method)(point)
    try:
        return float(value)
    except (TypeError, ValueError, RuntimeError):
        given = type(value).__name__ + (f" of shape {tuple(value.shape)}" if hasattr(value, "shape") else "")
        raise TypeError(f"{method} of the task must give a number, got {given}") from None


@dataclass(frozen=True)
class Prepared:
    """A run that is ready to take steps. config: resolved settings. data: fingerprint. records: folder of its folder."""

    config: Mapping[str, Any]
    specification: dict[str, Any]
    context: dict[str, Any]
    data: str
    task: Task
    optimizer: Optimizer
    ledger: Ledger
    state: RunState
    records: Path

    @cached_property
    def settings_id(self) -> str:
        """See `polystep.records.identity`."""
        return settings_id(self.specification)

    @cached_property
    def run_id(self) -> str:
        """See `polystep.records.identity`."""
        return run_id(self.specification, self.data, self.context)

    @property
    def name(self) -> str:
        """task-optimizer-study-seed-identity: readable, and different for different runs."""
        names = self.config["names"]
        parts = (names["task"], names["optimizer"], names["study"], f"seed{self.config['seed']}", self.run_id)
        return "-".join(parts)

    @property
    def folder(self) -> Path:
        """Where its record and checkpoint lie."""
        return self.records / self.name


class RunCheckpoint:
    """The checkpoint of a run: the states of the run itself, its ledger, its optimiser and its task."""

    def __init__(self, run: Prepared, seconds: float):
        """`seconds`: how much work may be lost with a process that is killed."""
        self._run, self._seconds = run, seconds
        self._path = run.folder / "checkpoint.safetensors"
        self._parts: dict[str, RunState | Optimizer | Task] = {
            "run": run.state,
            "optimizer": run.optimizer,
            "task": run.task,
        }
        # there is nothing to lose at the start
        self._saved_step, self._saved_rows, self._saved_at = 0, 0, time.monotonic()

    @property
    def holds_every_step(self) -> bool:
        """Whether no step is lost where the process ends now."""
        return self._saved_step == self._run.state.step

    @property
    def holds_everything(self) -> bool:
        """Whether no step and no validation is lost where the process ends now."""
        return self.holds_every_step and self._saved_rows == len(self._run.state.history)

    @property
    def is_due(self) -> bool:
        """Whether the last save is too long ago."""
        return time.monotonic() - self._saved_at >= self._seconds

    def save(self) -> None:
        """Write the file; StorageError where that is impossible."""
        with self._run.ledger.clock("checkpoint"):
            states = {name: part.state_dict() for name, part in self._parts.items()}
            code = {name: self._run.context[name] for name in CODE}
            about = {"run_id": self._run.run_id, "code": code, "ledger": self._run.ledger.summary()}
            save_checkpoint(self._path, {**about, **states})
        self._note_saved()

    def load(self, device: torch.device | str) -> None:
        """Continue where the file was written, if there is one; StorageError where it is damaged or of another run."""
        if not self._path.exists():
            return
        with self._run.ledger.clock("checkpoint"):
            stored = load_checkpoint(self._path, device)
            if stored.get("run_id") != self._run.run_id:
                raise StorageError(
                    f"checkpoint {self._path} belongs to run {stored.get('run_id')}, not to {self._run.run_id}; delete it and "
                    "repeat the command"
                )
            self._run.context.update(code_of_both(stored["code"], self._run.context))
            if self._run.context["sources"] is None:
                warnings.warn(
                    f"{self._run.name} began with other code and continues with today's; its record says so and counts for no "
                    f"claim; to compute all of it with one code, stop it and delete {self._run.folder}",
                    stacklevel=2,
                )
            # other code may have other states
            for name, part in self._parts.items():
                part.load_state_dict(stored[name])
            self._run.ledger.restore(stored["ledger"])
        self._note_saved()

    def _note_saved(self) -> None:
        self._saved_step, self._saved_rows = self._run.state.step, len(self._run.state.history)
        self._saved_at = time.monotonic()
