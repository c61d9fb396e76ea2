"""Environment steps per second of the paths that play episodes; part of  python -m scripts.benchmark_speed cartpole acrobot"""

import time
from collections.abc import Sequence
from functools import partial
from statistics import median
from typing import Any

import torch
from hydra.utils import instantiate

from polystep.candidates import DenseCandidates
from polystep.report.table import Row, Table, number_column, text_column
from scripts.console import say
from scripts.speed import polystep_settings
from tasks.control.task import EVALUATIONS

ACTIVATIONS = ("float", "int8", "binary")
TRAINED_STEPS = 20
"""Steps of PolyStep before its candidates are measured, because only then episodes are as long as they mostly are."""


def control_speed_table(tasks: Sequence[str], repeats: int) -> Table:
    """Medians over `repeats` evaluations of the candidates of one PolyStep step, after compilation, by task and policy."""
    rows = [row for task in tasks for kind in ACTIVATIONS for row in _measure(task, kind, repeats)]
    columns = (
        text_column("task", "Task"),
        text_column("activation", "Policy"),
        text_column("path", "Path"),
        number_column("episodes", "Episodes"),
        number_column("steps", "Environment steps"),
        number_column("rate", "Environment steps per second"),
        number_column("ratio", "Times Gymnasium", "ratio"),
    )
    notes = (
        f"The candidates of one step of PolyStep after {TRAINED_STEPS} others, with default settings. lockstep: the simulator, "
        "all episodes in step with each other; gymnasium: the same with Gymnasium's environments; fused: policy and simulator "
        "in one loop. All play the same episodes. training: whole steps of PolyStep.",
        f"Medians of {repeats} evaluations (Gymnasium: one), {torch.get_num_threads()} threads, compilation excluded.",
    )
    return Table("control_speed", "Environment steps per second", columns, rows, notes)


def _measure(task_name: str, activation: str, repeats: int) -> list[Row]:
    config = polystep_settings(task_name, "default", f"task.activation={activation}")
    tasks = {path: instantiate(config["task"], evaluation=path) for path in EVALUATIONS}
    fused = tasks["fused"]
    optimizer = instantiate(config["optimizer"], layout=fused.layout, point=fused.initial_point(config["seed"]))
    for _ in range(TRAINED_STEPS):
        optimizer.step(fused.next_objective(), 0.0)
    asked = optimizer.ask(0.0)
    candidates = DenseCandidates(asked.dense(slice(0, len(asked))))
    measured: dict[str, tuple[int, float]] = {
        path: _rate(partial(_play, tasks[path], candidates), 1 if path == "gymnasium" else repeats)
        for path in reversed(EVALUATIONS)
    }
    optimizer.tell(fused.next_objective().losses(asked))
    measured["training"] = _rate(partial(_train, fused, optimizer), 10 * repeats)
    rows: list[Row] = []
    for path, (steps, rate) in measured.items():
        say(f"{task_name}, {activation}, {path}: {rate:,.0f} environment steps per second")
        rows.append({"task": task_name, "activation": activation, "path": path,
                     "episodes": len(candidates) * config["task"]["episodes"], "steps": steps, "rate": round(rate),
                     "ratio": rate / measured["gymnasium"][1]})  # fmt: skip
    return rows


def _play(task: Any, candidates: DenseCandidates) -> int:
    objective = task.next_objective()
    objective.losses(candidates)
    return int(objective.spent.environment_steps)


def _train(task: Any, optimizer: Any) -> int:
    objective = task.next_objective()
    optimizer.step(objective, 0.0)
    return int(objective.spent.environment_steps)


def _rate(action: Any, repeats: int) -> tuple[int, float]:
    """Median environment steps of an action, and the median of those per second."""
    counts, rates = [], []
    for _ in range(repeats):
        started = time.perf_counter()
        counts.append(action())
        rates.append(counts[-1] / (time.perf_counter() - started))
    return round(median(counts)), median(rates)
