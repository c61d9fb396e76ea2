"""What is wrong with records that are well formed: numbers that contradict each other, code that nobody can look up."""

import math
import re
import subprocess
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

from polystep.records.identity import cell_id, run_id, settings_id
from polystep.records.record import STEP_CLOCKS, RunRecord

CLOCK_TOLERANCE = 1e-3
"""Relative difference between the sum of the clocks and the wall time that rounding may leave."""

SHARE_TOLERANCE = 1e-3
"""Difference of used shares of a budget that rounding of clocks may leave."""

_TUNED = ("configs/settings/equal_seconds/", "configs/settings/equal_evaluations/")


def faults(record: RunRecord, repository: Path | None = None) -> Iterator[str]:
    """A sentence for every way in which `record` is no evidence.

    repository: where its commit must be in the history; None: any commit is believed.
    """
    for name, expected in (
        ("settings_id", settings_id(record.specification)),
        ("cell_id", cell_id(record.specification)),
        ("run_id", run_id(record.specification, record.data, record.context)),
    ):
        if getattr(record, name) != expected:
            yield f"{name} is {getattr(record, name)}, but its specification, data and machine give {expected}"
    if not names_a_file(record.name) or not names_a_file(record.study["name"]):
        yield f"name {record.name!r} or study {record.study['name']!r} cannot be the name of a folder"
    if record.seed != record.specification["seed"]:
        yield f"seed is {record.seed}, in its specification {record.specification['seed']}"
    for name in ("edition", "protocol"):
        if record.study[name] != record.specification[name]:
            yield f"{name} is {record.study[name]}, in its specification {record.specification[name]}"
    yield from _code(record, repository)
    yield from _time(record)
    yield from _budget(record)
    if record.status == "finished":
        yield from _scores(record)


def changed_files(record: RunRecord, kind: str) -> list[str]:
    """The files, "modified" or "untracked", in which what ran may have differed from its commit.

    Without settings that `scripts.tune` writes for other studies, perhaps while trials run; no study builds on those.
    """
    own = f"configs/settings/{record.study['name']}/"
    files = record.context[kind] or ()
    return [file for file in files if not file.startswith(_TUNED) or file.startswith(own)]


def names_a_file(name: str) -> bool:
    """Whether a name from a record can be that of a file: it leads to no other folder."""
    return re.fullmatch(r"[^\W_][^/\\:\0\n]*", name) is not None


def duplicates(records: Iterable[tuple[str, RunRecord]]) -> Iterator[str]:
    """A sentence for every run that is at several places, given as pairs of place and record."""
    places: dict[str, list[str]] = {}
    for place, record in records:
        places.setdefault(record.run_id, []).append(place)
    for run, found in places.items():
        if len(found) > 1:
            yield f"run {run} is in {' and in '.join(found)}; keep one of them"


def _code(record: RunRecord, repository: Path | None) -> Iterator[str]:
    commit = record.context["commit"]
    if commit is None:
        yield "the commit of its code is not known"
    elif repository is not None and not _in_history(repository, commit):
        yield f"commit {commit[:12]} of its code is not in the history of {repository.resolve().name}"
    if record.context["modified"] is None:
        yield "it is not known whether its code was modified"
    for kind in ("modified", "untracked"):
        if files := changed_files(record, kind):
            yield f"{kind} files when it ran: {', '.join(files[:5])}{' and more' * (len(files) > 5)}"


@cache
def _in_history(repository: Path, commit: str) -> bool:
    command = ["git", "-C", str(repository), "merge-base", "--is-ancestor", commit, "HEAD"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def _time(record: RunRecord) -> Iterator[str]:
    total = sum(record.clocks.values())
    if not math.isclose(total, record.wall_seconds, rel_tol=CLOCK_TOLERANCE, abs_tol=CLOCK_TOLERANCE):
        yield f"its clocks sum to {total:.3f} s, its wall time is {record.wall_seconds:.3f} s"
    started, ended = (datetime.fromisoformat(text) for text in (record.started, record.ended))
    if ended < started:
        yield f"it ended {record.ended}, before it started, {record.started}"
    for name in ("step", "seconds", *record.counters):
        column = [value for value in record.history.get(name, []) if value is not None]
        if wrong := [value for value in column if not isinstance(value, int | float)]:
            yield f"{name} of its history holds {wrong[0]!r}"
            continue
        falls = [index for index in range(1, len(column)) if column[index] < column[index - 1]]
        if falls:
            yield f"{name} of its history falls from {column[falls[0] - 1]} to {column[falls[0]]}"


def _budget(record: RunRecord) -> Iterator[str]:
    seconds = sum(record.clocks[clock] for clock in STEP_CLOCKS)
    spent = {**record.counters, "seconds": seconds}
    limits = {name: limit for name, limit in record.specification["budget"].items() if name in spent and limit}
    share = max((spent[name] / limit for name, limit in limits.items()), default=0.0)
    told = record.used_share
    if told is None or not math.isclose(min(share, 1.0), min(told, 1.0), abs_tol=SHARE_TOLERANCE):
        yield f"used_share is {told}, its counters and clocks give {share:.4f}"
    if record.status == "finished" and record.ended_by == "budget" and share < 1 - SHARE_TOLERANCE:
        yield f"it ended by its budget, of which it used {share:.4f}"


def _scores(record: RunRecord) -> Iterator[str]:
    if not record.scores:
        yield "it is finished and has no scores"
        return
    steps, validations = record.history.get("step", []), record.history.get("validation", [])
    if not validations:
        yield "its history holds no validation"
        return
    if len(steps) != len(validations) or not all(isinstance(step, int) for step in steps):
        yield "its history does not tell the step of every validation"
        return
    best: Callable[[list[float]], float] = max if record.metric["direction"] == "maximize" else min
    known = [float(value) for value in validations if value is not None]
    selected = record.scores["validation_selected"]
    step, score = record.scores["selected_step"], record.scores["test_selected"]
    there = [value for at, value in zip(steps, validations, strict=True) if at == step]
    if known and not _equal(selected, best(known)):
        yield f"validation_selected is {selected}, the best validation of its history is {best(known)}"
    elif not there:
        yield f"selected_step {step} is no step of its history"
    elif known and not any(_equal(value, selected) for value in there):
        yield f"validation_selected is {selected}, at its selected_step {step} its history has {there[0]}"
    if steps[-1] > record.counters["steps"]:
        yield f"its history ends at step {steps[-1]}, its counter at {record.counters['steps']}"
    if step == record.counters["steps"] and not _equal(score, record.scores["test_last"]):
        yield f"its last step was selected, but test_selected is {score}, test_last {record.scores['test_last']}"


def _equal(one: Any, other: Any) -> bool:
    """Whether scores are the same but for rounding."""
    return one == other or (None not in (one, other) and math.isclose(float(one), float(other), rel_tol=1e-6))
