"""What a report takes in: the records that tables can be made of, and a sentence about everything else."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import numpy

from polystep.bench.curves import read_history
from polystep.bench.quantities import number
from polystep.bench.records import RunRecord, Status, read_records
from polystep.files import StorageError

if TYPE_CHECKING:
    from pandas import DataFrame

UNREADABLE = "Unreadable files"
FOREIGN = "Runs with another metric than most of their task (left out)"
BACKWARDS = "Clocks that ran backwards"
VERSIONS = "Methods whose runs come from different versions of the code"
_KINDS = (FOREIGN, BACKWARDS, VERSIONS, UNREADABLE)


@dataclass
class Intake:
    """Records and histories, and sentences about what is wrong by kind.

    runs: of any status. unfinished: folders without a record. histories: of finished runs, by name.
    """

    runs: list[RunRecord]
    unfinished: list[str]
    histories: dict[str, "DataFrame"] = field(default_factory=dict)
    problems: dict[str, list[str]] = field(default_factory=lambda: {kind: [] for kind in _KINDS})


def take_in(records: Path) -> Intake:
    """Read the folder `records`: whatever is damaged, foreign or implausible is left out and named, never fatal.

    Raises StorageError where the folder cannot be listed.
    """
    found, damaged = read_records(records)
    intake = Intake([run for run in found if _is_complete(run)], _without_record(records))
    intake.problems[UNREADABLE] = damaged + [
        f"{run.folder}/run.json lacks labels, metric or other content that tables need; delete the folder and repeat the run"
        for run in found
        if not _is_complete(run)
    ]
    _leave_out_foreign_metrics(intake)
    intake.runs = [_with_history(run, intake) if run.status == "finished" else run for run in intake.runs]
    return intake


def _is_complete(run: RunRecord) -> bool:
    sections = (run.labels, run.config, run.metric, run.metrics, run.ledger, run.environment)
    if not all(isinstance(section, dict) for section in sections):
        return False
    texts = [run.name, run.protocol, run.ended, *(run.labels.get(name) for name in ("task", "optimizer", "study"))]
    texts += [run.metric.get(name) for name in ("name", "direction", "unit")]
    typed = isinstance(run.labels.get("seed"), int) and isinstance(run.metrics.get("test_curve", []), list)
    typed &= isinstance(run.config.get("names", {}), dict) and isinstance(run.ledger.get("clocks", {}), dict)
    typed &= isinstance(run.error or {}, dict) and run.status in get_args(Status)
    return typed and all(isinstance(text, str) for text in texts)


def _without_record(records: Path) -> list[str]:
    if not records.exists():
        return []
    try:
        folders = sorted(path for path in records.iterdir() if path.is_dir() and not path.name.startswith("."))
    except OSError as error:
        raise StorageError(f"cannot list the records in {records}: {error.strerror}; name a readable folder") from error
    return [f"{folder.name}: no run.json yet" for folder in folders if not (folder / "run.json").exists()]


def _leave_out_foreign_metrics(intake: Intake) -> None:
    """Scores in different metrics cannot stand in one column; the metric that most runs of a task have is taken for its own."""
    counts: dict[str, Counter[tuple[str, ...]]] = {}
    for run in intake.runs:
        counts.setdefault(run.labels["task"], Counter())[_metric(run)] += 1
    usual = {task: min(found, key=lambda metric: (-found[metric], metric)) for task, found in counts.items()}
    kept = []
    for run in intake.runs:
        if _metric(run) == (expected := usual[run.labels["task"]]):
            kept.append(run)
        else:
            sentence = f"{run.name}: {' '.join(_metric(run))} instead of {' '.join(expected)}"
            intake.problems[FOREIGN].append(sentence)
    intake.runs = kept


def _metric(run: RunRecord) -> tuple[str, ...]:
    return tuple(run.metric[name] for name in ("name", "direction", "unit"))


def _with_history(run: RunRecord, intake: Intake) -> RunRecord:
    """The run, its history taken in; where a clock of its steps ran backwards, without what was measured in seconds."""
    assert run.folder is not None
    history = None
    try:
        history = read_history(run.folder)
    except StorageError as error:
        intake.problems[UNREADABLE].append(f"{error} (left out of figures)")
    wrong = [f"clock {name} is negative" for name in (run.ledger.get("clocks") or {}) if _is_negative(run, name)]
    if history is not None:
        for column in ("step", "candidate_evaluations", "seconds"):
            falls = numpy.flatnonzero(numpy.diff(history[column].to_numpy(float)) < 0)
            if len(falls):
                wrong.append(f"{column} of its history falls at step {history['step'].iloc[falls[0] + 1]:g}")
    if wrong:
        intake.problems[BACKWARDS].append(f"{run.name}: {', '.join(wrong)}; its times and its curve are left out")
        return replace(run, ledger=run.ledger | {"clocks": {}})
    if history is not None:
        intake.histories[run.name] = history
    if _ended_before_it_started(run):
        intake.problems[BACKWARDS].append(f"{run.name}: ended {run.ended}, before it started, {run.started}")
    return run


def _is_negative(run: RunRecord, clock: str) -> bool:
    return (number(run.ledger, "clocks", clock) or 0) < 0


def _ended_before_it_started(run: RunRecord) -> bool:
    try:
        return datetime.fromisoformat(run.ended) < datetime.fromisoformat(run.started)
    except (TypeError, ValueError):
        return True


def name_mixed_versions(groups: Sequence[tuple[str, Sequence[RunRecord]]]) -> list[str]:
    """A sentence for each titled group whose runs were made by different commits, or by uncommitted code."""
    sentences = []
    for title, runs in groups:
        commits = Counter(str(run.environment.get("git_commit"))[:9] for run in runs)
        if len(commits) > 1:
            sentences.append(
                f"{title}: {', '.join(f'{commit} ({count})' for commit, count in sorted(commits.items()))}"
            )
    return sentences
