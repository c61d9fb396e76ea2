"""Tables over all protocols: results, fidelity of the early learning curve, environments; and what all tables share."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from polystep.bench.groups import Group
from polystep.bench.published import published_cost, published_curve
from polystep.bench.quantities import Quantity
from polystep.bench.records import RunRecord
from polystep.bench.rendering import Cell, Column, Table

MEASURED = ("mean", "std", "n", "by_seed")
PUBLISHED = ("mean", "std", "n")

NAMES = (
    Column("task", "Task"),
    Column("metric", "Metric"),
    Column("unit", ""),
    Column("method", "Method"),
    Column("study", "Study"),
    Column("protocol", "Protocol"),
)
NAMES_WITHIN_PROTOCOL = (*NAMES[:-1], Column("protocol", ""))
"""The same for tables whose title names their one protocol."""
SPREAD = (
    "Mean ± population standard deviation over the seeds; n is given where it is below five. — is not known.",
    "Study 'paper' uses the published settings, study 'default' the default settings of this library.",
)


def results_table(groups: Sequence[Group]) -> Table:
    """One row per group: scores and cost beside the published ones."""
    notes = [
        *SPREAD,
        "Published, best test: the highest of all evaluations on the test set during training, hence optimistic. "
        + "Test, validation-selected: the checkpoint was chosen without the test set.",
        "Step seconds: optimiser and candidate evaluation, on the machines listed under environments; published seconds: wall "
        + "time on the published hardware. They compare machines as much as methods.",
    ]
    if any(group.optimizer == "adam" and group.published_best and group.task.endswith("_smooth") for group in groups):
        notes.append("Published Adam of tasks named *_smooth trained this smooth substitute of the network.")
    columns = (
        *NAMES,
        Column("seeds", "Seeds"),
        Column("steps", "Steps", ("mean", "by_seed")),
        Column("test_selected", "Test, validation-selected", MEASURED),
        Column("test_last", "Test, last", MEASURED),
        Column("published_best_test", "Published, best test", PUBLISHED),
        Column("published_last", "Published, last", PUBLISHED),
        Column("candidates", "Candidates evaluated", ("mean", "by_seed")),
        Column("step_seconds", "Step seconds", MEASURED),
        Column("published_seconds", "Published seconds", ("mean", "n")),
        Column("peak_memory_bytes", "Peak memory (MB)", ("mean", "by_seed")),
    )
    return Table("results", title_of("Results", groups), columns, [_result(group) for group in groups], tuple(notes))


def early_curve_table(groups: Sequence[Group]) -> Table:
    """One row per group and marked step, for the methods with a published learning curve.

    within = |mean - published mean| <= 2 x published standard deviation.
    """
    rows: list[dict[str, Cell]] = []
    for group in groups:
        published = _published_marks(group)
        for step, score in group.marked_scores().items() if published else ():
            target = published.get(step)
            row = name_cells(group) | {"step": step, "test": score, "published_test": target}
            if target is not None and target.std is not None:
                difference = score.mean - target.mean
                row["difference"] = Quantity(difference, None, score.n, f"difference of {group.unit}")
                row["within"] = "yes" if abs(difference) <= 2 * target.std else "no"
            rows.append(row)
    columns = (
        *NAMES,
        Column("step", "Step"),
        Column("test", "Test", MEASURED),
        Column("published_test", "Published test", PUBLISHED),
        Column("difference", "Difference", ("mean",)),
        Column("within", "Within two published standard deviations"),
    )
    notes = (*SPREAD, "Published runs trained on the whole training set, runs here on what validation leaves of it.")
    shown = [group for group in groups if any(row["task"] == group.task for row in rows)]
    return Table("early_curve", title_of("Test score early in training", shown), columns, rows, notes)


def environments_table(runs: Iterable[RunRecord]) -> Table:
    """What the environments of the runs hold: every property with its values and the number of runs of each."""
    counts = Counter(item for run in runs for item in _flat(run.environment))
    rows: list[dict[str, Cell]] = [
        {"property": name, "value": value, "runs": count} for (name, value), count in sorted(counts.items())
    ]
    columns = (Column("property", "Property"), Column("value", "Value"), Column("runs", "Runs"))
    return Table("environments", "Environments of the finished runs", columns, rows)


def _result(group: Group) -> dict[str, Cell]:
    cost = published_cost(group.task, group.optimizer)
    best = group.published_best
    seconds = Quantity(cost.seconds, None, best.n, "seconds") if cost and cost.seconds and best else None
    return name_cells(group) | {
        "seeds": len(group.runs),
        "steps": group.over_seeds("count", "metrics", "steps"),
        "test_selected": group.selected,
        "test_last": group.last,
        "published_best_test": best,
        "published_last": group.published_last,
        "candidates": group.over_seeds("count", "ledger", "spent", "candidate_evaluations"),
        "step_seconds": group.step_seconds(),
        "published_seconds": seconds,
        "peak_memory_bytes": group.over_seeds("bytes", "ledger", "peak_memory_bytes"),
    }


def _published_marks(group: Group) -> dict[int, Quantity]:
    curve = published_curve(group.task, group.optimizer) if group.published_best else None
    if curve is None:
        return {}
    return {int(row.Index): Quantity(row.mean, row.std, int(row.n_seeds), group.unit) for row in curve.itertuples()}


def name_cells(group: Group) -> dict[str, Cell]:
    """The cells of `NAMES`, and the names of the runs behind the row, which no column shows."""
    return {
        "task": group.task,
        "metric": group.metric,
        "unit": group.unit,
        "method": group.method,
        "study": group.study,
        "protocol": group.protocol,
        "sources": tuple(run.name for run in group.runs),
    }


def title_of(subject: str, groups: Sequence[Group]) -> str:
    """The title of a table, with the protocols that it shows."""
    protocols = sorted({group.protocol for group in groups})
    return f"{subject} ({'protocol' if len(protocols) == 1 else 'protocols'}: {', '.join(protocols) or 'none'})"


def _flat(tree: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, str]]:
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", str(value)
