"""Every condition of every statement judged by the table of runs, and one verdict per statement, edition and axis."""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pandas

from polystep.report.claims.evidence import (
    CONTEXT,
    Measured,
    contexts,
    incomparable,
    measure,
    other_rivals,
    uses_gradients,
)
from polystep.report.claims.intervals import NEAR_BEST, against_bounds, interval
from polystep.report.claims.statements import FILES, Condition, Statement
from polystep.report.published import published_curve

HOLDS, FAILS, UNDECIDED, NOT_RUN = "holds", "does not hold", "undecided", "not run"
OWN, COMMITTED = "own", "committed"
UNKNOWN = (-math.inf, math.inf)
_VERDICTS = {1: HOLDS, -1: FAILS, 0: UNDECIDED}


def judge(runs: pandas.DataFrame, statements: Sequence[Statement]) -> pandas.DataFrame:
    """One row per condition and axis.

    claim (id), statement, edition, axis, condition (text), published, value, low, high (95 % interval), bound_low, bound_high,
    difference (whether the value is one), unit, better_known (the score cannot go further: the interval is one-sided), seeds,
    verdict, reason (why undecided, or what to know), run_ids, source (own, committed or mixed, by the runs' column `origin`).
    """
    rows = []
    for statement in statements:
        for axis in statement.axes:
            for condition in _with_other_rivals(statement, axis, runs):
                found = _by_files if condition.files else _by_runs
                rows.append(_description(statement, axis, condition) | found(statement, axis, condition, runs))
    return pandas.DataFrame(rows)


def verdicts(conditions: pandas.DataFrame) -> pandas.DataFrame:
    """One row per claim, edition and axis: the row of the condition that decides, with the verdict over all of them.

    One that fails decides; else one that is open; else the one with the least margin. A claim of which nothing has run is not
    run.
    """
    rows = []
    for _, group in conditions.groupby(["claim", "edition", "axis"], sort=False):
        found = list(group["verdict"])
        verdict = FAILS if FAILS in found else UNDECIDED if {UNDECIDED, NOT_RUN} & set(found) else HOLDS
        if set(found) == {NOT_RUN}:
            verdict = NOT_RUN
        worst = group[group["verdict"] == verdict] if verdict in found else group[group["verdict"] == NOT_RUN]
        row = worst.loc[_margin(worst).idxmin()].to_dict()
        open_ones = group["reason"][group["verdict"].isin([UNDECIDED, NOT_RUN])]
        reasons = [row["reason"]] if verdict in (HOLDS, FAILS) else dict.fromkeys(open_ones)
        sources = set(group["source"]) - {""}
        rows.append(
            row
            | {"verdict": verdict, "reason": "; ".join(reasons)}
            | {"run_ids": tuple(dict.fromkeys(run for ids in group["run_ids"] for run in ids))}
            | {"source": sources.pop() if len(sources) == 1 else "mixed" if sources else ""}
            | {"conditions": len(found), "met": found.count(HOLDS)}
        )
    return pandas.DataFrame(rows)


def judge_own_first(runs: pandas.DataFrame, statements: Sequence[Statement]) -> pandas.DataFrame:
    """As `judge`, each statement and axis by the own runs where they decide it, else by the committed ones.

    `runs` has a column `origin`, own or committed. Where neither decides, the committed ones are shown, unless they are none.
    """
    own, committed = (judge(runs[runs["origin"] == origin], statements) for origin in (OWN, COMMITTED))
    decided = verdicts(own).set_index(["claim", "axis"])["verdict"]
    stored = verdicts(committed).set_index(["claim", "axis"])["verdict"]
    chosen = [
        (own if verdict in (HOLDS, FAILS) or (stored[key] == NOT_RUN and verdict != NOT_RUN) else committed, key)
        for key, verdict in decided.items()
    ]
    parts = [table[(table["claim"] == claim) & (table["axis"] == axis)] for table, (claim, axis) in chosen]
    return pandas.concat(parts, ignore_index=True)


def _with_other_rivals(statement: Statement, axis: str, runs: pandas.DataFrame) -> list[Condition]:
    """The conditions, with one more for every rival without gradients that has run and is not named."""
    found = list(statement.conditions)
    for score in dict.fromkeys(condition.score.task for condition in found if condition.rivals):
        like = [condition for condition in found if condition.rivals and condition.score.task == score]
        named = [condition.minus.method for condition in like if condition.minus]
        for method in other_rivals(runs, like[0].score, axis, statement.edition, named):
            assert like[0].minus is not None
            found.append(replace(like[0], minus=replace(like[0].minus, method=method)))
    return found


def _description(statement: Statement, axis: str, condition: Condition) -> dict[str, Any]:
    low, high = condition.bounds
    reported = condition.score.published_value(statement.edition, axis)
    return {
        "claim": statement.id,
        "statement": statement.text,
        "edition": statement.edition,
        "axis": FILES if condition.files else axis,
        "condition": str(condition),
        "published": _published_value(statement, axis, condition),
        "unit": reported.unit if reported else "",
        "bound_low": low,
        "bound_high": high,
        "difference": condition.compares,
        "seeds": statement.seeds,
    }


def _outcome(verdict: str, reason: str = "", runs: pandas.DataFrame | None = None, **values: Any) -> dict[str, Any]:
    ids = () if runs is None else tuple(runs["run_id"])
    origins = set() if runs is None or "origin" not in runs else set(runs["origin"])
    source = origins.pop() if len(origins) == 1 else "mixed" if origins else ""
    empty = {"value": math.nan, "low": math.nan, "high": math.nan, "better_known": False}
    return empty | {"verdict": verdict, "reason": reason, "run_ids": ids, "source": source} | values


def _by_files(statement: Statement, axis: str, condition: Condition, runs: pandas.DataFrame) -> dict[str, Any]:
    """A condition on published numbers: they are what was published, so nothing is uncertain."""
    value = _published_value(statement, axis, condition)
    if value is None:
        return _outcome(NOT_RUN, f"{condition}: not published")
    low, high = condition.bounds
    return _outcome(HOLDS if low <= value <= high else FAILS, value=value)


def _by_runs(statement: Statement, axis: str, condition: Condition, runs: pandas.DataFrame) -> dict[str, Any]:
    sides = _sides(statement, axis, condition, runs)
    behind = pandas.concat([side.runs for side in sides])
    if problems := [side.problem for side in sides if side.problem]:
        touched = any(side.touched for side in sides)
        return _outcome(UNDECIDED if touched else NOT_RUN, "; ".join(dict.fromkeys(problems)), behind)
    if condition.rivals and any(uses_gradients(run) for run in sides[1].runs.to_dict("records")):
        return _outcome(UNDECIDED, f"{condition.minus} uses gradients", behind)
    if condition.minus_published and set(statement.seeds) - set(_published_by_seed(condition, statement.edition)):
        return _outcome(UNDECIDED, f"{condition}: not published for all of these seeds", behind)
    if problem := incomparable([side.runs for side in sides], axis):
        return _outcome(UNDECIDED, f"{condition}: {problem}", behind)
    first = behind.iloc[0]
    values, saturated, feasible = _values(condition, sides, statement.edition)
    ends = interval(values, saturated, feasible)
    verdict = _VERDICTS[int(against_bounds(ends, condition.bounds, feasible))]
    notes = [side.note for side in sides if side.note]
    if verdict == UNDECIDED:
        narrow = f"{condition}: the interval contains the bound"
        few = f"{condition}: saturated scores, which the exact rule decides from six seeds on"
        notes.insert(0, narrow if all(math.isfinite(float(end)) for end in ends) else few)
    mean = math.fsum(values) / len(values)
    limits = [math.nan if not math.isfinite(end) else float(end) for end in ends]
    cut = any(math.isclose(float(end), edge) for end, edge in zip(ends, feasible, strict=True))
    shown = {"value": mean, "low": limits[0], "high": limits[1], "unit": first["unit"], "better_known": cut}
    return _outcome(verdict, "; ".join(notes), behind, **shown)


def _sides(statement: Statement, axis: str, condition: Condition, runs: pandas.DataFrame) -> list[Measured]:
    """The score and what it is compared with; in equal seconds, of the latest context that has all of it."""
    scores = [condition.score] + ([condition.minus] if condition.minus else [])

    def measured(among: pandas.DataFrame) -> list[Measured]:
        return [measure(among, score, axis, statement.edition, statement.seeds) for score in scores]

    if axis == "equal_seconds":
        tasks, methods = [score.task for score in scores], [score.method for score in scores]
        relevant = runs[(runs["protocol"] == axis) & runs["task"].isin(tasks) & runs["optimizer"].isin(methods)]
        for context in contexts(relevant) if len(relevant) else []:
            same = (runs[list(CONTEXT)] == list(context)).all(axis=1) | (runs["protocol"] != axis)
            found = measured(runs[same])
            if not any(side.problem for side in found):
                return found
    return measured(runs)


def _values(
    condition: Condition, sides: Sequence[Measured], edition: str
) -> tuple[list[float], bool, tuple[float, float]]:
    """Values by seed, whether any score is at its best possible value, and the range that the true mean cannot leave.

    That range is known of a score, and of its difference to published numbers, but not of two measured scores.
    """
    first = sides[0].runs.iloc[0]
    sign, best = -1 if first["direction"] == "minimize" else 1, first["best"]
    saturated = any(_at_best(value, side.runs.iloc[0]["best"]) for side in sides for value in side.values.values())
    if len(sides) == 2:
        other = sides[1].values
        return [sign * (value - other[seed]) for seed, value in sides[0].values.items()], saturated, UNKNOWN
    edge = math.inf if best is None or pandas.isna(best) else float(best)
    values = list(sides[0].values.values())
    if condition.minus_published:
        known = _published_by_seed(condition, edition)
        values = [sign * (value - known[seed]) for seed, value in sides[0].values.items()]
        edge, sign = abs(edge - math.fsum(known[seed] for seed in sides[0].values) / len(values)), 1
    return values, saturated, (-math.inf, edge) if sign > 0 else (edge if math.isfinite(edge) else -math.inf, math.inf)


def _at_best(value: float, best: float | None) -> bool:
    return best is not None and not pandas.isna(best) and abs(value - best) <= NEAR_BEST * abs(best)


def _published_by_seed(condition: Condition, edition: str) -> dict[int, float]:
    curve = published_curve(edition, condition.score.task, condition.score.method)
    marks = curve[curve["step"] == condition.score.step]
    return dict(zip(map(int, marks["seed"]), map(float, marks["test"]), strict=True))


def _published_value(statement: Statement, axis: str, condition: Condition) -> float | None:
    found = condition.score.published_value(statement.edition, axis)
    if found is None or condition.minus is None:
        return None if found is None or condition.minus_published else found.mean
    other = condition.minus.published_value(statement.edition, axis)
    sign = -1 if found.direction == "minimize" else 1
    return None if other is None else sign * (found.mean - other.mean)


def _margin(rows: pandas.DataFrame) -> "pandas.Series[float]":
    """Distance of the value to the closer bound, negative outside; infinite where nothing is known."""
    distances = pandas.concat([rows["value"] - rows["bound_low"], rows["bound_high"] - rows["value"]], axis=1)
    return distances.min(axis=1).fillna(math.inf)
