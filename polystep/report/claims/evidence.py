"""Which runs may speak about a condition, from the table of runs alone."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas

from polystep.report.claims.statements import PUBLISHED, Score

ENOUGH = 0.99
"""The share of its budget that a complete run has used; the last step may end a little earlier than the budget."""

EQUAL = {
    "equal_seconds": ("budget.seconds", "step_seconds"),
    "equal_evaluations": ("budget.candidate_evaluations", "candidate_evaluations"),
    "equal_steps": ("budget.steps", "steps"),
}
"""What is the same for all methods under an axis: the limit, and what is spent of it."""

CONTEXT = ("processor", "threads", "device")
"""What must be the same where seconds are compared."""


@dataclass(frozen=True)
class Measured:
    """The values of a score by seed, or why there are none.

    problem: empty where every seed has a value. note: what a reader should know although there are values. touched: whether any
    run has the names, complete or not. runs: rows of the table, one per seed, where the values come from, else all found.
    """

    values: Mapping[int, float]
    problem: str
    note: str
    touched: bool
    runs: pandas.DataFrame


def runs_of(runs: pandas.DataFrame, task: str, axis: str, edition: str) -> pandas.DataFrame:
    """Finished runs on a task under an axis; under `published`, those with the settings of the edition."""
    found = (runs["task"] == task) & (runs["protocol"] == axis) & (runs["status"] == "finished")
    return runs[found & (runs["edition"] == edition) if axis == PUBLISHED else found]


def measure(runs: pandas.DataFrame, score: Score, axis: str, edition: str, seeds: Sequence[int]) -> Measured:
    """The score for every one of `seeds`, if complete runs of all of them exist.

    Of several settings those of the run that ended last count, and so does the last of several runs of a seed.
    """
    axis = score.axis or axis
    candidates = runs_of(runs, score.task, axis, edition)
    found = candidates[candidates["optimizer"] == score.method]
    for path, value in score.where.items():
        found = found.loc[[cell == value for cell in found[path]]] if path in found else found.iloc[:0]
    if found.empty:
        return Measured({}, f"no finished run of {score}, {axis}", "", False, found)
    faults = pandas.Series([fault(row, axis, score.where) for row in found.to_dict("records")], index=found.index)
    complete = found[faults == ""].sort_values("ended")
    if complete.empty:
        return Measured({}, f"{score}, {axis}: no complete run ({_counts(faults)})", "", True, found)
    cells = complete["cell_id"].nunique()
    last = complete[complete["cell_id"] == complete["cell_id"].iloc[-1]].drop_duplicates("seed", keep="last")
    note = f"{score}: the latest of {cells} settings counts" if cells > 1 else ""
    chosen = last[last["seed"].isin(list(seeds))].sort_values("seed")
    values = {int(row["seed"]): _value(row, score) for row in chosen.to_dict("records")}
    known = {seed: value for seed, value in values.items() if value is not None}
    if len(known) == len(set(seeds)):
        return Measured(known, "", note, True, chosen)
    problem = f"{score}, {axis}: complete runs of {len(known)} of {len(set(seeds))} seeds"
    others = [note] if note else []
    if (faults != "").any():
        others.append(f"left out: {_counts(faults[faults != ''])}")
    return Measured({}, "; ".join([problem, *others]), "", True, found)


def fault(run: Mapping[str, Any], axis: str, where: Iterable[str] = ()) -> str:
    """Why a finished run is not complete; empty where it is."""
    if changed := set(run["altered"]) - set(where):
        return f"altered {', '.join(sorted(changed))}"
    if run["clean"] is not True or not isinstance(run["commit"], str) or not run["commit"]:
        return "code of no known commit"
    limit, spent = EQUAL.get(axis, ("", ""))
    share = run[spent] / run[limit] if limit and run.get(limit) else 0.0 if limit else run["used_share"]
    return "" if share >= ENOUGH else "part of its budget"


def incomparable(sides: Sequence[pandas.DataFrame], axis: str) -> str:
    """Why runs cannot be compared although each is complete; empty where they can.

    One set of data per task over methods and seeds; one metric; under an equal axis one limit per task, and one context where
    it is in seconds.
    """
    runs = pandas.concat(sides)
    for task, members in runs.groupby("task"):
        if members["data"].nunique(dropna=False) > 1:
            return f"runs on {task} have different data"
        limit = EQUAL.get(axis, ("", ""))[0]
        if limit and members[limit].nunique(dropna=False) > 1:
            return f"runs on {task} have different limits: {limit}={', '.join(map(str, members[limit].unique()))}"
    if len(runs[["metric", "direction", "unit"]].drop_duplicates()) > 1:
        return "their metrics differ"
    if axis == "equal_seconds" and len(contexts(runs)) > 1:
        return "seconds of different machines: " + " and ".join(
            ", ".join(f"{name}={value}" for name, value in zip(CONTEXT, context, strict=True))
            for context in contexts(runs)
        )
    return ""


def contexts(runs: pandas.DataFrame) -> list[tuple[Any, ...]]:
    """The contexts of runs, the one with the run that ended last first."""
    latest = runs.sort_values("ended", ascending=False)[list(CONTEXT)].drop_duplicates()
    return list(latest.itertuples(index=False, name=None))


def other_rivals(runs: pandas.DataFrame, score: Score, axis: str, edition: str, named: Iterable[str]) -> list[str]:
    """Methods without gradients that have complete runs on the same task and are not named."""
    found = runs_of(runs, score.task, axis, edition)
    found = found[~found["optimizer"].isin([score.method, *named])]
    rows = found.to_dict("records")
    return sorted({row["optimizer"] for row in rows if not uses_gradients(row) and not fault(row, axis)})


def uses_gradients(run: Mapping[str, Any]) -> bool:
    """Whether a run was seen to ask for gradients of any kind."""
    return any(use.startswith("gradient") for use in run["uses"])


def _value(run: Mapping[str, Any], score: Score) -> float | None:
    value = run[score.metric] if score.step is None else run["test_curve"].get(score.step)
    return None if value is None or pandas.isna(value) else float(value)


def _counts(faults: "pandas.Series[str]") -> str:
    return ", ".join(f"{count} {text}" for text, count in faults.value_counts().items())
