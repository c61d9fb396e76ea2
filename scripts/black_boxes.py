"""Optimisers on Rosenbrock's function, equal evaluations:  python -m scripts.black_boxes

`polystep.minimize` beside other implementations, those that are there: pycma; evosax (extra crosscheck); the author's package,
which shares our import name, in a folder of its own, from  pip install --no-deps --target FOLDER polystep==1.1.0
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any

import cma
import numpy as np
from numpy.typing import NDArray

from baselines.cma_es import CMAES
from baselines.openai_es import OpenAIES
from polystep.black_box import minimize
from polystep.contracts import ExpectedError
from polystep.factories import Factory
from polystep.files import write_text
from polystep.report.table import Row, Table, number_column, text_column, to_markdown, write_table
from scripts.console import RESULTS, explain, guarded, positive_count, say

DIMENSIONS = 20
STEP = 0.5
"""First standard deviation of the implementations of CMA-ES."""
SOLVED = 1e-8
AUTHORS_PROGRAM = """
import json, sys
sys.path.insert(0, sys.argv[1])
import torch
from polystep.ask_tell import PolyStepES
found = []
for seed, start in enumerate(json.loads(sys.argv[3])):
    start = torch.tensor(start, dtype=torch.float64)
    search = PolyStepES(len(start), x0=start, seed=seed, dtype=torch.float64)
    for _ in range(int(sys.argv[2]) // search.popsize):
        x = search.ask()
        search.tell((100 * (x[:, 1:] - x[:, :-1] ** 2) ** 2 + (1 - x[:, :-1]) ** 2).sum(1))
    found.append(search.best_fitness)
print(json.dumps(found))
"""
Array = NDArray[np.float64]


def main(arguments: Sequence[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(
        prog="python -m scripts.black_boxes", description="Compare searches of black boxes."
    )
    parser.add_argument(
        "--budget", type=positive_count, default=20_000, help="evaluations of each search (default: %(default)s)"
    )
    parser.add_argument(
        "--seeds", type=positive_count, default=10, help="searches of each method (default: %(default)s)"
    )
    parser.add_argument(
        "--authors-package", type=Path, metavar="FOLDER", help="where polystep 1.1.0 is installed alone"
    )
    parser.add_argument("--output", type=Path, default=RESULTS / "tables", help="folder (default: %(default)s)")
    options = parser.parse_args(arguments)
    starts = [np.random.default_rng(seed).uniform(-2, 2, DIMENSIONS) for seed in range(options.seeds)]
    rows: list[Row] = []
    try:
        if options.budget < 100:
            raise ExpectedError(f"--budget={options.budget} is too small; give at least 100")
        for title, values in _searches(starts, options.budget, options.authors_package):
            say(f"{title}: {median(values):.2g} in the median")
            solved = sum(value < SOLVED for value in values)
            rows.append({"method": title, "median": median(values), "highest": max(values), "solved": solved})
        table = _table(rows, options)
        write_table(table, options.output)
        write_text(options.output / f"{table.name}.md", to_markdown(table))
    except ExpectedError as error:
        return explain(error)
    say(to_markdown(table))
    return 0


def rosenbrock(x: Array) -> Any:
    """Sum over i of 100 (x_i+1 - x_i^2)^2 + (1 - x_i)^2, of points (..., D)."""
    return (100 * (x[..., 1:] - x[..., :-1] ** 2) ** 2 + (1 - x[..., :-1]) ** 2).sum(-1)


def _searches(starts: Sequence[Array], budget: int, authors: Path | None) -> Iterator[tuple[str, list[float]]]:
    """Every method with the lowest value of each search."""
    methods: dict[str, Callable[[Array, int, int], float]] = {
        "polystep.minimize": partial(_ours, "polystep"),
        "CMA-ES, baselines.cma_es": partial(_ours, partial(CMAES, sigma=STEP)),
        "OpenAI-ES, baselines.openai_es, population 20, sigma 0.1, rate 0.05": partial(
            _ours, partial(OpenAIES, population=20, sigma=0.1, learning_rate=0.05)
        ),
        "CMA-ES, pycma itself": _pycma,
    }
    if find_spec("evosax"):
        methods["CMA-ES, evosax"] = _evosax
    for title, search in methods.items():
        yield title, [search(start, budget, seed) for seed, start in enumerate(starts)]
    if authors is not None:
        yield "PolyStep, the author's package 1.1.0, ask and tell", _authors(authors, starts, budget)


def _ours(optimizer: str | Factory, start: Array, budget: int, seed: int) -> float:
    return minimize(rosenbrock, start, optimizer, budget=budget, seed=seed, batch=True).fun


def _pycma(start: Array, budget: int, seed: int) -> float:
    options = {"seed": seed + 1, "maxfevals": budget, "verbose": -9}
    return float(cma.fmin2(rosenbrock, start, STEP, options)[1].result.fbest)


def _evosax(start: Array, budget: int, seed: int) -> float:
    import jax
    from evosax.algorithms import CMA_ES

    population = 4 + int(3 * np.log(len(start)))
    with jax.enable_x64(True):
        search = CMA_ES(population, jax.numpy.zeros(len(start)))
        settings = search.default_params.replace(std_init=STEP)
        key, lowest = jax.random.key(seed), float("inf")
        state = search.init(key, jax.numpy.asarray(start), settings)
        ask, tell = jax.jit(search.ask), jax.jit(search.tell)
        for _ in range(budget // population):
            key, first, second = jax.random.split(key, 3)
            points, state = ask(first, state, settings)
            values = rosenbrock(np.asarray(points))
            state, _ = tell(second, points, jax.numpy.asarray(values), state, settings)
            lowest = min(lowest, float(values.min()))
    return lowest


def _authors(folder: Path, starts: Sequence[Array], budget: int) -> list[float]:
    given = json.dumps([start.tolist() for start in starts])
    command = [sys.executable, "-c", AUTHORS_PROGRAM, str(folder), str(budget), given]
    ended = subprocess.run(
        command, cwd=folder if folder.is_dir() else None, capture_output=True, text=True, check=False
    )
    if ended.returncode:
        reason = (ended.stderr.strip() or "no message").splitlines()[-1]
        raise ExpectedError(
            f"the author's package cannot be run from {folder} ({reason}); install it there: pip install --no-deps --target "
            f"{folder} polystep==1.1.0"
        )
    return [float(value) for value in json.loads(ended.stdout)]


def _table(rows: Sequence[Row], options: argparse.Namespace) -> Table:
    columns = (
        text_column("method", "Method", 80),
        number_column("median", "Lowest value, median", "difference"),
        number_column("highest", "Highest of them", "difference"),
        number_column("solved", f"Below {SOLVED:g}"),
    )
    notes = (
        f"Rosenbrock's function in {DIMENSIONS} dimensions, {options.budget:,} evaluations, {options.seeds} seeds with starts "
        f"uniform in [-2, 2]. CMA-ES begins with a standard deviation of {STEP}; other settings are defaults unless named.",
        "A search that ends at 3.99 has found the function's other minimum. The radius of the author's ask and tell stays at "
        "0.5, so it cannot come nearer.",
    )
    return Table("rosenbrock", "Rosenbrock's function", columns, rows, notes)


if __name__ == "__main__":
    sys.exit(guarded(main))
