"""Tables of runs as `load_runs` gives them, made up."""

from collections.abc import Callable
from typing import Any

import pandas
import pytest

from polystep.report import tables
from polystep.report.material import Material, modules_of
from polystep.report.table import Table

MakeRun = Callable[..., dict[str, Any]]
_METHODS = {
    "polystep": ("PolyStep", ("losses",)),
    "openai_es": ("OpenAI-ES", ("losses",)),
    "finite_differences": ("Finite differences", ("losses",)),
    "adam_surrogate": ("Adam", ("gradient:surrogate",)),
    "walksat": ("WalkSAT", ("clauses",)),
}
_TASKS = {
    "snn": {"family": "networks", "size": 101_770, "metric": "accuracy", "unit": "fraction", "best": 1.0},
    "int8": {"family": "networks", "size": 118_282, "metric": "accuracy", "unit": "fraction", "best": 1.0},
    "cartpole": {"family": "control", "size": 114, "metric": "return", "unit": "", "best": 500.0, "solved": 475.0},
    **{
        f"maxsat_{size}v": {"family": "maxsat", "size": size, "metric": "satisfied", "unit": "fraction", "best": 1.0}
        for size in (100, 1000, 100_000)
    },
}


@pytest.fixture
def make_run() -> MakeRun:
    """One row: `make_run("snn", "polystep", seed=7, test_selected=0.9)`; any column can be given."""

    def make(task: str, optimizer: str, seed: int = 42, **columns: Any) -> dict[str, Any]:
        score = columns.get("test_selected", 0.9)
        title, uses = _METHODS.get(optimizer, (optimizer, ("losses",)))
        protocol = columns.get("protocol", "equal_seconds")
        run = {
            "run_id": f"{task}-{optimizer}-{protocol}-{seed}-{len(columns)}",
            "settings_id": f"{task}-{optimizer}-{protocol}-{seed}",
            "cell_id": f"{task}-{optimizer}-{protocol}",
            "name": f"{task}-{optimizer}-{protocol}-seed{seed}",
            "status": "finished",
            "task": task,
            "task_title": task,
            "variant": "",
            "direction": "maximize",
            "solved": None,
            "optimizer": optimizer,
            "method": optimizer,
            "method_title": title,
            "method_family": "",
            "uses": uses,
            "study": protocol,
            "protocol": protocol,
            "edition": None,
            "seed": seed,
            "altered": (),
            "validation_selected": score,
            "selected_step": 100,
            "test_selected": score,
            "test_last": score,
            "test_curve": {},
            "diagnostics": {},
            "steps": 100,
            "candidate_evaluations": 0 if "gradient:surrogate" in uses else 1000,
            "sample_forwards": 512_000,
            "backward_passes": 0,
            "clause_checks": 0,
            "environment_steps": 0,
            "used_share": 1.0,
            "ended_by": "budget",
            "step_seconds": 30.0,
            "wall_seconds": 40.0,
            "cpu_seconds": 39.0,
            "seconds_compilation": 5.0,
            "seconds_validation": 2.0,
            "seconds_preparation": 1.0,
            "peak_memory_bytes": 8e8,
            "commit": "0123456789abcdef",
            "clean": True,
            "python": "3.11.7",
            "packages": {"torch": "2.13.0"},
            "processor": "AMD EPYC",
            "cores": 2,
            "threads": 1,
            "device": "cpu",
            "load_before": 0.1,
            "load_after": 1.0,
            "data": f"data of {task}",
            "started": "2026-01-01T00:00:00+00:00",
            "ended": "2026-01-01T00:01:00+00:00",
            "error": None,
            "source": "records.jsonl",
            "budget.seconds": 30.0 if protocol == "equal_seconds" else None,
            "optimizer.component": optimizer,
            "history": {
                "step": [0, 50, 100],
                "validation": [0.1, 0.8 * score, score],
                "candidate_evaluations": [0, 500, 1000],
                "sample_forwards": [0, 256_000, 512_000],
                "seconds": [0.0, 15.0, 30.0],
            },
        }
        return (
            run
            | _TASKS.get(task, {"family": "networks", "metric": "accuracy", "unit": "fraction", "best": 1.0})
            | columns
        )

    return make


@pytest.fixture
def table(make_run: MakeRun) -> Callable[..., pandas.DataFrame]:
    """The table of some runs, or of a few seeds of several methods on every kind of task."""

    def make(*runs: dict[str, Any]) -> pandas.DataFrame:
        if not runs:
            levels = {"polystep": 0.9, "openai_es": 0.7, "finite_differences": 0.85, "adam_surrogate": 0.95}
            runs = tuple(
                make_run(task, optimizer, seed, test_selected=scale * level + seed / 10_000, protocol=protocol)
                for task in _TASKS
                for scale in (500 if task == "cartpole" else 1,)
                for optimizer, level in levels.items()
                for protocol in ("equal_seconds", "default")
                for seed in (42, 123, 456)
            )
        return pandas.DataFrame(list(runs))

    return make


@pytest.fixture
def made(table: Callable[..., pandas.DataFrame]) -> Callable[..., dict[str, Table]]:
    """All tables of a report by name, of the runs that are given."""

    def make(*runs: dict[str, Any], **judged: Any) -> dict[str, Table]:
        material = Material(table(*runs), **judged)
        return {found.name: found for module in modules_of(tables) for found in module.tables(material)}

    return make


@pytest.fixture
def make_trial(make_run: MakeRun) -> MakeRun:
    """A run of a tuning grid with the rate `rate`."""

    def make(task: str, optimizer: str, rate: float, **columns: Any) -> dict[str, Any]:
        settings = {"study": "tuning_seconds", "optimizer.rate": rate, **columns}
        return make_run(task, optimizer, protocol="tuning", cell_id=str(rate), **settings)

    return make
