"""One valid record, records that differ from it in chosen fields, and damaged ones."""

import copy
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from polystep.records import CLOCKS, COUNTERS, RunRecord, cell_id, run_id, settings_id

MakeRecord = Callable[..., RunRecord]
SPECIFICATION: dict[str, Any] = {
    "task": {"component": "maxsat", "version": 1, "variables": 100},
    "optimizer": {"component": "polystep", "version": 1, "probe_radius": 0.5},
    "budget": {"steps": 100},
    "evaluation": {"validate_every": 50},
    "protocol": "default",
    "edition": None,
    "seed": 42,
}
CONTEXT: dict[str, Any] = {
    "commit": "0" * 40,
    "modified": [],
    "untracked": [],
    "python": "3.11.7",
    "packages": {"torch": "2.13.0"},
    "platform": "Linux",
    "processor": "a processor",
    "cores": 2,
    "threads": 1,
    "device": "cpu",
    "load_before": 0.1,
    "load_after": 1.0,
    "peak_memory_bytes": 10**8,
}


@pytest.fixture
def make_record() -> MakeRecord:
    """A finished run of PolyStep on 100 variables; arguments replace fields, `seed` also in the specification."""

    def make(**changes: Any) -> RunRecord:
        seed = changes.get("seed", 42)
        specification = changes.pop("specification", SPECIFICATION) | {"seed": seed}
        context = changes.pop("context", CONTEXT)
        record = RunRecord(
            run_id=run_id(specification, "data", context),
            settings_id=settings_id(specification),
            cell_id=cell_id(specification),
            name=f"maxsat-polystep-default-seed{seed}",
            status="finished",
            seed=42,
            specification=specification,
            overrides=["task=maxsat"],
            altered=[],
            names={"task": "maxsat", "optimizer": "polystep", "study": "default"},
            study={"name": "default", "edition": None, "protocol": "default"},
            task={
                "name": "maxsat_100v",
                "title": "MAX-SAT, 100 variables",
                "family": "maxsat",
                "size": 100,
                "variant": "paper",
                "evaluation_cost": {"clause_checks": 427},
            },
            metric={"name": "satisfied", "direction": "maximize", "unit": "fraction", "best": 1.0, "solved": None},
            method={"name": "polystep", "title": "PolyStep", "family": "polystep", "uses": ["losses"]},
            data="data",
            scores={
                "validation_selected": 0.99,
                "selected_step": 50,
                "test_selected": 0.99,
                "test_last": 0.98,
                "test_curve": [{"step": 20, "test": 0.9}],
                "diagnostics": {},
            },
            counters=dict.fromkeys(COUNTERS, 0) | {"steps": 100, "candidate_evaluations": 1600},
            used_share=1.0,
            ended_by="budget",
            clocks=dict.fromkeys(CLOCKS, 0.0) | {"optimizer": 1.0, "evaluation": 2.0, "other": 0.5},
            wall_seconds=3.5,
            cpu_seconds=3.4,
            context=context,
            started="2026-01-01T10:00:00+00:00",
            ended="2026-01-01T10:00:04+00:00",
            history={"step": [0, 50, 100], "validation": [0.9, 0.99, 0.98], "seconds": [0.0, 1.5, 3.0]},
        )
        return replace(record, **changes)

    return make


DAMAGE: list[Any] = [None, True, 1e308, float("nan"), "x", [], {}, -1]


def damaged(content: dict[str, Any]) -> Iterator[tuple[tuple[Any, ...], Any, dict[str, Any]]]:
    """Every field of a record, at any depth, replaced by every wrong kind: where, by what, and the JSON value."""

    def places(node: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
        items = node.items() if isinstance(node, dict) else enumerate(node[:2]) if isinstance(node, list) else ()
        for key, value in items:
            yield (*path, key)
            yield from places(value, (*path, key))

    for path in places(content):
        for wrong in DAMAGE:
            made = copy.deepcopy(content)
            node: Any = made
            for key in path[:-1]:
                node = node[key]
            node[path[-1]] = wrong
            yield path, wrong, made
