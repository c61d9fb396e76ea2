"""MAX-SAT over its sizes: satisfied share and cost of a step of every method, beside what is published."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from polystep.bench.groups import Group, step_seconds
from polystep.bench.labels import setting_labels, settings_identity
from polystep.bench.published import published_best_accuracy, published_cost
from polystep.bench.quantities import Quantity, average, number
from polystep.bench.records import RunRecord
from polystep.bench.rendering import Cell, Column, Table
from polystep.bench.tables import PUBLISHED

PUBLISHED_SIZES = (100, 500, 1000, 5000, 20_000, 100_000, 1_000_000)
_INSTANCE = re.compile(r"maxsat_(\d+)v(_seed\d+)?")
"""Names of instances of the published distribution: number of variables, and the seed of those that are not published."""
_STEPPED_BY_FLIPS = ("probsat", "walksat")
_POOLED = ("mean", "std", "n")


@dataclass(frozen=True)
class Entry:
    """Runs of one method and its settings on all instances of one size.

    `method` is the name of the optimiser; where one size, protocol and study hold several settings of it, what differs
    follows.
    """

    variables: int
    protocol: str
    study: str
    optimizer: str
    method: str
    runs: tuple[RunRecord, ...]

    @property
    def satisfied(self) -> Quantity | None:
        """Share of the clauses that the reported assignments satisfy."""
        return self.mean("fraction", lambda run: number(run.metrics, "test_selected"))

    @property
    def seconds_per_step(self) -> Quantity | None:
        """Seconds of optimiser and evaluation per step."""
        return self.mean("seconds per step", lambda run: _ratio(step_seconds(run), number(run.metrics, "steps")))

    @property
    def candidates_per_second(self) -> Quantity | None:
        """Candidates per second of optimiser and evaluation."""
        return self.mean("count", lambda run: _ratio(_candidates(run), step_seconds(run)))

    def mean(self, unit: str, amount: Callable[[RunRecord], float | None]) -> Quantity | None:
        """Mean of an amount over all runs, whatever their seed and instance."""
        return average(dict(enumerate(map(amount, self.runs))), unit)


def published_share(variables: int, optimizer: str) -> Quantity | None:
    """The published share of satisfied clauses; None where there is none."""
    score = published_best_accuracy(f"maxsat_{variables}v", optimizer)
    return score and Quantity(score.mean, score.std, score.n_seeds, "fraction")


def published_seconds_per_step(variables: int, optimizer: str) -> Quantity | None:
    """Wall seconds of a published run per step; None where there is none, or where a step was a single flip."""
    share, cost = published_share(variables, optimizer), published_cost(f"maxsat_{variables}v", optimizer)
    if not share or not cost or not cost.seconds_per_step or optimizer in _STEPPED_BY_FLIPS:
        return None
    return Quantity(cost.seconds_per_step, None, share.n, "seconds per step")


def _published_candidates_per_second(variables: int, optimizer: str) -> Quantity | None:
    share, cost = published_share(variables, optimizer), published_cost(f"maxsat_{variables}v", optimizer)
    rate = cost and _ratio(cost.candidates_per_step, cost.seconds_per_step)
    return Quantity(rate, None, share.n, "count") if share and rate else None


def of_published_distribution(task: str) -> bool:
    """Whether a task is an instance of the published distribution, whose runs are pooled by size."""
    return _INSTANCE.fullmatch(task) is not None


def maxsat_entries(groups: Sequence[Group]) -> list[Entry]:
    """The runs of `groups` on instances of the published distribution, smallest size first."""
    found: dict[tuple[int, str, str, str, str], list[RunRecord]] = {}
    for group in groups:
        if named := _INSTANCE.fullmatch(group.task):
            key = (
                int(named[1]),
                group.protocol,
                group.study,
                group.optimizer,
                settings_identity(_on_any(group.runs[0])),
            )
            found.setdefault(key, []).extend(group.runs)
    entries = []
    for (variables, protocol, study, optimizer), keys in groupby(sorted(found), key=lambda key: key[:4]):
        members = [found[key] for key in keys]
        labels = setting_labels([_on_any(runs[0]) for runs in members]) if len(members) > 1 else [""]
        for label, runs in sorted(zip(labels, members, strict=True), key=lambda pair: pair[0]):
            method = f"{optimizer} ({label})" if label else optimizer
            entries.append(Entry(variables, protocol, study, optimizer, method, tuple(runs)))
    return entries


def _on_any(run: RunRecord) -> RunRecord:
    """The run without what names its instance, so that runs on several instances have the same settings."""
    task = {key: value for key, value in run.config.get("task", {}).items() if key != "instance_seed"}
    return replace(run, config={**run.config, "task": task}, data_fingerprint="")


def maxsat_table(entries: Sequence[Entry]) -> Table:
    """One row per entry, best first within each size."""
    order = sorted(entries, key=lambda entry: (entry.variables, -(entry.satisfied.mean if entry.satisfied else 0)))
    rows: list[dict[str, Cell]] = [
        {
            "variables": entry.variables,
            "method": entry.method,
            "study": entry.study,
            "protocol": entry.protocol,
            "instances": len({run.data_fingerprint for run in entry.runs}),
            "runs": len(entry.runs),
            "satisfied": entry.satisfied,
            "published": published_share(entry.variables, entry.optimizer),
            "step_seconds": entry.mean("seconds", step_seconds),
            "seconds_per_step": entry.seconds_per_step,
            "published_seconds_per_step": published_seconds_per_step(entry.variables, entry.optimizer),
            "candidates_per_second": entry.candidates_per_second,
            "published_candidates_per_second": _published_candidates_per_second(entry.variables, entry.optimizer),
            "peak_memory_bytes": entry.mean("bytes", lambda run: number(run.ledger, "peak_memory_bytes")),
            "sources": tuple(run.name for run in entry.runs),
        }
        for entry in order
    ]
    columns = (
        Column("variables", "Variables"),
        Column("method", "Method"),
        Column("study", "Study"),
        Column("protocol", "Protocol"),
        Column("instances", "Instances"),
        Column("runs", "Runs"),
        Column("satisfied", "Satisfied", _POOLED),
        Column("published", "Published", PUBLISHED),
        Column("step_seconds", "Step seconds", _POOLED),
        Column("seconds_per_step", "per step", _POOLED),
        Column("published_seconds_per_step", "per step, published", ("mean",)),
        Column("candidates_per_second", "Candidates per second", ("mean",)),
        Column("published_candidates_per_second", "Candidates per second, published", ("mean",)),
        Column("peak_memory_bytes", "Peak memory (MB)", ("mean",)),
    )
    notes = (
        "Random formulas of 4.27 clauses of three literals per variable, of which a random assignment satisfies 87.5 %. Mean "
        "± population standard deviation over all runs, of one or several instances; n is given where it is below five.",
        "A flip of a local search counts as a candidate. Published: one instance per size; seconds on the published hardware; "
        "walksat is compared with the published local search that resembles it.",
        *_missing(entries),
    )
    return Table("maxsat_scaling", "MAX-SAT over sizes", columns, rows, notes)


def _missing(entries: Sequence[Entry]) -> list[str]:
    """A sentence for every method and study that has not run at all of the sizes for which the method was published."""
    sizes: dict[tuple[str, str], set[int]] = {}
    for entry in entries:
        sizes.setdefault((entry.optimizer, entry.study), set()).add(entry.variables)
    sentences = []
    for (optimizer, study), present in sorted(sizes.items()):
        published = [size for size in PUBLISHED_SIZES if published_share(size, optimizer)]
        if absent := [f"{size:,}" for size in published if size not in present]:
            sentences.append(f"No finished run of {optimizer}, study {study}, with {', '.join(absent)} variables.")
    return sentences


def _candidates(run: RunRecord) -> float | None:
    return number(run.ledger, "spent", "candidate_evaluations")


def _ratio(amount: float | None, per: float | None) -> float | None:
    return amount / per if amount is not None and per else None
