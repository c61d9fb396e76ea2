"""Runs that differ in their seed only, and quantities averaged over them: one row of a table, one colour of a figure."""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from polystep.bench.identity import run_identity
from polystep.bench.ledger import STEP_CLOCKS
from polystep.bench.published import PublishedScore, published_best_accuracy, published_last_accuracy
from polystep.bench.records import RunRecord

ENOUGH_SEEDS = 5
"""Below this many seeds a mean is always shown with its number of seeds."""


class _Format(NamedTuple):
    scale: float
    number: str
    symbol: str = ""
    spread: bool = True


_FORMATS = {
    "fraction": _Format(100, ".2f", " %"),
    "difference of fraction": _Format(100, "+.2f", " points", spread=False),
    "seconds": _Format(1, ",.1f"),
    "bytes": _Format(1e-6, ",.0f", spread=False),
    "count": _Format(1, ",.0f", spread=False),
}
_OTHER_FORMAT = _Format(1, ".4g")


@dataclass(frozen=True)
class Quantity:
    """The mean over `n` seeds of a number, and its population standard deviation (None: unknown).

    `unit` decides how it is shown ("fraction": in percent; "bytes": in megabytes); `by_seed` holds the single values.
    """

    mean: float
    std: float | None
    n: int
    unit: str
    by_seed: tuple[tuple[int, float], ...] = ()

    def __str__(self) -> str:
        """Mean ± standard deviation, and n where it is below five."""
        form = _FORMATS.get(self.unit, _OTHER_FORMAT)
        text = format(self.mean * form.scale, form.number)
        if form.spread and self.std is not None:
            text += f" ± {self.std * form.scale:{form.number}}"
        text += form.symbol
        return f"{text} (n={self.n})" if form.spread and self.n < ENOUGH_SEEDS else text


@dataclass(frozen=True)
class Group:
    """Finished runs that differ in their seed only, in order of seed.

    `method` is the name of the optimiser; the start of a hash of its settings follows where one task, protocol and study
    hold several settings of it.
    """

    task: str
    protocol: str
    study: str
    optimizer: str
    method: str
    runs: tuple[RunRecord, ...]

    @property
    def metric(self) -> str:
        """Name of the task's metric."""
        return self.runs[0].metric["name"]

    @property
    def unit(self) -> str:
        """Unit of the task's metric."""
        return self.runs[0].metric["unit"]

    @property
    def score_name(self) -> str:
        """The metric with the unit in which its scores are shown."""
        unit = "%" if self.unit == "fraction" else self.unit
        return f"{self.metric} ({unit})" if unit else self.metric

    @property
    def direction(self) -> str:
        """Which direction of the metric is better: "maximize" or "minimize"."""
        return self.runs[0].metric["direction"]

    @property
    def title(self) -> str:
        """All that names the group, for sentences."""
        return f"Task {self.task}, {self.method}, study {self.study}, protocol {self.protocol}"

    @property
    def selected(self) -> Quantity | None:
        """Test score of the validation-selected checkpoint."""
        return self.over_seeds(self.unit, "metrics", "test_selected")

    @property
    def last(self) -> Quantity | None:
        """Test score of the last checkpoint."""
        return self.over_seeds(self.unit, "metrics", "test_last")

    @property
    def published_best(self) -> Quantity | None:
        """The published test-selected score; None where nothing comparable is published."""
        return self._published(published_best_accuracy)

    @property
    def published_last(self) -> Quantity | None:
        """The published score of the last model; None where nothing comparable is published."""
        return self._published(published_last_accuracy)

    def _published(self, look_up: Callable[[str, str], PublishedScore | None]) -> Quantity | None:
        if (self.metric, self.unit) != ("accuracy", "fraction"):
            return None
        score = look_up(self.task, self.optimizer)
        return score and Quantity(score.mean, score.std, score.n_seeds, self.unit)

    def over_seeds(self, unit: str, section: Literal["metrics", "ledger"], *path: str) -> Quantity | None:
        """The quantity at `path` within a section of the records; None where no record has it."""
        return average({run.labels["seed"]: number(getattr(run, section), *path) for run in self.runs}, unit)

    def step_seconds(self) -> Quantity | None:
        """Seconds of the optimiser and of candidate evaluation together."""
        seconds: dict[int, float | None] = {}
        for run in self.runs:
            clocks = [number(run.ledger, "clocks", clock) for clock in STEP_CLOCKS]
            known = [clock for clock in clocks if clock is not None]
            seconds[run.labels["seed"]] = sum(known) if len(known) == len(clocks) else None
        return average(seconds, "seconds")

    def marked_scores(self) -> dict[int, Quantity]:
        """Test scores at the marked steps, by step."""
        curves = {run.labels["seed"]: marked_scores(run) for run in self.runs}
        steps = sorted({step for curve in curves.values() for step in curve})
        found = {step: average({seed: curve.get(step) for seed, curve in curves.items()}, self.unit) for step in steps}
        return {step: quantity for step, quantity in found.items() if quantity is not None}


def group_runs(records: Iterable[RunRecord]) -> list[Group]:
    """Finished runs by task, protocol, study, optimiser and settings, sorted.

    Where a seed occurs twice, the run that ended last counts.
    """
    found: dict[tuple[str, str, str, str, str], dict[int, RunRecord]] = {}
    for run in sorted((r for r in records if r.status == "finished"), key=lambda r: r.ended):
        task, study, optimizer = (str(run.labels[name]) for name in ("task", "study", "optimizer"))
        key = (task, run.protocol, study, optimizer, _settings_identity(run))
        found.setdefault(key, {})[run.labels["seed"]] = run
    names = [key[:4] for key in found]
    groups = []
    for key, by_seed in sorted(found.items()):
        *_, optimizer, identity = key
        method = optimizer if names.count(key[:4]) == 1 else f"{optimizer} ({identity[:6]})"
        groups.append(Group(*key[:4], method, tuple(run for _, run in sorted(by_seed.items()))))
    return groups


def number(tree: Any, *path: str) -> float | None:
    """The finite number at `path` in nested dictionaries; None where there is none."""
    for key in path:
        tree = tree.get(key) if isinstance(tree, dict) else None
    known = isinstance(tree, int | float) and not isinstance(tree, bool) and math.isfinite(tree)
    return float(tree) if known else None


def average(values: Mapping[int, float | None], unit: str) -> Quantity | None:
    """Mean and population standard deviation of the known values by seed; None where none is known."""
    known = {seed: value for seed, value in values.items() if value is not None}
    if not known:
        return None
    mean = math.fsum(known.values()) / len(known)
    # One value says nothing about the spread over seeds, and 0 would claim that there is none.
    std = math.sqrt(math.fsum((v - mean) ** 2 for v in known.values()) / len(known)) if len(known) > 1 else None
    return Quantity(mean, std, len(known), unit, tuple(sorted(known.items())))


def marked_scores(run: RunRecord) -> dict[int, float]:
    """Test scores of one run at its marked steps, by step."""
    scores = [(number(mark, "step"), number(mark, "test")) for mark in run.metrics.get("test_curve") or []]
    return {int(step): score for step, score in scores if step is not None and score is not None}


def _settings_identity(run: RunRecord) -> str:
    """Identity of everything but the seed: a mean over runs with different settings or data would describe no experiment."""

    def without_seed(value: Any) -> Any:
        return {k: without_seed(v) for k, v in value.items() if k != "seed"} if isinstance(value, dict) else value

    return run_identity(without_seed(run.config), run.data_fingerprint)
