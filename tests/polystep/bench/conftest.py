"""Runs of a spy task."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from polystep.bench.evaluation import Evaluation
from polystep.bench.ledger import Budget
from polystep.bench.runner import Run
from tests.polystep.bench.spy_run import STEPS, RandomSearch, SpyTask


@pytest.fixture
def build(tmp_path: Path) -> Callable[..., Run]:
    """Builds a run of the spy task; what is given replaces fields of `Run`."""

    def build(task: SpyTask | None = None, seed: int = 3, **changes: Any) -> Run:
        names = {"task": "spy", "optimizer": "search", "study": "default"}
        run = Run(
            config={
                "names": names,
                "study": {"name": "default", "protocol": "default", "edition": None},
                "seed": seed,
                "device": "cpu",
                "task": {"_target_": "tests.polystep.bench.spy_run.spy_task"},
                "optimizer": {"_target_": "tests.polystep.bench.spy_run.RandomSearch"},
                "budget": {"steps": STEPS},
                "evaluation": {"validate_every": 2},
            },
            build_task=lambda: task or SpyTask(),
            build_optimizer=lambda task: RandomSearch(task.initial_point(seed)),
            budget=Budget(steps=STEPS),
            evaluation=Evaluation(validate_every=2),
            records=tmp_path / "records",
            checkpoint_seconds=0.0,
        )
        return replace(run, **changes)

    return build
