"""Own runs of one method on one task beside the committed ones, without rerunning anything."""

from collections.abc import Sequence
from typing import Any

from pandas import DataFrame

from polystep.contracts import ExpectedError
from polystep.report.groups import Group, group_runs
from polystep.report.one_run import axis_order, budget_fault, context_of
from polystep.report.rows import METHOD, SEEDS, STEP_SECONDS, difference_column, group_row
from polystep.report.runs import COMMITTED, OWN
from polystep.report.table import Table, spread_column, text_column
from polystep.report.tables.comparison import difference_of
from polystep.report.text import number_text
from polystep.validation import did_you_mean

_COLUMNS = (
    METHOD,
    text_column("origin", "Runs"),
    SEEDS,
    spread_column("test", "Test score"),
    difference_column("minus yours (95 %)"),
    STEP_SECONDS,
    text_column("context", "Context"),
    text_column("remark", "Not compared"),
)


def compare(runs: DataFrame, task: str, optimizer: str) -> tuple[list[Table], list[str]]:
    """A table for each axis that there are own runs of, the best first, and a sentence for each that only one side has.

    `runs` has a column `origin`, own or committed. Differences are to the own runs, seed by seed; where data, budget or,
    for equal seconds, the context differ, there is none and the table says why.

    Raises:
        ExpectedError: there is no finished own run of this method on this task.
    """
    # a repetition of a committed run is shown beside it, and does not replace it
    here = runs[(runs["task"] == task) & (runs["protocol"] != "tuning")]
    mine = group_runs(here[(here["origin"] == OWN) & (here["optimizer"] == optimizer)])
    if not mine:
        own = runs[(runs["origin"] == OWN) & (runs["status"] == "finished")]
        known = sorted({f"optimizer={row.optimizer} task={row.task}" for row in own.itertuples()})
        raise ExpectedError(
            f"no finished run of your own has optimizer={optimizer} and task={task}"
            + did_you_mean(optimizer, own["optimizer"].unique())
            + (f"; there are {', '.join(known)}" if known else "; make one with python -m scripts.run")
        )
    others = [group for group in group_runs(here[here["origin"] == COMMITTED]) if group.is_own]
    yours, theirs = {group.axis for group in mine}, {group.axis for group in others}
    tables = [_table(task, axis, mine, others) for axis in sorted(yours, key=axis_order)]
    lonely = sorted(yours ^ theirs, key=axis_order)
    return tables, [f"{axis}: only {'your' if axis in yours else 'committed'} runs" for axis in lonely]


def _table(task: str, axis: str, mine: Sequence[Group], others: Sequence[Group]) -> Table:
    members = [group for group in [*mine, *others] if group.axis == axis]
    reference = max((g for g in mine if g.axis == axis), key=lambda g: (g.is_own, g.may_be_ranked, len(g.runs)))
    members.sort(key=Group.signed_mean, reverse=True)
    rows = [_row(group, reference) for group in members]
    title = f"{task}: {axis}"
    if len(contexts := {row["context"] for row in rows}) == 1:
        # said once, by the title
        title, rows = f"{title}; {contexts.pop()}", [row | {"context": None} for row in rows]
    chosen = (
        "the last policy, as is published"
        if members[0].score == "test_last"
        else "the checkpoint that validation chose"
    )
    notes = (f"Test scores of {chosen}.",)
    return Table("compare", title, _COLUMNS, rows, notes)


def _row(group: Group, reference: Group) -> dict[str, Any]:
    remark = "" if group is reference else _difference_of_conditions(group, reference)
    return {
        **group_row(group, test=group.score),
        "origin": group["origin"],
        "difference": difference_of(group, None if remark else reference),
        "context": context_of(group.runs[0]),
        "remark": remark,
    }


def _difference_of_conditions(group: Group, reference: Group) -> str:
    """Why two groups of one axis cannot be compared; empty where they can."""
    if fault := next(filter(None, map(budget_fault, (*group.runs, *reference.runs))), ""):
        return fault
    if not (group.may_be_ranked and reference.may_be_ranked):
        return "a score that is no number"
    if not {run["data"] for run in group.runs} & {run["data"] for run in reference.runs}:
        return "other data"
    if group.context != reference.context:
        return "other processor, threads or device"
    if group.budget != reference.budget:
        return f"other budget: {group.limit}={number_text(group[group.limit], '')}"
    return ""
