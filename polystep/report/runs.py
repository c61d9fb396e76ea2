"""The one table between running and reporting: a row per run, from folders and bundles of records."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas

from polystep.records import CLOCKS, COUNTERS, RecordError, RunRecord, cell_id, read_places
from polystep.records.check import is_clean, worth
from polystep.records.identity import Specification
from polystep.report.one_run import LOOKS

OWN, COMMITTED = "own", "committed"
"""Where a run comes from: the column `origin`, where a table has runs of both."""
UNREADABLE = "records that cannot be read"
FIRST_FORMAT = "records of the first format"
CONFLICTING = "runs with two different records"
UNFINISHED = "folders without a record"
SCORES = ("validation_selected", "selected_step", "test_selected", "test_last")
SETTINGS = ("task", "optimizer", "budget", "evaluation")


def load_runs(*places: str | Path) -> pandas.DataFrame:
    """All runs in folders of runs, folders of bundles and bundles, one row per run, sorted by name.

    Columns, empty where a record does not say:
        run_id, settings_id, name, status, seed: see `polystep.records.RunRecord`
        cell_id, altered (tuple): as there, but for looks at the test set (`evaluation.test_every` and `test_until`), which
        select nothing: runs that differ in these and in their seed alone share a cell
        task, task_title, family, size, variant; evaluation_cost (dict): what the task says of itself
        optimizer: name of the chosen yaml file; method, method_title, method_family, uses (tuple): what the method says
        study, edition, protocol
        metric, direction, unit, best, solved; validation_selected, selected_step, test_selected, test_last (fractions are
        fractions); test_curve (dict, step to test score); diagnostics (dict)
        steps and the other counters; used_share; ended_by; step_seconds (what budgets in seconds limit); wall_seconds;
        cpu_seconds; seconds_NAME for every clock; peak_memory_bytes
        commit; clean (True: the code is that of the commit, None: unknown); python, packages (dict),
        processor, cores, threads, device, load_before, load_after
        data (fingerprint), started, ended, error (text)
        every setting by its path, with defaults: optimizer.component, optimizer.probe_radius, budget.steps, ...
        history: dict of lists, a column each, a row per validation
        source: the file that the record comes from
    `attrs["problems"]` maps kinds of problem to sentences about what was left out. Raises ExpectedError where a place does
    not exist.
    """
    problems: dict[str, list[str]] = {}
    found: dict[str, tuple[RunRecord, Path]] = {}
    folders = [Path(place) for place in places]
    for source, item in read_places(*folders):
        if isinstance(item, RecordError):
            kind = FIRST_FORMAT if "first format" in str(item) else UNREADABLE
            problems.setdefault(kind, []).append(str(item))
            continue
        earlier = found.get(item.run_id)
        if earlier is None:
            found[item.run_id] = item, source
            continue
        kept, other = sorted((earlier, (item, source)), key=lambda pair: worth(pair[0]), reverse=True)
        found[item.run_id] = kept
        if kept[0].scores != other[0].scores:
            sentence = f"{item.name}: {kept[1]} is used, {other[1]} has other scores"
            problems.setdefault(CONFLICTING, []).append(sentence)
    for folder in folders:
        waiting = [file.parent for file in sorted(folder.glob("*/checkpoint.safetensors"))]
        unfinished = [run.name for run in waiting if not (run / "run.json").exists()]
        problems.setdefault(UNFINISHED, []).extend(unfinished)
    rows = [_row(record, source) for record, source in sorted(found.values(), key=lambda pair: pair[0].name)]
    table = pandas.DataFrame(rows, columns=None if rows else _COLUMNS)
    table.attrs["problems"] = {kind: sentences for kind, sentences in problems.items() if sentences}
    return table


def _row(record: RunRecord, source: Path) -> dict[str, Any]:
    context, scores = record.context, record.scores
    return {
        "run_id": record.run_id,
        "settings_id": record.settings_id,
        "cell_id": _cell_without_looks(record.specification),
        "name": record.name,
        "status": record.status,
        "task": record.task["name"],
        "task_title": record.task["title"],
        **{name: record.task[name] for name in ("family", "size", "variant", "evaluation_cost")},
        "optimizer": record.names["optimizer"],
        "method": record.method["name"],
        "method_title": record.method["title"],
        "method_family": record.method["family"],
        "uses": tuple(record.method["uses"]),
        "study": record.study["name"],
        "edition": record.study["edition"],
        "protocol": record.study["protocol"],
        "seed": record.seed,
        "altered": tuple(item for item in record.altered if item.partition("=")[0] not in LOOKS),
        "metric": record.metric["name"],
        **{name: record.metric[name] for name in ("direction", "unit", "best", "solved")},
        **{name: _number(scores.get(name)) for name in SCORES},
        "test_curve": {mark["step"]: _number(mark["test"]) for mark in scores.get("test_curve", [])},
        "diagnostics": scores.get("diagnostics", {}),
        **{name: record.counters[name] for name in COUNTERS},
        "used_share": record.used_share,
        "ended_by": record.ended_by,
        "step_seconds": record.step_seconds,
        "wall_seconds": record.wall_seconds,
        "cpu_seconds": _number(record.cpu_seconds),
        **{f"seconds_{name}": record.clocks[name] for name in CLOCKS},
        "peak_memory_bytes": context["peak_memory_bytes"],
        "commit": context["commit"],
        "clean": is_clean(record),
        **{name: context[name] for name in _CONTEXT},
        "data": record.data,
        "started": record.started,
        "ended": record.ended,
        "error": ": ".join((record.error or {}).get(key, "") for key in ("type", "message")) if record.error else None,
        "source": str(source),
        "history": {name: [_number(value) for value in column] for name, column in record.history.items()},
        **dict(_flat({name: record.specification[name] for name in SETTINGS}, "")),
    }


def _cell_without_looks(specification: Specification) -> str:
    evaluation = {key: value for key, value in specification["evaluation"].items() if f"evaluation.{key}" not in LOOKS}
    return cell_id({**specification, "evaluation": evaluation})


_CONTEXT = ("python", "packages", "processor", "cores", "threads", "device", "load_before", "load_after")
_COLUMNS = [
    "run_id",
    "name",
    "status",
    "task",
    "family",
    "optimizer",
    "study",
    "edition",
    "protocol",
    "seed",
    "history",
]
"""What every table has, also one without runs."""


def _number(value: Any) -> float:
    """NaN for null, infinity for "inf"; counts stay whole."""
    return float("nan") if value is None else float(value) if isinstance(value, str) else value


def _flat(settings: Mapping[str, Any], prefix: str) -> Iterable[tuple[str, Any]]:
    for key, value in settings.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", tuple(value) if isinstance(value, list) else value
