"""Which runs may speak about a condition, from the table of runs alone."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas

from polystep.report.claims.statements import Score
from polystep.report.one_run import EQUAL, LENT, Run, budget_fault, context_of, lent, sees_units, uses_gradients
from polystep.report.text import finite

OWN_BUDGETS = {("revised", protocol) for protocol in LENT}
"""Editions that set the budgets of an axis themselves: runs with other budgets say nothing about their claims."""


class Evidence:
    """The finished runs of a table, by task, axis and the edition whose settings they have."""

    def __init__(self, runs: pandas.DataFrame) -> None:
        self._runs: dict[tuple[str, str, str], list[Run]] = {}
        rows: list[Run] = runs.sort_values("ended").to_dict("records") if len(runs) else []
        for row in rows:
            if row["status"] == "finished":
                edition = row["edition"] if isinstance(row["edition"], str) else ""
                for seen in (row, *lent(row)):
                    self._runs.setdefault((row["task"], seen["protocol"], edition), []).append(seen)

    def runs(self, task: str, axis: str, edition: str) -> list[Run]:
        """Finished runs on a task under an axis, the one that ended last at the end; those with settings of no edition where
        there are none with this edition's, unless it has budgets of its own.
        """
        found = self._runs.get((task, axis, edition), [])
        return found if found or (edition, axis) in OWN_BUDGETS else self._runs.get((task, axis, ""), [])

    def rivals(self, score: Score, axis: str, edition: str) -> list[str]:
        """Other methods that have complete runs on the task of a score, without gradients or a look at single units.

        Other settings of the same method, which have a name of their own, are no rivals of it.
        """
        runs = self.runs(score.task, score.axis or axis, edition)
        own = {run["method"] for run in runs if run["optimizer"] == score.method}
        rivals = {run["optimizer"] for run in runs if not (uses_gradients(run) or sees_units(run) or fault(run))}
        return sorted(rivals - {run["optimizer"] for run in runs if run["method"] in own})


@dataclass(frozen=True)
class Measured:
    """The values of a score by seed, or why there are none.

    problem: empty where every seed has a value. note: what a reader should know although there are values. runs: those that the
    values come from, one per seed, else all with these names, complete or not.
    """

    values: Mapping[int, float]
    problem: str
    note: str
    runs: Sequence[Run]


def measure(runs: Sequence[Run], score: Score, axis: str, seeds: Sequence[int]) -> Measured:
    """The score for every one of `seeds`, if complete ones of `runs`, sorted by their end, exist for all of them.

    Of several settings those of the run that ended last count, and so does the last of several runs of a seed that has what the
    score asks for: not every run looks at the test set while training.
    """
    found = [run for run in runs if run["optimizer"] == score.method and _matches(run, score.where)]
    if not found:
        return Measured({}, f"no finished run of {score}, {axis}", "", [])
    faults = [fault(run, score.where) for run in found]
    complete = [run for run, why in zip(found, faults, strict=True) if not why]
    counted = Counter(filter(None, faults)).items()
    left_out = ", ".join(f"{why} ({number} run{'s' if number > 1 else ''})" for why, number in counted)
    if not complete:
        return Measured({}, f"{score}, {axis}: no complete run; left out: {left_out}", "", found)
    cells = len({run["cell_id"] for run in complete})
    note = f"{score}: the latest of {cells} settings counts" if cells > 1 else ""
    settings = [run for run in complete if run["cell_id"] == complete[-1]["cell_id"]]
    last = {run["seed"]: run for run in settings if score.step is None or score.step in run["test_curve"]}
    values = {seed: _value(last[seed], score) for seed in seeds if seed in last}
    known = {seed: value for seed, value in values.items() if math.isfinite(value)}
    if len(known) == len(seeds):
        return Measured(known, "", note, [last[seed] for seed in seeds])
    problem = f"{score}, {axis}: complete runs of {len(known)} of {len(seeds)} seeds"
    others = [note, f"left out: {left_out}" if left_out else ""]
    return Measured({}, "; ".join(filter(None, [problem, *others])), "", found)


def fault(run: Run, where: Iterable[str] = ()) -> str:
    """Why a finished run is not complete; empty where it is."""
    if changed := [name for name in run["altered"] if not _is_named(name.partition("=")[0], where)]:
        return f"altered {', '.join(changed)}"
    if run["clean"] is not True or not isinstance(run["commit"], str) or not run["commit"]:
        return "code of no known commit"
    return budget_fault(run)


def incomparable(runs: Sequence[Run], axis: str = "") -> str:
    """Why runs cannot be compared although each is complete; empty where they can.

    One set of data per task over methods and seeds; one metric; under an equal axis one limit per task, and one context where
    it is in seconds.
    """
    for task in {run["task"] for run in runs}:
        members = [run for run in runs if run["task"] == task]
        if len({run["data"] for run in members}) > 1:
            return f"runs on {task} have different data"
        limits = {str(finite(run.get(EQUAL[axis][0]))) for run in members} if axis in EQUAL else set()
        if len(limits) > 1:
            return f"runs on {task} have different limits: {', '.join(sorted(limits))}"
    if len({(run["metric"], run["direction"], run["unit"]) for run in runs}) > 1:
        return "their metrics differ"
    machines = {context_of(run) for run in runs}
    if axis == "equal_seconds" and len(machines) > 1:
        return "seconds of different machines: " + " and ".join(map(str, sorted(machines)))
    return ""


def _is_named(path: str, where: Iterable[str]) -> bool:
    """Whether a setting is one of those in `where`, or belongs to a component that is."""
    return any(path == name or (name.endswith(".component") and path.startswith(name[:-9])) for name in where)


def _matches(run: Run, where: Mapping[str, Any]) -> bool:
    return all(
        path in run and run[path] in (value if isinstance(value, list) else [value]) for path, value in where.items()
    )


def _value(run: Run, score: Score) -> float:
    value = run[score.metric] if score.step is None else run["test_curve"].get(score.step)
    return math.nan if value is None else float(value)
