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
from polystep.records.record import RunRecord

CLOCK_TOLERANCE = 1e-3
"""Relative difference between the sum of the clocks and the wall time that rounding may leave."""

_SECOND = 2.0
"""Times of the day are told to the second."""
SHARE_TOLERANCE, SHARE_OF_SECONDS_TOLERANCE = 1e-3, 0.03
"""Difference between used shares of a budget; clocks go on after the last step."""

_LAST_STEP = 1.5
"""No last step of several is so large a share of a budget, however unequal steps are, that a run ends beyond this one."""

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
    yield from _labels(record, repository)
    yield from _end(record)
    yield from _history(record)
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


def is_clean(record: RunRecord) -> bool | None:
    """Whether the code that ran is that of the record's commit; None where that is not known.

    Records of earlier versions do not tell untracked files, so these may be unknown.
    """
    context = record.context
    if None in (context["commit"], context["modified"], context.get("sources", {})):
        return None
    return not (changed_files(record, "modified") or changed_files(record, "untracked"))


def worth(record: RunRecord) -> tuple[bool, bool, str]:
    """Of two records of a run the one with the larger worth counts: a finished one, then one of clean code, then the later."""
    return record.status == "finished", is_clean(record) is True, record.ended


def names_a_file(name: str) -> bool:
    """Whether a name from a record can be that of a file: it leads to no other folder."""
    return re.fullmatch(r"[^\W_][^/\\:\0\n\ud800-\udfff]{0,199}", name) is not None


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
    if record.context.get("sources", {}) is None:
        yield "it was interrupted, and continued with other code"
    elif commit is None:
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
    try:
        started, ended = (datetime.fromisoformat(text) for text in (record.started, record.ended))
        took = (ended - started).total_seconds()
    except (ValueError, TypeError):
        yield f"started {record.started} and ended {record.ended} are no times"
        return
    if 0 <= took < record.wall_seconds - _SECOND:
        yield f"it took {record.wall_seconds:.1f} s, from {record.started} to {record.ended}"
    if took < 0:
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
    spent = record.spent
    limits = record.specification["budget"]
    if not isinstance(limits, dict) or not all(
        isinstance(limit, int | float) and limit > 0 for limit in limits.values()
    ):
        yield f"its budget {limits!r} does not consist of numbers above 0"
        return
    shares = {name: spent[name] / limit for name, limit in limits.items() if name in spent}
    share = max(shares.values(), default=0.0)
    told, tolerance = record.used_share, SHARE_OF_SECONDS_TOLERANCE if "seconds" in shares else SHARE_TOLERANCE
    # runs of earlier versions told no more than 1
    if min(abs(share - told), abs(min(share, 1.0) - told)) > tolerance * max(1.0, share):
        yield f"used_share is {told}, its counters and clocks give {share:.4f}"
    elif shares.get("steps", 0.0) > 1 or (share > _LAST_STEP and record.counters["steps"] > 2):
        yield f"it went on after its budget, of which it used {share:.2f}"
    if record.ended_by == "budget" and share < 1 - tolerance:
        yield f"it ended by its budget, of which it used {share:.4f}"


def _end(record: RunRecord) -> Iterator[str]:
    """What a run of its status has, and has not."""
    finished = record.status == "finished"
    if finished != (record.ended_by is not None):
        yield f"it is {record.status}, and ended by {record.ended_by}"
    if (record.status == "failed") != (record.error is not None):
        yield f"it is {record.status}, and has {'an' if record.error else 'no'} error"
    if not finished and record.scores:
        yield f"it is {record.status} and has scores"


def _history(record: RunRecord) -> Iterator[str]:
    """What was counted on the way, against what was counted at the end."""
    for name, total in record.spent.items():
        counted = [value for value in record.history.get(name, []) if isinstance(value, int | float)]
        if counted and counted[-1] > total + CLOCK_TOLERANCE * max(1, total):
            yield f"{name} of its history ends at {counted[-1]}, its counters and clocks at {total}"


def _labels(record: RunRecord, repository: Path | None) -> Iterator[str]:
    """The names that readers go by, against what was computed."""
    component = record.specification["optimizer"].get("component")
    if record.method["name"] != component:
        yield f"its method is {record.method['name']}, in its specification {component}"
    settings = _studies(repository).get(record.study["name"], {}) if repository else {}
    for name in ("protocol", "edition") if settings else ():
        if record.study[name] != settings.get(name):
            yield f"{name} is {record.study[name]}, that of study {record.study['name']} is {settings.get(name)}"


@cache
def _studies(repository: Path) -> dict[str, Any]:
    """What the studies of a repository say of themselves, by name."""
    # comes with the suite, which alone has studies
    import yaml

    files = (repository / "configs" / "study").glob("*.yaml")
    return {path.stem: yaml.safe_load(path.read_text(encoding="utf-8")).get("study", {}) for path in files}


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
    last = record.scores["test_last"]
    if step == record.counters["steps"] and not _equal(score, last):
        yield f"its last step was selected, but test_selected is {score}, test_last {last}"
    for mark in record.scores["test_curve"]:
        for name, at, expected in (("test_selected", step, score), ("test_last", record.counters["steps"], last)):
            if mark["step"] == at and not _equal(mark["test"], expected):
                yield f"its test curve has {mark['test']} at step {at}, {name} is {expected}"
    possible = record.metric["best"]
    for name in ("validation_selected", "test_selected", "test_last"):
        value = record.scores[name]
        if None not in (value, possible) and not _equal(best([float(value), possible]), possible):
            yield f"{name} is {value}, which is better than the best possible {possible}"


def _equal(one: Any, other: Any) -> bool:
    """Whether scores are the same but for rounding."""
    return one == other or (None not in (one, other) and math.isclose(float(one), float(other), rel_tol=1e-6))
