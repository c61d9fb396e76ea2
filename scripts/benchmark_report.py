"""How long a report takes from many records:  python -m scripts.benchmark_report --runs 500

The records are made up, in a temporary folder: the tasks and methods of the paper under three protocols, seed by seed.
"""

import argparse
import math
import random
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path

from polystep.bench.records import RECORD_VERSION, RunRecord, write_history, write_record
from polystep.bench.report import build_report
from polystep.contracts import ExpectedError
from scripts.console import console, explain
from scripts.report import statements

_SEEDS = (42, 123, 456, 789, 1337)
_STUDIES = {"paper": "paper", "matched_time": "matched-time", "default": "default"}
_NETWORKS = ("snn", "int8", "argmax", "staircase", "moe", "mnist")
_METHODS = {
    **dict.fromkeys(_NETWORKS, ("polystep", "openai_es", "cma_es", "spsa", "mezo", "adam_surrogate")),
    **{
        f"maxsat_{variables}v": ("polystep", "openai_es", "cma_es", "probsat", "walksat")
        for variables in (100, 500, 1000, 5000, 20_000, 100_000, 1_000_000)
    },
    **{f"cartpole{kind}": ("polystep", "openai_es") for kind in ("", "_int8", "_binary")},
    **{f"acrobot{kind}": ("polystep", "openai_es") for kind in ("", "_int8", "_binary")},
}
_STEPS = 1000


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; exit status 0 when the report was built, 2 after an explained failure."""
    parser = argparse.ArgumentParser(
        prog="python -m scripts.benchmark_report", description="Time a report from made-up records."
    )
    parser.add_argument("--runs", type=int, default=500, help="number of records (default: %(default)s)")
    options = parser.parse_args(arguments)
    try:
        with tempfile.TemporaryDirectory() as folder:
            records, output = Path(folder) / "records", Path(folder) / "output"
            made = sum(1 for _ in zip(range(options.runs), _write_records(records), strict=False))
            started = time.perf_counter()
            judged = statements()
            composed = time.perf_counter()
            summary = build_report(records, output, {}, judged)
            ended = time.perf_counter()
            size = (output / "report.html").stat().st_size / 1e6
    except ExpectedError as error:
        return explain(error)
    console.print(
        f"{made} records: {ended - started:.1f} s (composing planned runs {composed - started:.1f} s, report "
        f"{ended - composed:.1f} s), {len(summary.written)} files, page of {size:.1f} MB",
        highlight=False,
    )
    return 0


def _write_records(folder: Path) -> Iterator[None]:
    """Write one record after another."""
    generator = random.Random(0)
    for seed, study, (task, methods) in product(_SEEDS, _STUDIES, _METHODS.items()):
        for method in methods:
            record, history = _run(task, method, study, seed, generator)
            write_record(folder / record.name, record)
            write_history(folder / record.name, history)
            yield


def _run(
    task: str, method: str, study: str, seed: int, generator: random.Random
) -> tuple[RunRecord, list[dict[str, float | int | None]]]:
    level = 0.9 if method in ("polystep", "adam_surrogate") else generator.uniform(0.4, 0.8)
    candidates = 0 if method.startswith("adam") else 8688
    history: list[dict[str, float | int | None]] = [
        {
            "step": step,
            "epoch": step / 106,
            "loss": 1 / (1 + step),
            "validation": level * (1 - math.exp(-(step + 1) / 120)) + generator.gauss(0, 0.003),
            "candidate_evaluations": step * candidates,
            "seconds": 0.25 * step,
        }
        for step in range(0, _STEPS + 1, 8)
    ]
    names = {"task": task, "optimizer": method, "study": study}
    record = RunRecord(
        run_id="0",
        name=f"{task}-{method}-{study}-seed{seed}",
        status="finished",
        labels=names | {"seed": seed},
        protocol=_STUDIES[study],
        config={"seed": seed, "task": {"name": task}, "optimizer": {"name": method}, "names": names},
        data_fingerprint="data",
        metric={"name": "accuracy", "direction": "maximize", "unit": "fraction"},
        metrics={"validation_selected": level, "test_selected": level, "test_last": level, "steps": _STEPS},
        ledger={
            "spent": {"candidate_evaluations": _STEPS * candidates},
            "clocks": {"optimizer": 50.0, "evaluation": 200.0},
            "peak_memory_bytes": 800_000_000,
        },
        environment={"processor": "made up"},
        started="2026-01-01T00:00:00+00:00",
        ended="2026-01-01T00:05:00+00:00",
        record_version=RECORD_VERSION,
    )
    return record, history


if __name__ == "__main__":
    sys.exit(main())
