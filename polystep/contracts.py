"""The three protocols that everything obeys: Optimizer, Objective, Task.

An optimiser asks an objective for the losses of candidates and never sees a data loader, a validation or test set, or
the ledger. A task hands out one objective per step and judges points. `polystep.conformance` checks optimisers, and tasks with
their objectives. What some objectives offer besides losses is in `polystep.capabilities`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal, Protocol, runtime_checkable

import torch
from torch import Tensor

from polystep.candidates import Candidates
from polystep.layout import ParameterLayout


class ExpectedError(Exception):
    """A failure that a user can remedy; the message says how, and commands print it without a traceback."""


State = dict[str, Any]
"""A nested dictionary of tensors and JSON values: what a checkpoint can hold."""


@dataclass(frozen=True)
class Spent:
    """What evaluating cost so far, counted by the task.

    Units: candidates; candidate x data rows; backward passes x data rows; candidate x clauses; environment steps;
    seconds of kernel compilation (not part of the evaluation time).
    """

    candidate_evaluations: int = 0
    sample_forwards: int = 0
    backward_passes: int = 0
    clause_checks: int = 0
    environment_steps: int = 0
    compilation_seconds: float = 0.0

    def __add__(self, other: "Spent") -> "Spent":
        return Spent(**{f.name: getattr(self, f.name) + getattr(other, f.name) for f in fields(self)})

    def __sub__(self, other: "Spent") -> "Spent":
        return Spent(**{f.name: getattr(self, f.name) - getattr(other, f.name) for f in fields(self)})


@dataclass(frozen=True)
class Metric:
    """What a task's `validate` and `test` return: its name, which direction is better, its unit.

    best: the best possible value, None where it is not known. solved: the value that counts as solved, None where none does.
    Raises ValueError for another direction.
    """

    name: str
    direction: Literal["maximize", "minimize"]
    unit: str
    best: float | None = None
    solved: float | None = None

    def __post_init__(self) -> None:
        if self.direction not in ("maximize", "minimize"):
            raise ValueError(f"the direction of a metric must be 'maximize' or 'minimize', got {self.direction!r}")

    def better(self, value: float, other: float) -> bool:
        """Whether `value` is strictly better than `other`; a NaN is never better."""
        return value > other if self.direction == "maximize" else value < other

    @property
    def worst(self) -> float:
        """The value that every real score is better than."""
        return float("-inf") if self.direction == "maximize" else float("inf")


@dataclass(frozen=True)
class TaskInfo:
    """What readers of a record need to know of a task, so that nobody guesses it from names.

    name: stable, and different wherever tasks differ by more than what their fingerprints tell. title: for readers. family:
    what belongs into one table. size: parameters, or what else tasks of a family grow by. variant: what tells tasks of one
    family and size apart.
    evaluation_cost: what a candidate costs that is evaluated whole, by the names of `Spent`, where that is always the same.
    """

    name: str
    title: str
    family: str
    size: int
    variant: str = ""
    evaluation_cost: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class StepReport:
    """What one optimiser step saw: the mean candidate loss (None on a step without candidates) and diagnostics.

    `finished`: further steps would find nothing better, so the run ends whatever is left of its budget.
    """

    loss: float | None
    diagnostics: Mapping[str, float] = field(default_factory=dict)
    finished: bool = False

    def __post_init__(self) -> None:
        """Numbers of numpy and tensors without dimensions become plain ones, which checkpoints and records can hold."""
        plain = {name: float(value) for name, value in self.diagnostics.items()}
        loss = None if self.loss is None else float(self.loss)
        for name, value in {"loss": loss, "diagnostics": plain, "finished": bool(self.finished)}.items():
            object.__setattr__(self, name, value)


@runtime_checkable
class Objective(Protocol):
    """The loss under one fixed mini-batch, set of episodes or set of clauses."""

    @property
    def spent(self) -> Spent:
        """What this objective's evaluations have cost so far."""
        ...

    def losses(self, candidates: Candidates) -> Tensor:
        """Loss of every candidate, shape (N,), lower is better; float32, or float64 where `loss_dtype` says so."""
        ...


def loss_dtype(objective: Objective) -> torch.dtype:
    """The type of an objective's losses: what its attribute `loss_dtype` says, else float32."""
    dtype: torch.dtype = getattr(objective, "loss_dtype", torch.float32)
    return dtype


@runtime_checkable
class Optimizer(Protocol):
    """A method that improves a point by asking for losses.

    Constructed as `factory(layout=..., point=..., seed=...)`.
    """

    @property
    def solution(self) -> Tensor:
        """The point that the method would report now, shape (D,)."""
        ...

    def step(self, objective: Objective, used: float) -> StepReport:
        """One step of the method on one objective; `used`: share of the budget that is used before it, from 0 to 1."""
        ...

    def state_dict(self) -> State:
        """Everything that the next step depends on."""
        ...

    def load_state_dict(self, state: State) -> None:
        """Continue exactly where `state` was taken."""
        ...


@runtime_checkable
class Task(Protocol):
    """A problem to optimise, with its own data stream and its own judges."""

    info: TaskInfo
    metric: Metric
    layout: ParameterLayout

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the data that the task uses."""
        ...

    @property
    def steps_per_epoch(self) -> int:
        """Objectives per pass over the training data; 1 where there is no such pass."""
        ...

    def initial_point(self, seed: int) -> Tensor:
        """The starting point that belongs to `seed`, shape (D,)."""
        ...

    def next_objective(self) -> Objective:
        """Advance the data stream and return the objective of the next step."""
        ...

    def validate(self, point: Tensor) -> float:
        """Score of `point` on data that selects checkpoints; never seen by optimisers."""
        ...

    def test(self, point: Tensor) -> float:
        """Score of `point` on data that selects nothing; read after training."""
        ...

    def state_dict(self) -> State:
        """The position in the data stream."""
        ...

    def load_state_dict(self, state: State) -> None:
        """Continue the data stream exactly where `state` was taken."""
        ...


@runtime_checkable
class DiagnosableTask(Task, Protocol):
    """A task that has more to say about a point than its score."""

    def diagnostics(self, point: Tensor) -> Mapping[str, Any]:
        """JSON values by name, empty where there is nothing to say; read after training, without the test set."""
        ...
