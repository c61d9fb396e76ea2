"""Published results, for comparison only: what arXiv 2605.01928 and its released result files report.

`published_data/README.md` gives the source and the meaning of every column. Methods go by this project's optimiser labels.
"""

import csv
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from pandas import DataFrame

DATA_FOLDER = Path(__file__).with_name("published_data")

_METHOD_KEYS = {"cma_es": "cmaes", "walksat": "sls"}
# The evaluation counts of these are training samples, not candidates.
_GRADIENT_METHODS = {"adam"}
# Published Adam trained smooth substitutes of these networks: tasks of their own here, and nothing that Adam on the hard
# network could be compared with.
_SUBSTITUTED_FOR_ADAM = ("snn", "int8", "argmax", "staircase")
_ADAM_TASKS = {task: None for task in _SUBSTITUTED_FOR_ADAM} | {
    f"{task}_smooth": task for task in _SUBSTITUTED_FOR_ADAM
}


class PublishedScore(NamedTuple):
    """Mean and population standard deviation over `n_seeds` seeds, in the unit of the metric (accuracies: fraction)."""

    mean: float
    std: float
    n_seeds: int


class PublishedCost(NamedTuple):
    """Steps and wall seconds of one run, seconds of one of its steps on `hardware`, and candidates per step.

    None where the files do not tell.
    """

    steps: float | None
    seconds: float | None
    seconds_per_step: float | None
    candidates_per_step: float | None
    hardware: str


def published_score(task: str, method: str, metric: str) -> PublishedScore | None:
    """The published value of one metric of results.csv; None where the file has no such row."""
    row = _results().get(_key(task, method), {}).get(metric)
    return PublishedScore(float(row["mean"]), float(row["std"]), int(row["n_seeds"])) if row else None


def published_best_accuracy(task: str, method: str) -> PublishedScore | None:
    """The published headline accuracy: the best of all looks at the test set, hence optimistic; a fraction."""
    return published_score(task, method, "best_accuracy")


def published_last_accuracy(task: str, method: str) -> PublishedScore | None:
    """The published test accuracy of the last model; a fraction.

    The last epoch of the logs where they are known, because `final_accuracy` is sometimes that of the restored best model.
    """
    from_logs = published_score(task, method, "derived_last_epoch_test_accuracy")
    return from_logs or published_score(task, method, "final_accuracy")


def published_scores_at(task: str, method: str, step: int) -> dict[int, float]:
    """The published test accuracies at one step, by seed; empty where no curve has this step. Fractions."""
    rows = _curves()
    file_task, file_method = _key(task, method)
    rows = rows[(rows["task"] == file_task) & (rows["method"] == file_method) & (rows["step"] == step)]
    return {int(row.seed): float(row.test_accuracy) for row in rows.itertuples()}


def published_number(task: str, method: str, name: str) -> float | None:
    """The mean of a metric of results.csv, or one of its columns of costs; None where the file has no such thing."""
    metrics = _results().get(_key(task, method), {})
    if name in metrics:
        return float(metrics[name]["mean"])
    row = next(iter(metrics.values()), {})
    return float(row[name]) if name.endswith("_mean") and name in row else None


def published_cost(task: str, method: str) -> PublishedCost | None:
    """What one published run cost on average over its seeds; None where nothing is published."""
    metrics = _results().get(_key(task, method))
    if not metrics:
        return None
    # Cost columns describe the run, so they are the same in the rows of all its metrics.
    row = next(iter(metrics.values()))
    seconds, evaluations, steps = (
        float(row[column]) for column in ("wall_seconds_mean", "function_evals_mean", "total_steps_mean")
    )
    counts_candidates = row["group"] != "ablation" and method not in _GRADIENT_METHODS
    return PublishedCost(
        # A zero in these columns means that the run did not record them.
        steps=steps or None,
        seconds=seconds or None,
        seconds_per_step=seconds / steps if seconds and steps else None,
        candidates_per_step=evaluations / steps if counts_candidates and evaluations and steps else None,
        hardware=row["hardware"].partition("/")[0],
    )


@cache
def published_curve(task: str, method: str) -> "DataFrame | None":
    """The published learning curve, one row per step (the index), not to be changed; None where no curve is published.

    Columns: mean and std (population) of the test accuracy over n_seeds seeds, seconds (mean wall time) and end_of_epoch
    (False for the marks at every 20th step up to 400).
    """
    import pandas

    rows = _curves()
    file_task, file_method = _key(task, method)
    rows = rows[(rows["task"] == file_task) & (rows["method"] == file_method)]
    if rows.empty:
        return None
    steps = rows.groupby("step")
    return pandas.DataFrame(
        {
            "mean": steps["test_accuracy"].mean(),
            "std": steps["test_accuracy"].std(ddof=0),
            "n_seeds": steps["seed"].nunique(),
            "seconds": steps["wall_time"].mean(),
            "end_of_epoch": steps["epoch"].count() > 0,
        }
    )


def _key(task: str, method: str) -> tuple[str | None, str]:
    """What the files call this task and method; None for the task where they have nothing comparable."""
    return _ADAM_TASKS.get(task, task) if method == "adam" else task, _METHOD_KEYS.get(method, method)


@cache
def _curves() -> "DataFrame":
    """Rows of learning_curves.csv; not to be changed."""
    import pandas

    return pandas.read_csv(DATA_FOLDER / "learning_curves.csv")


@cache
def _results() -> dict[tuple[str | None, str], dict[str, dict[str, str]]]:
    """Rows of results.csv by (task, method), then by metric."""
    found: dict[tuple[str | None, str], dict[str, dict[str, str]]] = {}
    with (DATA_FOLDER / "results.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            found.setdefault((row["task"], row["method"]), {})[row["metric"]] = row
    return found
