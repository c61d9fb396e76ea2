"""Records in memory, so that what must follow from them is known exactly."""

from collections.abc import Callable
from typing import Any

import pytest

from polystep.bench.records import RunRecord

MakeRun = Callable[..., RunRecord]


@pytest.fixture(scope="session")
def make_run() -> MakeRun:
    """A finished run of 100 steps; `steps` is its budget, further arguments replace fields of the record."""

    def make(
        method: str = "polystep",
        seed: int = 1,
        test: float = 0.9,
        task: str = "snn",
        study: str = "paper",
        steps: int = 100,
        setting: str = "usual",
        **changes: Any,
    ) -> RunRecord:
        content: dict[str, Any] = {
            "run_id": "0",
            "name": f"{task}-{method}-{study}-{seed}-{steps}-{setting}",
            "status": "finished",
            "labels": {"task": task, "optimizer": method, "study": study, "seed": seed},
            "protocol": study,
            "config": {
                "seed": seed,
                "task": {"name": task},
                "optimizer": {"name": method, "setting": setting, "seed": seed},
                "budget": {"steps": steps},
                "names": {"task": task, "optimizer": method, "study": study, "protocol": study},
            },
            "data_fingerprint": "data",
            "metric": {"name": "accuracy", "direction": "maximize", "unit": "fraction"},
            "metrics": {
                "test_selected": test,
                "test_last": test - 0.1,
                "test_curve": [{"step": 20, "test": test / 2}],
                "steps": steps,
            },
            "ledger": {},
            "environment": {},
            "started": "2026-01-01T00:00:00+00:00",
            "ended": "2026-01-01T00:01:00+00:00",
        }
        return RunRecord(**content | changes)

    return make
