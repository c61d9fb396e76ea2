"""The loop of Trainer.fit: steps, validations, checkpoints, progress."""

import io
import math
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from numbers import Integral
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from polystep.ask_tell import all_finite
from polystep.batches import TrainingError
from polystep.contracts import State
from polystep.files import StorageError, atomic_write
from polystep.progress import Progress
from polystep.search import FINISHED
from polystep.validation import name_of

if TYPE_CHECKING:
    from polystep.trainer import Trainer

VALIDATIONS = 20
"""Validations after the first one, at equal distances."""
CHECKPOINT_SECONDS = 30.0
"""How much work may be lost."""


@dataclass(frozen=True)
class Row:
    """After some steps: mean loss of the candidates since the row before, and the validation; None where there is none."""

    step: int
    loss: float | None
    validation: float | None


@dataclass(frozen=True)
class Fit:
    """What came of training: steps taken, the best validation and its step, why it ended, and its course."""

    steps: int
    best: float | None
    best_step: int | None
    message: str
    history: tuple[Row, ...] = field(repr=False)


@dataclass
class Fitting:
    """A training under way. Arguments as in Trainer.fit."""

    trainer: "Trainer"
    steps: int
    validation: Iterable[Any] | None
    score: Callable[[Tensor, Tensor], Any] | None
    patience: int | None
    checkpoint: Path | None
    progress: Progress
    history: list[Row] = field(default_factory=list)
    done: int = 0
    losses: list[float] = field(default_factory=list)
    best: State = field(default_factory=dict)
    message: str = ""

    def __post_init__(self) -> None:
        for name, number in (("steps", self.steps), ("patience", 1 if self.patience is None else self.patience)):
            if isinstance(number, bool) or not isinstance(number, Integral) or number < 1:
                raise TrainingError(f"{name} must be a whole number above 0, got {number!r}")
        if self.validation is None and (self.patience is not None or self.score is not None):
            raise TrainingError("patience and score are about validations; give validation data, too")

    def run(self, batches: Iterator[tuple[Tensor, Tensor]]) -> Fit:
        """Take the steps that are left, then give the model the parameters that were best."""
        self.trainer.check_parameters()
        # after an earlier training the model has the best parameters, the optimiser the last ones
        self.trainer.write_parameters(self.trainer.optimizer.solution)
        self._load()
        if not self.history:
            self._validate()
        while not self.message:
            self._step(*next(batches))
        if self.best:
            self.trainer.write_parameters(self.best["point"])
        return Fit(self.done, self.best.get("value"), self.best.get("step"), self.message, tuple(self.history))

    def _step(self, inputs: Tensor, targets: Tensor) -> None:
        report = self.trainer.step(inputs, targets, self.done / self.steps)
        self.done += 1
        if report.loss is not None:
            self.losses.append(report.loss)
        self.message = FINISHED if report.finished else self._reason_to_end()
        if self.message or self.done * VALIDATIONS // self.steps > (self.done - 1) * VALIDATIONS // self.steps:
            self._validate()
        else:
            self.progress.show(self._line(report.loss), lasts=False)
            if time.monotonic() - self._saved > CHECKPOINT_SECONDS:
                self._save()

    def _validate(self) -> None:
        value = None if self.validation is None else self.trainer.evaluate(self.validation, self.score)
        if not all_finite(self.trainer.optimizer.solution):
            # which units that spike or not would hide
            value = None if value is None else math.nan
            self.message = f"the parameters are not finite any more after step {self.done}"
        loss = sum(self.losses) / len(self.losses) if self.losses else None
        self.history.append(Row(self.done, loss, value))
        self.losses.clear()
        if value is not None and self._is_best(value):
            self.best = {"value": value, "step": self.done, "point": self.trainer.optimizer.solution.clone()}
        self.message = self.message or self._reason_to_end()
        self.progress.show(self._line(loss), lasts=True)
        self._save()

    def _reason_to_end(self) -> str:
        """Empty where training goes on."""
        if self.done > self.steps:
            return f"{self.done} steps were taken before, more than the {self.steps} asked for"
        if self.done == self.steps:
            return f"all {self.done} steps are taken"
        since = sum(row.step > self.best.get("step", 0) for row in self.history)
        if self.patience is not None and since >= self.patience:
            return f"the last {since} validations were not better"
        return ""

    def _is_best(self, value: float) -> bool:
        if math.isnan(value) or not self.best:
            return not math.isnan(value)
        return bool(value < self.best["value"] if self.score is None else value > self.best["value"])

    def _line(self, loss: float | None) -> str:
        parts = [f"step {self.done:>{len(str(self.steps))}}/{self.steps}"]
        if loss is not None:
            parts.append(f"loss {loss:.4g}")
        if (value := self.history[-1].validation) is not None:
            parts.append(f"validation {value:.4g}")
        if self.best:
            parts.append(f"best {self.best['value']:.4g} at {self.best['step']}")
        return "  ".join(parts)

    @property
    def _score_name(self) -> str:
        return "the loss" if self.score is None else name_of(self.score)

    def _save(self) -> None:
        self._saved = time.monotonic()
        if self.checkpoint is None:
            return
        state = {
            "trainer": self.trainer.state_dict(),
            "history": [[row.step, row.loss, row.validation] for row in self.history],
            "done": self.done,
            "losses": list(self.losses),
            "best": self.best,
            "score": self._score_name,
            "finished": self.message == FINISHED,
        }
        stream = io.BytesIO()
        torch.save(state, stream)
        with atomic_write(self.checkpoint) as file:
            file.write(stream.getvalue())

    def _load(self) -> None:
        self._saved = time.monotonic()
        if self.checkpoint is None or not self.checkpoint.exists():
            return
        try:
            state = torch.load(self.checkpoint, map_location="cpu", weights_only=True)
            history = [Row(*row) for row in state["history"]]
            kinds = {"trainer": dict, "done": int, "losses": list, "best": dict, "finished": bool}
            if wrong := [name for name, kind in kinds.items() if type(state[name]) is not kind]:
                raise ValueError(f"{wrong[0]} is {state[wrong[0]]!r}")
            own, done, losses, best, finished = (state[name] for name in kinds)
        # torch raises errors of many kinds for files that are damaged
        except Exception as error:
            reason = str(error).strip().partition("\n")[0] or type(error).__name__
            raise StorageError(
                f"{self.checkpoint} cannot be read as a checkpoint ({reason}); name another file, or delete it if it is one "
                "that was damaged, and training starts anew"
            ) from None
        self.trainer.load_state_dict(own)
        if best and (judge := state.get("score")) != self._score_name:
            raise TrainingError(
                f"{self.checkpoint} was judged by {judge}, and this training is by {self._score_name}; give the same score, or "
                "name another file"
            )
        self.history, self.done, self.losses, self.best = history, done, losses, best
        self.message = FINISHED if finished else self._reason_to_end()
