"""The first steps of every optimiser on a small member of every family of tasks, as they were when they were stored.

python -m tests.golden.trajectories my_method    stores those of a new optimiser, or of one that was changed on purpose; without
                                                 names, of all
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from polystep.bench.launch import build_run
from polystep.bench.specification import specification
from polystep.capabilities import CapabilityUnavailable
from polystep.packages import MissingPackageError
from polystep.records import settings_id
from tests.composition import COMPOSER, CONFIGS

STORED = Path(__file__).with_name("trajectories.json")
STEPS = 4
DIGITS = ["task.dataset=digits", "task.validation_size=200", "task.batch_size=32", "task.evaluation=incremental"]
MEMBERS = {
    "spiking network": ["task=snn", "task.network.hidden=8", *DIGITS],
    "int8 network": ["task=int8", "task.network.hidden=8", *DIGITS],
    "ReLU network": ["task=mnist", "task.network.hidden=[8]", *DIGITS],
    "MAX-SAT": ["task=maxsat", "task.instance=random", "task.variables=100"],
    "control": ["task=cartpole", "task.activation=int8", "task.horizon=20"],
    "forecasts": ["task=etth1", "task.series=sines", "task.history=6", "task.horizon=3", "task.network.hidden=4"],
}
SHORT = {"flips_per_step": 50, "environment_steps": 256, "batch_size": 16, "epochs": 1, "learning_starts": 4}
"""What makes the steps of an optimiser short, where it has such a setting."""


def optimizers() -> list[str]:
    """Those of the registry."""
    return sorted(path.stem for path in (CONFIGS / "optimizer").glob("*.yaml"))


def trajectory(optimizer: str, member: str) -> dict[str, Any] | None:
    """Settings, losses and distances from the start after each step; None where the optimiser does not serve the task."""
    overrides = [*MEMBERS[member], f"optimizer={optimizer}", "seed=7", "threads=1"]
    has = COMPOSER.compose(overrides).config.optimizer
    short = [f"optimizer.{name}={value}" for name, value in SHORT.items() if name in has]
    composed, choices = COMPOSER.compose([*overrides, *short, "budget.steps=4"])
    run = build_run(composed, choices)
    task = run.build_task()
    start = task.initial_point(7)
    losses, distances = [], []
    try:
        method = run.build_optimizer(task)
        for step in range(STEPS):
            report = method.step(task.next_objective(), step / STEPS)
            losses.append(report.loss)
            distances.append(float((method.solution - start).double().norm()))
            if report.finished:
                break
    except CapabilityUnavailable:
        return None
    study = {"protocol": "default", "edition": None}
    all_settings = specification({**run.config, "study": study})
    settings = settings_id({name: all_settings[name] for name in ("task", "optimizer")})
    return {"settings": settings, "losses": losses, "distances": distances}


def all_trajectories(names: Sequence[str]) -> dict[str, dict[str, dict[str, Any] | None]]:
    """Of these optimisers, as far as they can be built here, on every member."""
    found = {}
    for optimizer in names:
        try:
            found[optimizer] = {member: trajectory(optimizer, member) for member in MEMBERS}
        except MissingPackageError as error:
            print(f"{optimizer} is left as it was: {error}")
    return found


if __name__ == "__main__":
    torch.set_num_threads(1)
    stored = json.loads(STORED.read_text()) if STORED.exists() else {}
    kept = {name: value for name, value in stored.items() if name in optimizers()}
    STORED.write_text(json.dumps(kept | all_trajectories(sys.argv[1:] or optimizers()), indent=1) + "\n")
