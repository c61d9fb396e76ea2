"""Synthetic records, so that what a report must show is known exactly."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from polystep.bench.ledger import Budget
from polystep.bench.records import RunRecord, read_record, write_history, write_record
from polystep.bench.runner import Evaluation, Run
from tests.polystep.bench.spy_run import STEPS, RandomSearch, SpyTask

AddRun = Callable[..., RunRecord]


@pytest.fixture
def add_run(tmp_path: Path) -> AddRun:
    """Writes one run below `tmp_path / "records"`; arguments named like record fields replace those fields.

    A run has 200 steps, of `candidates` candidates and `seconds` seconds each; every 20th is validated.
    """

    def add(
        optimizer: str = "polystep",
        seed: int = 42,
        study: str = "paper",
        test: float = 0.9,
        task: str = "snn",
        history: bool = True,
        validation: Callable[[int], float] = lambda step: step / 250,
        candidates: int = 8688,
        seconds: float = 0.25,
        **changes: Any,
    ) -> RunRecord:
        content: dict[str, Any] = {
            "run_id": f"{seed:016x}",
            "name": f"{task}-{optimizer}-{study}-seed{seed}",
            "status": "finished",
            "labels": {"task": task, "optimizer": optimizer, "study": study, "seed": seed},
            "protocol": "paper",
            "config": {"seed": seed, "optimizer": {"name": optimizer}, "device": "cpu"},
            "data_fingerprint": "data",
            "metric": {"name": "accuracy", "direction": "maximize", "unit": "fraction"},
            "metrics": {
                "validation_selected": test + 0.01,
                "test_selected": test,
                "test_last": test - 0.01,
                "steps": 200,
                "test_curve": [{"step": 20, "test": test - 0.5}, {"step": 100, "test": test - 0.3}],
            },
            "ledger": {
                "spent": {
                    "candidate_evaluations": 200 * candidates,
                    "sample_forwards": 200 * candidates * 512,
                    "backward_passes": 0 if candidates else 200 * 512,
                },
                "clocks": {"optimizer": 40 * seconds, "evaluation": 160 * seconds, "validation": 5.0},
                "peak_memory_bytes": 500_000_000,
            },
            "environment": {"processor": "some processor", "packages": {"torch": "2.13.0"}},
            "started": "2026-01-01T00:00:00+00:00",
            "ended": "2026-01-01T00:01:00+00:00",
        }
        record = RunRecord(**content | changes)
        folder = tmp_path / "records" / record.name
        write_record(folder, record)
        if history:
            rows = [_history_row(step, validation(step), candidates, seconds) for step in range(0, 201, 10)]
            write_history(folder, rows)
        return read_record(folder)

    return add


def _history_row(step: int, score: float, candidates: int, seconds: float) -> dict[str, float | int | None]:
    return {
        "step": step,
        "epoch": step / 106,
        "loss": None if step == 0 else 1 / step,
        "validation": score if step % 20 == 0 else None,
        "candidate_evaluations": step * candidates,
        "sample_forwards": step * candidates * 512,
        "seconds": step * seconds,
    }


@pytest.fixture
def build(tmp_path: Path) -> Callable[..., Run]:
    """Builds a run of the spy task; what is given replaces fields of `Run`."""

    def build(task: SpyTask | None = None, seed: int = 3, **changes: Any) -> Run:
        names = {"task": "spy", "optimizer": "search", "study": "default", "protocol": "default"}
        run = Run(
            config={
                "names": names,
                "study": {"protocol": "default", "edition": None},
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
