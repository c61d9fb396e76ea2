"""Points along a training with our default settings, shared by the studies that look at networks."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from torch import Tensor

from polystep.algorithm import PolyStep
from polystep.bench.composition import compose_config
from polystep.bench.launch import build_component, resolve_settings
from polystep.contracts import ExpectedError
from scripts.console import CONFIGS
from tasks.classification import ClassificationTask


@dataclass(frozen=True)
class TrainedPoint:
    """The point after so many steps of PolyStep with the study `default`, and its accuracy on the validation part."""

    step: int
    point: Tensor
    accuracy: float


def settings_of(
    study: str, task: str, seed: int, data_dir: str, *changes: str, optimizer: str = "polystep"
) -> dict[str, Any]:
    """All settings of a run on a task in a study, with `changes` as on a command line; raises ExpectedError."""
    overrides = [f"study={study}", f"task={task}", f"optimizer={optimizer}", f"seed={seed}", f"data_dir={data_dir}"]
    return resolve_settings(*compose_config(CONFIGS, [*overrides, *changes]))


def build_polystep(settings: dict[str, Any], task: ClassificationTask, point: Tensor, **changed: Any) -> PolyStep:
    """PolyStep with the settings of a run, at a point of its task."""
    optimizer: PolyStep = build_component(
        settings["optimizer"], "optimizer", layout=task.layout, point=point, **changed
    )
    return optimizer


def training_points(
    task: str, steps: Sequence[int], seed: int, data_dir: str
) -> tuple[ClassificationTask, tuple[TrainedPoint, ...]]:
    """The task of that name and the points of one run after each of `steps`."""
    if not steps or min(steps) < 0:
        raise ExpectedError(f"points along a training need steps of at least 0, got {list(steps)}")
    return _train(task, tuple(sorted(steps)), seed, data_dir)


@cache
def _train(
    name: str, steps: tuple[int, ...], seed: int, data_dir: str
) -> tuple[ClassificationTask, tuple[TrainedPoint, ...]]:
    settings = settings_of("default", name, seed, data_dir)
    task: ClassificationTask = build_component(settings["task"], "task")
    optimizer = build_polystep(settings, task, task.initial_point(seed))
    found = []
    for step in range(max(steps) + 1):
        if step in steps:
            point = optimizer.solution.clone()
            found.append(TrainedPoint(step, point, task.validate(point)))
        if step < max(steps):
            # the budget is so much longer that schedules over it hardly begin
            optimizer.step(task.next_objective(), 0.0)
    return task, tuple(found)
