"""Per family and axis: methods against tasks, the summary of a comparison."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from polystep.report.boards import Board
from polystep.report.groups import Group
from polystep.report.material import Material, family_section
from polystep.report.one_run import DEFAULT, METHOD, THEORY, TITLE, has_quantised_heads, method_title
from polystep.report.published import published_at_equal_steps, published_score
from polystep.report.table import RUNS, Column, Row, Table, spread_column, text_column
from polystep.report.text import file_stem, number_text, plain

_SCORED = {
    "returns": " Returns are those of the last policy, as published.",
    "first": " Here: at the checkpoint that validation chose; published: the best of all looks at the test set, of which "
    "MAX-SAT has one, at the end.",
    "revised": " Here and published: at the checkpoint that validation chose.",
}
"""What the scores are, which editions treat differently."""


def tables(material: Material) -> Iterator[Table]:
    """One table for each family and axis: mean test scores, the best one on every task highlighted."""
    for (family, axis), boards in material.main.items():
        rows = [*_measured(boards), *_published(boards)]
        columns: list[Column] = [text_column("method", "Method")]
        for board in boards:
            columns.append(spread_column(board.task, board.title, board["unit"], f"{board.task}_best"))
        title = f"{family_section(family)}: {axis}"
        name = file_stem("scores", family, axis)
        notes = _notes(material, family, axis)
        # the headline has what our own settings reach, EDITIONS.md the ladder of the theorem's conditions
        yield Table(name, title, columns, rows, notes, family_section(family), summary=axis not in (DEFAULT, THEORY))


def _measured(boards: Sequence[Board]) -> list[Row]:
    methods: dict[tuple[str, str], dict[str, Group]] = {}
    for board in boards:
        for group in board.groups:
            methods.setdefault((group.label, str(group["study"])), {})[board.task] = group
    best = {board.task: _shown_score(board.ranked[0]) for board in boards if len(board.ranked) > 1}
    # the label is enough where no other study has it
    studies = Counter(label for label, _ in methods)
    rows: list[tuple[int, int, Row]] = []
    for (label, study), groups in methods.items():
        row: dict[str, Any] = {"method": f"{label}, study {study}" if studies[label] > 1 else label}
        for task, group in groups.items():
            row[task] = group.spread(group.score)
            row[f"{task}_complete"] = group.may_be_ranked
            row[f"{task}_best"] = group.may_be_ranked and best.get(task) == _shown_score(group)
        row[RUNS] = ",".join(group.key for group in groups.values())
        rows.append((-sum(row[f"{task}_best"] for task in groups), -len(groups), row))
    return [row for _, _, row in sorted(rows, key=lambda item: item[:2])]


def _published(boards: Sequence[Board]) -> list[Row]:
    """What is published for PolyStep, and for methods that were run with the published settings or for the published steps."""
    edition, at_equal_steps = boards[0].edition, boards[0]["protocol"] == "equal_steps"
    runs = {str(group["optimizer"]): group.runs[0] for board in boards for group in board.groups}
    # some of the published runs had heads with a gradient
    titles = {METHOD: TITLE} | {
        name: plain(run["method_title"]) if has_quantised_heads(run) else method_title(run)
        for name, run in runs.items()
    }
    rows: list[Row] = []
    for method, title in titles.items() if edition or at_equal_steps else ():
        scores = {
            board.task: published_at_equal_steps(board.task, method)
            if at_equal_steps
            else published_score(board.task, method, edition)
            for board in boards
        }
        if any(scores.values()):
            rows.append({"method": f"{title}, published", **scores})
    return rows


def _notes(material: Material, family: str, axis: str) -> list[str]:
    notes = ["Bold: the best mean of the complete runs on a task."]
    board = material.main[family, axis][0]
    if board.edition:
        notes[0] += _SCORED["returns" if not board["unit"] else board.edition]
    if any(group.label.endswith(")") for board in material.main[family, axis] for group in board.groups):
        notes[0] += (
            " In brackets: how settings differ from those of the study, or, where that is long, the six characters that "
            "report.html lists them by."
        )
    lost = [group for board in material.main[family, axis] for group in board.groups if group.diverged]
    if lost:
        names = ", ".join(f"{group.label} on {group['task']} ({group.diverged} of {len(group.runs)})" for group in lost)
        notes.append(f"Runs that diverged, which count by the best point before: {names}.")
    others = [
        b for b in material.boards if (b["family"], b.axis) == (family, axis) and b not in material.main[family, axis]
    ]
    if others:
        runs = sum(len(group.runs) for board in others for group in board.groups)
        tasks = ", ".join(sorted({board.task for board in others}))
        notes.append(
            f"Not shown, because their data, budget, processor, threads or device differ or the family has more tasks: "
            f"{runs} runs ({tasks}); see the page."
        )
    cut = [group for board in material.main[family, axis] for group in board.groups if not group.may_be_ranked]
    if cut:
        names = ", ".join(f"{group.label} on {group['task']}" for group in cut)
        notes.append(
            "Without rank, because runs used less or more than their budget, ran on a busy machine, or have a score that is no "
            f"number: {names}."
        )
    return notes


def _shown_score(group: Group) -> str:
    """The mean as it is printed: what readers cannot tell apart is equally good."""
    score = group.spread(group.score)
    return number_text(score.mean if score else None, group["unit"])
