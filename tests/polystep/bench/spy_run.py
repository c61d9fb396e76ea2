"""A task and an optimiser that note how a run uses them."""

import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from polystep.ask_tell import AskTellOptimizer
from polystep.bench.checkpoint import load_checkpoint
from polystep.bench.runner import RunOutcome
from polystep.candidates import Candidates, DenseCandidates
from polystep.component import component
from polystep.contracts import Metric, Spent, State, StepReport, TaskInfo
from polystep.layout import ParameterLayout
from polystep.random import generator_state, named_generator, restore_generator
from polystep.records import read_record

STEPS = 6
CANDIDATES = 4
ROWS = 10


class Target:
    """Squared distance to a point that differs from step to step."""

    def __init__(self, center: Tensor):
        self.center, self.spent = center, Spent()

    def losses(self, candidates: Candidates) -> Tensor:
        self.spent += Spent(len(candidates), ROWS * len(candidates))
        return (candidates.dense(slice(None)) - self.center).square().sum(1)


@dataclass
class SpyTask:
    """Writes down how it is used; `faults` are called by the name of the call and its number, counted from one."""

    calls: list[str] = field(default_factory=list)
    faults: dict[tuple[str, int], Callable[[], Any]] = field(default_factory=dict)
    scores: list[float] | None = None
    direction: str = "minimize"

    info = TaskInfo("spy", "A spy", "spies", 6)
    layout = ParameterLayout({"weight": (2, 3)})
    fingerprint = "data"
    steps_per_epoch = 4

    def __post_init__(self) -> None:
        self.metric = Metric("distance", self.direction, "unit")  # type: ignore[arg-type]
        self.tested: list[Tensor] = []
        self._generator = named_generator(0, "stream")

    def _called(self, name: str) -> Any:
        self.calls.append(name)
        return self.faults.get((name, self.calls.count(name)), lambda: None)()

    def initial_point(self, seed: int) -> Tensor:
        return torch.full((6,), float(seed))

    def next_objective(self) -> Target:
        self._called("train")
        return Target(torch.randn(6, generator=self._generator))

    def validate(self, point: Tensor) -> float:
        fault = self._called("validate")
        if self.scores is not None:
            return self.scores[self.calls.count("validate") - 1]
        return float(point.square().sum()) if fault is None else fault

    def test(self, point: Tensor) -> float:
        self.tested.append(point.clone())
        fault = self._called("test")
        return float(point.abs().sum()) if fault is None else fault

    def state_dict(self) -> State:
        return {"stream": generator_state(self._generator)}

    def load_state_dict(self, state: State) -> None:
        restore_generator(self._generator, state["stream"])


def spy_task() -> SpyTask:
    """What a configuration names."""
    return SpyTask()


@component("search", version=1, title="Random search", family="tests")
class RandomSearch(AskTellOptimizer):
    """Moves to the best of a few random neighbours."""

    def __init__(self, point: Tensor):
        self.solution = point
        self.objectives: list[Any] = []
        self._generator = named_generator(1, "search")

    def step(self, objective: Any, used: float) -> StepReport:
        self.objectives.append(objective)
        return super().step(objective, used)

    def ask(self, used: float) -> Candidates:
        noise = torch.randn(CANDIDATES, 6, generator=self._generator)
        self._candidates = DenseCandidates(self.solution + 0.1 * noise)
        return self._candidates

    def tell(self, losses: Tensor) -> StepReport:
        self.solution = self._candidates.dense(slice(None))[losses.argmin()]
        return StepReport(float(losses.mean()), {"best": float(losses.min())})

    def state_dict(self) -> State:
        return {"point": self.solution, "generator": generator_state(self._generator)}

    def load_state_dict(self, state: State) -> None:
        self.solution = state["point"]
        restore_generator(self._generator, state["generator"])


def result(outcome: RunOutcome) -> Any:
    """Everything that must not depend on how often a run was interrupted: all but seconds and memory."""
    record = read_record(outcome.folder)
    history = {name: column for name, column in record.history.items() if name != "seconds"}
    state = load_checkpoint(outcome.folder / "checkpoint.safetensors")
    tensors = [
        state["run"]["selected"]["point"],
        *state["run"]["test_checkpoints"].values(),
        *state["optimizer"].values(),
        *state["task"].values(),
    ]
    return (
        record.scores,
        record.counters,
        history,
        [tensor.tolist() for tensor in tensors],
        state["run"]["step"],
    )


def interrupt(signals: Sequence[signal.Signals] = (signal.SIGINT,)) -> None:
    """Tell the process to stop; pytest's own handler is never reached while a run is under way."""
    for number in signals:
        signal.raise_signal(number)
