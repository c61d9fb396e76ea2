"""Candidates per second of the evaluation paths on the same candidates:  python -m scripts.benchmark_speed

For each network: one mini-batch, the candidates of one PolyStep step (an evenly spaced subset), every path in turn in the
same process; medians over repeats, after compilation. Then the candidates of the published settings, candidates that move
every parameter, as evolution strategies have them, and training steps as a whole.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from hydra.utils import instantiate

from polystep.bench.launch import use_threads
from polystep.candidates import Candidates, DenseCandidates
from polystep.contracts import ExpectedError
from polystep.files import write_text
from polystep.low_rank import LowRankCandidates
from polystep.report.table import Row, Table, text_column, to_markdown, write_table
from scripts.console import RESULTS, explain, guarded, positive_count, say
from scripts.control_speed import control_speed_table
from scripts.convolution_speed import NETWORKS as CONVOLUTIONAL
from scripts.convolution_speed import convolution_speed_table
from scripts.speed import (
    CONTROL,
    NETWORKS,
    PATH_COLUMNS,
    THRESHOLDS,
    mirrored_noise,
    polystep_settings,
    whole_particles,
)
from scripts.start_speed import start_speed_table

PATHS = ("functional", "incremental", "fused")
STARTS = "starts"
DENSE = 256
"""Candidates that move every parameter."""
PUBLISHED_PARTICLES = 16
"""Whole particles of the published settings."""
SECONDS = 20.0
"""No more repeats of one measurement after this long: the slowest paths take as long for a single one."""


def main(arguments: Sequence[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m scripts.benchmark_speed", description="Measure evaluation speed.")
    parser.add_argument(
        "tasks",
        nargs="*",
        default=[*NETWORKS, *CONVOLUTIONAL, *CONTROL, STARTS],
        help=f"files of configs/task, {', '.join(CONVOLUTIONAL)}, or {STARTS}: how long networks compile (default: all)",
    )
    parser.add_argument(
        "--batch-size", type=positive_count, default=512, help="rows, as in the paper's runs (default: %(default)s)"
    )
    parser.add_argument(
        "--candidates", type=positive_count, default=4416, help="candidates per evaluation (default: %(default)s)"
    )
    parser.add_argument(
        "--repeats", type=positive_count, default=5, help="timed evaluations per path at most (default: %(default)s)"
    )
    parser.add_argument("--output", type=Path, default=RESULTS / "tables", help="folder (default: %(default)s)")
    options = parser.parse_args(arguments)
    try:
        # composed before minutes of measurements are lost
        batch = f"task.batch_size={options.batch_size}"
        networks = {
            task: (polystep_settings(task, "default", batch), polystep_settings(task, "first", batch))
            for task in options.tasks
            if task not in (*CONTROL, *CONVOLUTIONAL, STARTS)
        }
        use_threads(None)
        tables = []
        if control := [task for task in options.tasks if task in CONTROL]:
            tables.append(control_speed_table(control, options.repeats))
        if convolutional := [task for task in options.tasks if task in CONVOLUTIONAL]:
            tables.append(convolution_speed_table(convolutional, options.batch_size, options.repeats))
        if networks:
            rows = [row for task, settings in networks.items() for row in _measure(task, *settings, options)]
            tables.append(_table(rows, options))
        if STARTS in options.tasks:
            tables.append(start_speed_table(NETWORKS))
        for table in tables:
            write_table(table, options.output)
            write_text(options.output / f"{table.name}.md", to_markdown(table))
    except ExpectedError as error:
        return explain(error)
    for table in tables:
        say(to_markdown(table))
    return 0


def _measure(
    task_name: str, config: dict[str, Any], published: dict[str, Any], options: argparse.Namespace
) -> list[Row]:
    """Rows of one network: candidates and steps of the settings `config`, candidates also of the published settings."""
    count, repeats = options.candidates, options.repeats
    tasks = {path: instantiate(config["task"], evaluation=path) for path in PATHS}
    task = tasks["fused"]
    optimizer, other = (
        instantiate(settings["optimizer"], layout=task.layout, point=task.initial_point(42))
        for settings in (config, published)
    )
    candidates = optimizer.ask(0.0)
    chosen = torch.linspace(0, len(candidates) - 1, min(count, len(candidates))).long()
    subset = candidates.part(chosen)
    rows: list[Row] = []

    def add_rows(kind: str, measured: Candidates, paths: Sequence[str]) -> None:
        reference, functional_rate = None, None
        for path in paths:
            say(f"{task_name}: {path}, {len(measured)} {kind}, {repeats} repeats")
            objective = tasks[path].next_objective()
            losses = objective.losses(measured)
            reference = losses if reference is None else reference
            rate = len(measured) / _median_seconds(partial(objective.losses, measured), repeats)
            functional_rate = functional_rate or rate
            rows.append({"task": task_name, "kind": kind, "path": path, "candidates": len(measured), "rate": round(rate),
                         "ratio": rate / functional_rate,
                         "difference": float((losses - reference).abs().max())})  # fmt: skip

    add_rows("particles", subset, PATHS)
    add_rows("published", whole_particles(other.ask(0.0), PUBLISHED_PARTICLES), ("functional", "fused"))
    mirrored = mirrored_noise(candidates.base, DENSE)
    add_rows("dense", DenseCandidates(mirrored.dense(slice(0, DENSE))), ("functional", "fused"))
    add_rows("mirrored", mirrored, ("functional", "fused"))
    low_rank = LowRankCandidates(candidates.base, task.layout, mirrored.seeds, mirrored.scale)
    add_rows("low rank, mirrored", low_rank, ("functional", "fused"))
    optimizer.tell(task.next_objective().losses(candidates))
    seconds = _median_seconds(lambda: optimizer.step(task.next_objective(), 0.0), 10 * repeats)
    rate = round(len(candidates) / seconds)
    rows.append(
        {"task": task_name, "kind": "training step", "path": "fused", "candidates": len(candidates), "rate": rate}
    )
    return rows


def _median_seconds(action: Callable[[], object], repeats: int) -> float:
    seconds: list[float] = []
    while len(seconds) < repeats and sum(seconds) < SECONDS:
        started = time.perf_counter()
        action()
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds)


def _table(rows: list[Row], options: argparse.Namespace) -> Table:
    columns = (
        text_column("task", "Task"),
        text_column("kind", "Candidates"),
        *PATH_COLUMNS,
    )
    notes = (
        "Dense and mirrored candidates move all parameters; mirrored ones share a noise vector by pairs. Those of low rank "
        "move every matrix by one of rank 1.",
        f"Medians of {options.repeats} evaluations (ten times as many training steps) or as many as {SECONDS:.0f} seconds "
        f"allow, batch {options.batch_size}, {torch.get_num_threads()} threads, compilation excluded.",
        "Published candidates are those of study=first: a particle moves along fixed directions of a whole layer.",
        THRESHOLDS,
    )
    return Table("speed", "Candidates per second", columns, rows, notes)


if __name__ == "__main__":
    sys.exit(guarded(main))
