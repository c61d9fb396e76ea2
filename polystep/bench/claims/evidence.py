"""Which finished runs may speak about a statement: complete ones, of exactly the planned settings and seeds."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from polystep.bench.groups import marked_scores
from polystep.bench.identity import run_identity
from polystep.bench.labels import flat_settings
from polystep.bench.published import published_number, published_scores_at
from polystep.bench.quantities import number
from polystep.bench.records import RunRecord

_NAMED_DIFFERENCES = 2


@dataclass(frozen=True)
class Score:
    """One score that a statement is about.

    task, method: labels of the runs. study: the one to take instead of that of the protocol. where: values of settings, by
    their path in the configuration, that tell variants within a study apart. metric: which of the record's scores.
    published: (task, method, metric) of the published value, where they differ from the labels.
    """

    task: str
    method: str
    study: str | None = None
    where: Mapping[str, Any] = field(default_factory=dict)
    metric: str = "test_selected"
    step: int | None = None
    published: tuple[str, str, str] | None = None

    def published_value(self) -> float | None:
        """The published mean over seeds; None where none is known."""
        if self.step is not None:
            values = published_scores_at(self.task, self.method, self.step)
            return math.fsum(values.values()) / len(values) if values else None
        return published_number(*(self.published or (self.task, self.method, "best_accuracy")))

    def __str__(self) -> str:
        """What it is the score of, for sentences."""
        at = f" at step {self.step}" if self.step is not None else ""
        metric = {"test_selected": "", "test_last": ", last checkpoint"}.get(self.metric, f", {self.metric}")
        return f"{self.entry}{at}{metric}"

    @property
    def entry(self) -> str:
        """Method and task."""
        variant = ", ".join(f"{path.removeprefix('optimizer.')}={value}" for path, value in self.where.items())
        return f"{self.method}{f' ({variant})' if variant else ''} on {self.task}"

    def value(self, run: RunRecord) -> float | None:
        """What the record of a run says; None where it says nothing."""
        return number(run.metrics, self.metric) if self.step is None else marked_scores(run).get(self.step)


@dataclass(frozen=True)
class Measured:
    """What the records say about a score.

    by_seed: the values of all required seeds, or of none. missing: why there is no such set; empty where there is.
    touched: whether any finished run has the labels, complete or not. runs: names of the runs behind it.
    """

    by_seed: Mapping[int, float]
    unit: str
    missing: str
    touched: bool
    runs: tuple[str, ...]


class Evidence:
    """Finished runs, and the configurations of which a run is complete."""

    def __init__(self, runs: Iterable[RunRecord], complete: Iterable[Mapping[str, Any]]) -> None:
        """`complete`: configurations of runs with all of their budget; any other run cannot decide anything."""
        expected = [dict(config) for config in complete]
        self._complete = {_identity(config) for config in expected}
        self._expected: dict[tuple[str, str], list[dict[str, str]]] = {}
        for config in expected:
            self._expected.setdefault(_names(config), []).append(flat_settings(config))
        self._runs: dict[tuple[str, str, str], list[RunRecord]] = {}
        # the run that ended last comes last, and replaces others of its identity
        for run in sorted(runs, key=lambda run: run.ended):
            if run.status == "finished":
                labels = (str(run.labels["task"]), str(run.labels["optimizer"]), str(run.labels["study"]))
                self._runs.setdefault(labels, []).append(run)

    def measure(self, score: Score, study: str, seeds: Sequence[int]) -> Measured:
        """The score of every one of `seeds` under `study`, if complete runs of all of them exist."""
        study = score.study or study
        labelled = self._runs.get((score.task, score.method, study), [])
        found = [run for run in labelled if _matches(run.config, score.where)]
        if not found:
            return Measured({}, "", f"no finished run of {score.entry}, study {study}", False, ())
        complete = [run for run in found if _identity(run.config) in self._complete]
        by_settings: dict[str, dict[int, RunRecord]] = {}
        for run in complete:
            by_settings.setdefault(_without_seeds(run.config), {})[run.labels["seed"]] = run
        runs, unit = tuple(run.name for run in found), found[0].metric["unit"]
        if len(by_settings) > 1:
            missing = f"{len(by_settings)} different settings of {score.entry}, study {study}, are complete; name one"
            return Measured({}, unit, missing, True, runs)
        chosen = next(iter(by_settings.values()), {})
        values = {seed: score.value(run) for seed, run in chosen.items() if seed in seeds}
        known = {seed: value for seed, value in sorted(values.items()) if value is not None}
        if len(known) == len(set(seeds)):
            return Measured(known, unit, "", True, tuple(chosen[seed].name for seed in known))
        reason = f"{score.entry}, study {study}: complete runs of {len(known)} of {len(set(seeds))} seeds"
        if incomplete := [run for run in found if run not in complete]:
            reason += f"; {len(incomplete)} other{' has' if len(incomplete) == 1 else 's have'} other settings"
            reason += self._difference(incomplete[-1])
        return Measured({}, unit, reason, True, runs)

    def published(self, score: Score, unit: str, seeds: Sequence[int]) -> Measured:
        """The published test scores of the same seeds at the marked step of `score`."""
        values = published_scores_at(score.task, score.method, score.step) if score.step is not None else {}
        known = {seed: values[seed] for seed in seeds if seed in values}
        missing = "" if len(known) == len(set(seeds)) else f"not all of these seeds are published for {score}"
        return Measured({} if missing else known, unit, missing, False, ())

    def _difference(self, run: RunRecord) -> str:
        """How a run differs from the planned one that is closest to it."""
        planned = self._expected.get(_names(run.config), [])
        settings = flat_settings(run.config)
        differences = [
            [
                f"{key}={settings.get(key, 'null')} instead of {other.get(key, 'null')}"
                for key in sorted(settings.keys() | other.keys(), key=lambda key: (not key.startswith("budget"), key))
                if settings.get(key) != other.get(key)
            ]
            for other in planned
        ]
        closest = min(differences, key=len, default=[])
        return f" ({', '.join(closest[:_NAMED_DIFFERENCES])})" if closest else ""


def _identity(config: Mapping[str, Any]) -> str:
    return run_identity(dict(config), data_fingerprint="")


def _names(config: Mapping[str, Any]) -> tuple[str, str]:
    names = config.get("names", {})
    return str(names.get("optimizer")), str(names.get("study"))


def _without_seeds(config: Mapping[str, Any]) -> str:
    return str(sorted(flat_settings(config).items()))


def _matches(config: Mapping[str, Any], where: Mapping[str, Any]) -> bool:
    for path, value in where.items():
        place: Any = config
        for key in path.split("."):
            place = place.get(key) if isinstance(place, dict) else None
        if place != value:
            return False
    return True
