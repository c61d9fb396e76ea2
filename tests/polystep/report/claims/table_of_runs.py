"""A table of runs as load_runs returns it, with the columns that verdicts read."""

from itertools import count

import pandas

from polystep.report.claims.statements import Condition, Score, Statement

_NUMBERS = count()


def make_row(method="polystep", seed=1, test=0.9, task="snn", axis="equal_seconds", component=None, **changes):
    number = next(_NUMBERS)
    row = {
        "run_id": f"run{number}",
        "cell_id": f"{task} {method} {axis}",
        "status": "finished",
        "task": task,
        "optimizer": method,
        "method": component or method,
        "protocol": axis,
        "edition": "first" if axis == "published" else None,
        "seed": seed,
        "altered": (),
        "uses": ("losses",),
        "metric": "accuracy",
        "direction": "maximize",
        "unit": "fraction",
        "best": 1.0,
        "test_selected": test,
        "test_last": test,
        "test_curve": {20: test / 2},
        "used_share": 1.0,
        "ended_by": "budget",
        "steps": 100,
        "candidate_evaluations": 50_000,
        "step_seconds": 300.0,
        "wall_seconds": 330.0,
        "cpu_seconds": 325.0,
        "budget.seconds": 300.0,
        "budget.candidate_evaluations": 50_000,
        "budget.steps": 100,
        "commit": "0123abcd",
        "clean": True,
        "processor": "AMD EPYC",
        "threads": 1,
        "device": "cpu",
        "data": f"data of {task}",
        "ended": f"2026-01-01T00:00:{number % 60:02d}+00:00",
        "optimizer.setting": "a",
    }
    unknown = changes.keys() - row.keys() - {"origin"}
    assert not unknown, unknown
    return row | changes


def table(rows):
    """The frame of some runs."""
    return pandas.DataFrame(rows) if rows else pandas.DataFrame(columns=[*make_row()])


def runs_of(values, **changes):
    """One run per value, seeds 1, 2, ..."""
    return [make_row(seed=seed, test=value, **changes) for seed, value in enumerate(values, 1)]


def statement(*conditions, axes=("equal_seconds",), seeds=6, edition="first", id="claim"):
    return Statement(id, edition, "It is so.", tuple(axes), tuple(range(1, seeds + 1)), conditions)


POLYSTEP = Score("snn", "polystep")
ABOVE = Condition(POLYSTEP, at_least=0.89)
LEADS = Condition(POLYSTEP, Score("snn", "spsa"), rivals=True, at_least=0.1)
GOOD = (0.93, 0.94, 0.93, 0.95, 0.94, 0.93)
BAD = (0.50, 0.52, 0.49, 0.51, 0.50, 0.52)
