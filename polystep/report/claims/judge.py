"""Every condition of every statement judged by the table of runs, and one verdict per statement, edition and axis."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pandas

from polystep.report.claims.evidence import Evidence, Measured, incomparable, measure
from polystep.report.claims.intervals import ANY, LEVEL, against_bounds, at_best, feasible_range, interval
from polystep.report.claims.statements import FILES, Condition, Score, Statement
from polystep.report.one_run import Run, context_of, sign_of, uses_gradients
from polystep.report.published import published_at_steps
from polystep.report.runs import COMMITTED, OWN
from polystep.report.text import finite

HOLDS, FAILS, UNDECIDED, NOT_RUN = "holds", "does not hold", "undecided", "not run"
_SHOWN_REASONS = 2
_VERDICTS = {1: HOLDS, -1: FAILS, 0: UNDECIDED}


def judge(runs: pandas.DataFrame, statements: Sequence[Statement]) -> pandas.DataFrame:
    """One row per condition and axis.

    claim (id), statement, edition, axis, condition (text), published, value, low, high (95 % interval), bound_low, bound_high,
    difference (whether the value is one), unit, seeds,
    verdict, reason (why undecided, or what to know), run_ids, source (own, committed or mixed, by the runs' column `origin`).
    """
    evidence = Evidence(runs)
    rows = []
    for statement in statements:
        for axis in statement.axes:
            conditions = list(_with_other_rivals(statement, axis, evidence))
            # published numbers are certain
            level = LEVEL / max(1, sum(not condition.files for condition in conditions))
            for condition in conditions:
                row = _description(statement, axis, condition)
                found = _by_files(row) if condition.files else _by_runs(statement, axis, condition, evidence, level)
                rows.append(row | found)
    return pandas.DataFrame(rows)


def verdicts(conditions: pandas.DataFrame) -> pandas.DataFrame:
    """One row per claim, edition and axis: the row of the condition that decides, with the verdict over all of them.

    One that fails decides; else one that is open; else the one with the least margin. Since one of many would fail by chance,
    each fails only at the level of all of them (Bonferroni). A claim of which nothing has run is not run. `conditions` and
    `met` count all of them and those that hold; reason, run_ids and source are those of all.
    """
    rows = []
    for _, group in conditions.groupby(["claim", "edition", "axis"], sort=False):
        found = list(group["verdict"])
        order = [FAILS, UNDECIDED, NOT_RUN, HOLDS]
        worst = next(verdict for verdict in order if verdict in found)
        verdict = UNDECIDED if worst == NOT_RUN and len(set(found)) > 1 else worst
        deciding = group[group["verdict"] == worst]
        row = deciding.loc[_margin(deciding).idxmin()].to_dict()
        rows.append(
            row
            | {"verdict": verdict, "conditions": len(found), "met": found.count(HOLDS)}
            | {"run_ids": tuple(dict.fromkeys(run for ids in group["run_ids"] for run in ids))}
            | {"source": _source(set(group["source"]) - {""})}
        )
        if verdict in (UNDECIDED, NOT_RUN):
            reasons = list(dict.fromkeys(group["reason"][group["verdict"].isin([UNDECIDED, NOT_RUN])]))
            more = [f"and {len(reasons) - _SHOWN_REASONS} more"] if len(reasons) > _SHOWN_REASONS else []
            rows[-1]["reason"] = "; ".join([*reasons[:_SHOWN_REASONS], *more])
    return pandas.DataFrame(rows)


def judge_own_first(runs: pandas.DataFrame, statements: Sequence[Statement]) -> pandas.DataFrame:
    """As `judge`, each statement and axis by the own runs where they decide it, else by the committed ones.

    `runs` has a column `origin`, own or committed. Where neither decides, the committed ones are shown, unless they are none.
    """
    own, committed = (judge(runs[runs["origin"] == origin], statements) for origin in (OWN, COMMITTED))
    ours, theirs = (verdicts(table).set_index(["claim", "axis"])["verdict"] for table in (own, committed))
    parts = []
    for (claim, axis), verdict in ours.items():
        open_there = theirs[claim, axis] == NOT_RUN and verdict != NOT_RUN
        table = own if verdict in (HOLDS, FAILS) or open_there else committed
        parts.append(table[(table["claim"] == claim) & (table["axis"] == axis)])
    return pandas.concat(parts, ignore_index=True)


def _with_other_rivals(statement: Statement, axis: str, evidence: Evidence) -> Iterator[Condition]:
    """The conditions, with one more for every rival without gradients that has run and is not named."""
    yield from statement.conditions
    lists: dict[str, list[Condition]] = {}
    for condition in statement.conditions:
        if condition.rivals:
            lists.setdefault(condition.score.task, []).append(condition)
    for named in lists.values():
        known = {condition.minus.method for condition in named if condition.minus}
        for method in evidence.rivals(named[0].score, axis, statement.edition):
            if method not in known and named[0].minus:
                yield replace(named[0], minus=replace(named[0].minus, method=method))


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


def _outcome(verdict: str, reason: str = "", runs: Sequence[Run] = (), **values: Any) -> dict[str, Any]:
    source = _source({run["origin"] for run in runs if "origin" in run})
    empty = {"value": math.nan, "low": math.nan, "high": math.nan}
    ids = tuple(run["run_id"] for run in runs)
    return empty | {"verdict": verdict, "reason": reason, "run_ids": ids, "source": source} | values


def _source(origins: set[str]) -> str:
    return "mixed" if len(origins) > 1 else next(iter(origins), "")


def _by_files(row: dict[str, Any]) -> dict[str, Any]:
    """A condition on published numbers: they are what was published, so nothing is uncertain."""
    if row["published"] is None:
        return _outcome(NOT_RUN, f"{row['condition']}: not published")
    met = row["bound_low"] <= row["published"] <= row["bound_high"]
    return _outcome(HOLDS if met else FAILS, value=row["published"])


def _by_runs(
    statement: Statement, axis: str, condition: Condition, evidence: Evidence, level_of_failure: float
) -> dict[str, Any]:
    sides = _sides(statement, axis, condition, evidence)
    behind = [run for side in sides for run in side.runs]
    unit = {"unit": behind[0]["unit"]} if behind else {}
    if problems := dict.fromkeys(side.problem for side in sides if side.problem):
        return _outcome(UNDECIDED if behind else NOT_RUN, "; ".join(problems), behind, **unit)
    axes = [score.axis or axis for score in _scores(condition)]
    alike = [
        [run for side, own in zip(sides, axes, strict=True) if own == shared for run in side.runs] for shared in axes
    ]
    faults = [incomparable(behind), *(incomparable(*pair) for pair in zip(alike, axes, strict=True))]
    problem = next(filter(None, faults), "")
    if condition.rivals and any(uses_gradients(run) for run in sides[1].runs):
        problem = f"{condition.minus} uses gradients"
    if condition.minus_published and set(statement.seeds) - _published_by_seed(condition, statement.edition).keys():
        problem = "not published for all of these seeds"
    if problem:
        return _outcome(UNDECIDED, f"{condition}: {problem}", behind, **unit)
    values, saturated, feasible = _values(condition, sides, statement.edition)
    low, high = (float(end) for end in interval(values, saturated, feasible))
    verdict = _VERDICTS[int(against_bounds((low, high), condition.bounds, feasible))]
    notes = [side.note for side in sides if side.note]
    if verdict == FAILS:
        wide = interval(values, saturated, feasible, level_of_failure)
        if against_bounds(wide, condition.bounds, feasible) != -1:
            verdict = UNDECIDED
            notes.insert(
                0, f"{condition}: beyond the bound, but so few seeds may be so by chance among so many conditions"
            )
    elif verdict == UNDECIDED:
        few = "saturated scores, which the exact rule decides from six seeds on"
        why = "the interval contains the bound" if math.isfinite(low) and math.isfinite(high) else few
        notes.insert(0, f"{condition}: {why}")
    return _outcome(
        verdict,
        "; ".join(notes),
        behind,
        value=math.fsum(values) / len(values),
        low=low if math.isfinite(low) else math.nan,
        high=high if math.isfinite(high) else math.nan,
        **unit,
    )


def _scores(condition: Condition) -> list[Score]:
    return [condition.score] + ([condition.minus] if condition.minus else [])


def _sides(statement: Statement, axis: str, condition: Condition, evidence: Evidence) -> list[Measured]:
    """The score and what it is compared with; those in equal seconds, of the latest context that has all of them."""
    scores = _scores(condition)
    axes = [score.axis or axis for score in scores]
    runs = [evidence.runs(score.task, own, statement.edition) for score, own in zip(scores, axes, strict=True)]

    def measured(machine: str | None) -> list[Measured]:
        among = [
            [run for run in members if own != "equal_seconds" or machine in (None, context_of(run))]
            for members, own in zip(runs, axes, strict=True)
        ]
        sides = zip(among, scores, axes, strict=True)
        return [measure(members, score, own, statement.seeds) for members, score, own in sides]

    timed = [run for members, own in zip(runs, axes, strict=True) if own == "equal_seconds" for run in members]
    for machine in dict.fromkeys(map(context_of, sorted(timed, key=lambda run: run["ended"], reverse=True))):
        found = measured(machine)
        if not any(side.problem for side in found):
            return found
    return measured(None)


def _values(
    condition: Condition, sides: Sequence[Measured], edition: str
) -> tuple[list[float], bool, tuple[float, float]]:
    """Values by seed, whether any score is at its best possible value, and the range that the true mean cannot leave.

    That range is known of a score, and of its difference to published numbers, but not of two measured scores.
    """
    first = sides[0].runs[0]
    sign, best = sign_of(first["direction"]), finite(first["best"])
    saturated = any(at_best(value, finite(side.runs[0]["best"])) for side in sides for value in side.values.values())
    scores = sides[0].values
    if not condition.compares:
        return [*scores.values()], saturated, feasible_range(best, sign)
    other = sides[1].values if condition.minus else _published_by_seed(condition, edition)
    values = [sign * (score - other[seed]) for seed, score in scores.items()]
    if condition.minus or best is None:
        return values, saturated, ANY
    room = [sign * (best - other[seed]) for seed in scores]
    return values, saturated, (-math.inf, math.fsum(room) / len(room))


def _published_by_seed(condition: Condition, edition: str) -> Mapping[float, float]:
    score = condition.score
    return published_at_steps(edition, score.task, score.method).get(score.step, {})


def _published_value(statement: Statement, axis: str, condition: Condition) -> float | None:
    found = condition.score.published_value(statement.edition, axis)
    if found is None or condition.minus is None:
        return None if found is None or condition.minus_published else found.mean
    other = condition.minus.published_value(statement.edition, axis)
    return None if other is None else sign_of(found.direction) * (found.mean - other.mean)


def _margin(rows: pandas.DataFrame) -> "pandas.Series[float]":
    """Distance of the value to the closer bound, negative outside; infinite where nothing is known."""
    distances = pandas.concat([rows["value"] - rows["bound_low"], rows["bound_high"] - rows["value"]], axis=1)
    return distances.min(axis=1).fillna(math.inf)
