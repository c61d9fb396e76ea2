"""Tables of what the methods spent under one protocol: in total, per update, per epoch, and until a threshold."""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from polystep.bench.curves import cost_to_reach
from polystep.bench.groups import Group, step_seconds
from polystep.bench.quantities import CensoredMedian, Quantity, average, number
from polystep.bench.records import RunRecord
from polystep.bench.rendering import Cell, Column, Table, file_stem
from polystep.bench.statistics import censored_median
from polystep.bench.tables import NAMES_WITHIN_PROTOCOL, SPREAD, name_cells, title_of

if TYPE_CHECKING:
    from pandas import DataFrame

THRESHOLD = 0.9

_CURRENCIES = {
    "candidate_evaluations": "Candidates",
    "sample_forwards": "Sample forwards",
    "backward_passes": "Backward passes",
    "clause_checks": "Clause checks",
    "environment_steps": "Environment steps",
}
_TOTAL = ("mean", "by_seed")
_CENSORED = ("median", "exact", "by_seed", "unreached")


def budget_table(groups: Sequence[Group]) -> Table:
    """One row per group: what its runs spent in every currency, in total; `groups` share one protocol."""
    rows = [_budget(group) for group in groups]
    columns = [*NAMES_WITHIN_PROTOCOL, Column("seeds", "Seeds"), Column("steps", "Steps", _TOTAL)]
    for currency, currency_title in _CURRENCIES.items():
        # What nobody spent is in the CSV file only.
        shown = any(getattr(row[currency], "mean", 0) for row in rows)
        columns.append(Column(currency, currency_title if shown else "", _TOTAL))
    columns += [
        Column("step_seconds", "Step seconds", ("mean", "std", "n", "by_seed")),
        Column("peak_memory_bytes", "Peak memory (MB)", _TOTAL),
    ]
    notes = (
        *SPREAD,
        "Means over seeds. Sample forwards: candidates x data rows; backward passes: gradients x data rows; clause checks: "
        "candidates x clauses. Step seconds: optimiser and evaluation, without validation, tests, compilation and files.",
        "Peak memory: of the whole process, data and libraries included, plus that of the GPU where one was used.",
    )
    title = title_of("What the runs spent", groups)
    return Table(file_stem("budget", groups[0].protocol), title, tuple(columns), rows, notes)


def normalised_budget_table(groups: Sequence[Group], histories: Mapping[str, "DataFrame"]) -> Table:
    """One row per group: what its runs spent per parameter update and per pass over the training data.

    `groups` share one protocol; `histories` maps names of runs to their histories, which know the epochs.
    """
    rows = [_normalised(group, histories) for group in groups]
    columns = [*NAMES_WITHIN_PROTOCOL, Column("updates", "Updates", _TOTAL), Column("epochs", "Epochs", _TOTAL)]
    for key, title in (*_CURRENCIES.items(), ("seconds", "Step seconds")):
        for share in ("update", "epoch"):
            name = f"{key}_per_{share}"
            # What nobody spent is in the CSV file only.
            shown = any(getattr(row[name], "mean", 0) for row in rows)
            columns.append(Column(name, f"{title} per {share}" if shown else "", _TOTAL))
    notes = (
        *SPREAD,
        "Every step updates the parameters once, also one that coasts and evaluates nothing. Epoch: one pass over the training "
        "data; tasks without data have none.",
    )
    title = title_of("What the runs spent per update and per epoch", groups)
    return Table(file_stem("budget_normalised", groups[0].protocol), title, tuple(columns), rows, notes)


def time_to_90_table(groups: Sequence[Group], histories: Mapping[str, "DataFrame"]) -> Table:
    """One row per group with an accuracy: what its runs spent until the first validation of at least 90 %.

    `groups` share one protocol; `histories` maps names of runs to their histories. A run that never got there is
    censored at its end.
    """
    rows: list[dict[str, Cell]] = []
    for group in groups:
        runs = [run for run in group.runs if run.name in histories]
        if not group.is_accuracy or not runs:
            continue
        seconds = median_cost(runs, histories, "seconds", "seconds", THRESHOLD)
        if seconds is None:
            continue
        rows.append(
            name_cells(group)
            | {
                "reached": f"{len(runs) - len(seconds.unreached)} of {len(runs)}",
                "candidates": median_cost(runs, histories, "candidate_evaluations", "count", THRESHOLD),
                "seconds": seconds,
            }
        )
    columns = (
        *NAMES_WITHIN_PROTOCOL,
        Column("reached", "Seeds that reached it"),
        Column("candidates", "Candidates, median", _CENSORED),
        Column("seconds", "Step seconds, median", _CENSORED),
    )
    notes = (
        "The first validation at 90 % counts, so numbers are exact to the distance of two validations. Runs that ended "
        "before are censored there: where they hide the median, > marks the largest known lower bound.",
        "Methods that evaluate no candidates have seconds only.",
    )
    title = title_of("Spent until 90 % validation accuracy", groups)
    return Table(file_stem("time_to_90", groups[0].protocol), title, columns, rows, notes)


def _budget(group: Group) -> dict[str, Cell]:
    row = name_cells(group) | {
        "seeds": len(group.runs),
        "steps": group.over_seeds("count", "metrics", "steps"),
        "step_seconds": group.step_seconds(),
        "peak_memory_bytes": group.over_seeds("bytes", "ledger", "peak_memory_bytes"),
    }
    for currency in _CURRENCIES:
        row[currency] = group.over_seeds("count", "ledger", "spent", currency)
    return row


def _normalised(group: Group, histories: Mapping[str, "DataFrame"]) -> dict[str, Cell]:
    epochs = {run.labels["seed"]: _epochs(histories.get(run.name)) for run in group.runs}
    row = name_cells(group) | {
        "updates": group.over_seeds("count", "metrics", "steps"),
        "epochs": average(epochs, "epochs"),
        "seconds_per_update": group.per_step("seconds per step", step_seconds),
        "seconds_per_epoch": _per_epoch(group, epochs, "seconds", step_seconds),
    }
    for currency in _CURRENCIES:
        spent = partial(_spent, currency)
        row[f"{currency}_per_update"] = group.per_step("count", spent)
        row[f"{currency}_per_epoch"] = _per_epoch(group, epochs, "count", spent)
    return row


def _per_epoch(
    group: Group, epochs: Mapping[int, float | None], unit: str, amount: Callable[[RunRecord], float | None]
) -> Quantity | None:
    shares: dict[int, float | None] = {}
    for run in group.runs:
        total, passes = amount(run), epochs[run.labels["seed"]]
        shares[run.labels["seed"]] = total / passes if total is not None and passes else None
    return average(shares, unit)


def _epochs(history: "DataFrame | None") -> float | None:
    """Passes over the training data until the end; None where the history does not know."""
    last = None if history is None or "epoch" not in history else float(history["epoch"].max())
    return last if last is not None and math.isfinite(last) else None


def _spent(currency: str, run: RunRecord) -> float | None:
    return number(run.ledger, "spent", currency)


def median_cost(
    runs: Sequence[RunRecord], histories: Mapping[str, "DataFrame"], column: str, unit: str, threshold: float
) -> CensoredMedian | None:
    """Cost of the first validation of at least `threshold`, median over runs; None where a run spent nothing of this kind."""
    costs: list[tuple[int, float]] = []
    unreached: list[int] = []
    for run in runs:
        cost = cost_to_reach(histories[run.name], column, threshold)
        if cost is None:
            return None
        costs.append((run.labels["seed"], cost[0]))
        if not cost[1]:
            unreached.append(run.labels["seed"])
    reached = [seed not in unreached for seed, _ in costs]
    median, exact = censored_median([cost for _, cost in costs], reached)
    return CensoredMedian(median, exact, unit, tuple(costs), tuple(unreached))
