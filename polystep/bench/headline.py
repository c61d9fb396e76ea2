"""The headline: per task, what is published for the paper's method, what it reaches here, and who competes."""

from collections.abc import Sequence
from itertools import groupby

from polystep.bench.comparison import reference_group
from polystep.bench.control_scores import control_entries
from polystep.bench.groups import METHOD_OF_THE_PAPER, Group
from polystep.bench.learning_curves import with_learning_curves
from polystep.bench.maxsat_scaling import of_published_distribution
from polystep.bench.published import published_cost
from polystep.bench.quantities import Quantity
from polystep.bench.rendering import Cell, Column, Table, file_stem

PAPER, DEFAULT, EQUAL_TIME = "paper", "default", "matched-time"
_OWN = {PAPER: "PolyStep, published settings", DEFAULT: "PolyStep, our settings", EQUAL_TIME: "PolyStep, equal time"}
_GRADIENT_METHODS = "adam"


def headline_table(groups: Sequence[Group]) -> Table:
    """One row per task that the paper's method has run on with some settings of its own: test scores at the checkpoint that
    validation chose. Where it has only met its rivals, the tables of that protocol say what came of it.

    Of several settings under one protocol, and of several rivals, the one with the best validation score is shown.
    """
    by_task = [list(members) for _, members in groupby(groups, key=lambda group: group.task)]
    rows = [_row(members) for members in by_task if any(map(_has_row, members))]
    columns = (
        Column("task", "Task"),
        Column("published", "PolyStep, published"),
        *(Column(protocol, title) for protocol, title in _OWN.items()),
        Column("rival", "Best rival without gradients, equal time"),
        Column("gradients", "Gradients"),
    )
    notes = (
        "Test scores, mean ± population standard deviation over n seeds (shown below five), at the checkpoint that validation "
        "chose. Published: the best of all looks at the test set; of policies, the last one.",
        "Runs with published settings that ended before the published number of steps say so. Of several settings or rivals, "
        "the one with the best validation score. Equal time: every method had the seconds shown.",
    )
    return Table("headline", "Headline", columns, rows, notes)


def headline_figures(groups: Sequence[Group]) -> list[tuple[str, str]]:
    """Title and file stem of the two figures that show most: learning curves on one task, and MAX-SAT over its sizes or the
    scores of all methods; fewer where less has run.
    """
    policies, drawn = control_entries(groups), with_learning_curves(groups)
    figures = []
    if protocol := _shown_protocol(drawn):
        tasks = {group.task for group in drawn if group.protocol == protocol}
        task = "snn" if "snn" in tasks else min(tasks)
        curves = f"Learning curves, task {task}, protocol {protocol}"
        figures.append((curves, file_stem("learning_curves", task, protocol)))
        figures.append((f"Test scores, protocol {protocol}", file_stem("scores", protocol)))
    elif protocol := _shown_protocol([entry.group for entry in policies]):
        for environment in sorted({entry.environment for entry in policies if entry.group.protocol == protocol}):
            title = f"Return on {environment}, protocol {protocol}"
            figures.append((title, file_stem("return", environment, protocol)))
    if any(of_published_distribution(group.task) for group in groups):
        figures[1:] = [("MAX-SAT over its sizes", "maxsat_sizes")]
    return figures


def _shown_protocol(groups: Sequence[Group]) -> str | None:
    protocols = {group.protocol for group in groups}
    return next((name for name in (EQUAL_TIME, DEFAULT, PAPER) if name in protocols), None)


def _row(groups: Sequence[Group]) -> dict[str, Cell]:
    first = groups[0]
    row: dict[str, Cell] = {
        "task": first.task,
        "published": next((str(score) for group in groups if _is_own(group) and (score := _published(group))), None),
    }
    shown = []
    for protocol in _OWN:
        found = [group for group in groups if _is_own(group) and group.protocol == protocol]
        if own := reference_group(found) if found else None:
            row[protocol] = f"{own.selected}{_cut_short(own)}{_seconds(own)}"
            shown.append(own)
    others = [group for group in groups if not _is_own(group)]
    without = [g for g in others if g.protocol == EQUAL_TIME and not g.optimizer.startswith(_GRADIENT_METHODS)]
    gradients = [g for g in others if g.protocol in (EQUAL_TIME, DEFAULT) and g.optimizer.startswith(_GRADIENT_METHODS)]
    for name, rivals in (("rival", without), ("gradients", gradients)):
        if rival := reference_group(rivals) if rivals else None:
            row[name] = f"{rival.selected}, {rival.method}"
            shown.append(rival)
    row["sources"] = tuple(run.name for group in shown for run in group.runs)
    return row


def _has_row(group: Group) -> bool:
    return _is_own(group) and (group.protocol in (PAPER, DEFAULT) or _published(group) is not None)


def _published(group: Group) -> Quantity | None:
    return group.published_best or next((entry.published("final_return") for entry in control_entries([group])), None)


def _is_own(group: Group) -> bool:
    return group.optimizer == METHOD_OF_THE_PAPER


def _cut_short(group: Group) -> str:
    """The steps of runs with published settings that ended before the published ones, in words."""
    cost = published_cost(group.task, group.optimizer) if group.protocol == PAPER else None
    steps = group.over_seeds("count", "metrics", "steps")
    if cost is None or not cost.steps or steps is None or steps.mean >= cost.steps:
        return ""
    return f", {steps.mean:.0f} of {cost.steps:.0f} steps"


def _seconds(group: Group) -> str:
    """The budget of runs whose rivals had as many seconds."""
    seconds = (group.runs[0].config.get("budget") or {}).get("seconds") if group.protocol == EQUAL_TIME else None
    return "" if seconds is None else f", {seconds:g} s"
