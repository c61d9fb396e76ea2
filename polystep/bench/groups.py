"""Runs that differ in their seed only, and quantities averaged over them: one row of a table, one line of a figure."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Literal

from polystep.bench.labels import setting_labels, settings_identity
from polystep.bench.published import PublishedScore, published_best_accuracy, published_last_accuracy
from polystep.bench.quantities import Quantity, average, number
from polystep.bench.records import RunRecord
from polystep.records import STEP_CLOCKS

METHOD_OF_THE_PAPER = "polystep"


@dataclass(frozen=True)
class Group:
    """Finished runs that differ in their seed only, in order of seed.

    `method` is the name of the optimiser; where one task, protocol and study hold several settings of it, what differs
    follows (`polystep.bench.labels`).
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
    def method_and_study(self) -> tuple[str, str]:
        """What tells groups of one task and protocol apart."""
        return self.method, self.study

    @property
    def is_accuracy(self) -> bool:
        """Whether the metric is an accuracy, which tasks share and which can be read against a threshold."""
        return (self.metric, self.unit) == ("accuracy", "fraction")

    @property
    def evaluates_candidates(self) -> bool:
        """Whether any run counted candidate evaluations; gradient methods count backward passes instead."""
        return any(number(run.ledger, "spent", "candidate_evaluations") for run in self.runs)

    @property
    def validation(self) -> Quantity | None:
        """Validation score of the validation-selected checkpoint."""
        return self.over_seeds(self.unit, "metrics", "validation_selected")

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
        if self.unit != "fraction":
            return None
        score = look_up(self.task, self.optimizer)
        return score and Quantity(score.mean, score.std, score.n_seeds, self.unit)

    def over_seeds(self, unit: str, section: Literal["metrics", "ledger"], *path: str) -> Quantity | None:
        """The quantity at `path` within a section of the records; None where no record has it."""
        return average({run.labels["seed"]: number(getattr(run, section), *path) for run in self.runs}, unit)

    def step_seconds(self) -> Quantity | None:
        """Seconds of the optimiser and of candidate evaluation together."""
        return average({run.labels["seed"]: step_seconds(run) for run in self.runs}, "seconds")

    def per_step(self, unit: str, amount: Callable[[RunRecord], float | None]) -> Quantity | None:
        """The amount of each run divided by its steps; None where no record has both."""
        shares: dict[int, float | None] = {}
        for run in self.runs:
            total, steps = amount(run), number(run.metrics, "steps")
            shares[run.labels["seed"]] = total / steps if total is not None and steps else None
        return average(shares, unit)

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
        key = (task, run.protocol, study, optimizer, settings_identity(run))
        found.setdefault(key, {})[run.labels["seed"]] = run
    groups = []
    for (task, protocol, study, optimizer), keys in groupby(sorted(found), key=lambda key: key[:4]):
        runs = [tuple(run for _, run in sorted(found[key].items())) for key in keys]
        labels = setting_labels([members[0] for members in runs]) if len(runs) > 1 else [""]
        for label, members in sorted(zip(labels, runs, strict=True), key=lambda pair: pair[0]):
            groups.append(
                Group(task, protocol, study, optimizer, f"{optimizer} ({label})" if label else optimizer, members)
            )
    return groups


def best_first(groups: Sequence[Group]) -> list[Group]:
    """Groups of one task in the order of their mean test scores; those without a score last."""
    scored = [(score.mean, group) for group in groups if (score := group.selected)]
    scored.sort(key=lambda pair: pair[0], reverse=groups[0].direction == "maximize")
    return [group for _, group in scored] + [group for group in groups if not group.selected]


def marked_scores(run: RunRecord) -> dict[int, float]:
    """Test scores of one run at its marked steps, by step."""
    scores = [(number(mark, "step"), number(mark, "test")) for mark in run.metrics.get("test_curve") or []]
    return {int(step): score for step, score in scores if step is not None and score is not None}


def step_seconds(run: RunRecord) -> float | None:
    """Seconds of the optimiser and of candidate evaluation together."""
    clocks = [number(run.ledger, "clocks", clock) for clock in STEP_CLOCKS]
    known = [clock for clock in clocks if clock is not None]
    return sum(known) if len(known) == len(clocks) else None
