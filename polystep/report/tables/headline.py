"""The headline: per task, what is published for the paper's method, what it reaches here, and who competes."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from polystep.report.groups import METHOD, Board, Group
from polystep.report.material import HEADLINE, Material, family_section
from polystep.report.published import EDITIONS, published_score
from polystep.report.table import RUNS, Column, Table, number_column, spread_column, text_column
from polystep.report.text import MISSING

_OWN = {
    "first_here": ("published settings, first edition", "first edition, here"),
    "revised_here": ("published settings, revised edition", "revised edition, here"),
    "default": ("default settings", "our settings"),
    "equal_seconds": ("equal seconds", "equal seconds"),
}


def tables(material: Material) -> Iterator[Table]:
    """One row per task that the paper's method has run on."""
    boards: dict[str, dict[str, Board]] = {}
    for members in material.main.values():
        for board in members:
            boards.setdefault(board.task, {})[board.axis] = board
    order = {section: place for place, section in enumerate(material.sections)}
    rows = [_row(task, by_axis) for task, by_axis in boards.items()]
    rows.sort(key=lambda row: order[row["family"]])
    yield Table(
        "headline",
        "PolyStep, and who competes",
        (
            text_column("task", "Task"),
            text_column("metric", "Score"),
            *(spread_column(edition, f"published, {title}") for edition, title in EDITIONS.items()),
            *(spread_column(key, title) for key, (_, title) in _OWN.items()),
            number_column("seconds", "equal for", "seconds"),
            method_column("rival", "best black-box rival, equal seconds"),
            method_column("gradients", "gradients, equal seconds"),
        ),
        [row for row in rows if any(row[key] for key in _OWN)],
        (
            "Test scores at the checkpoint that validation chose: mean ± sample standard deviation over n seeds (shown below "
            "five). Published by the first edition: the best of all looks at the test set; of policies, the last one.",
            "Only complete runs with the settings of their study. Black-box: of the methods that use losses alone, the one "
            "with the best validation score. Equal seconds on a task: one processor, the same threads.",
        ),
        HEADLINE,
        summary=True,
    )


def _row(task: str, boards: dict[str, Board]) -> dict[str, Any]:
    first = next(iter(boards.values()))
    row: dict[str, Any] = {"family": family_section(first["family"]), "task": task, "metric": first["metric"]}
    row["unit"] = first["unit"]
    row |= {edition: published_score(task, METHOD, edition) for edition in EDITIONS}
    shown: list[Group] = []
    for key, (axis, _) in _OWN.items():
        own = boards[axis].own if axis in boards else None
        row[key] = own.spread("test_selected") if own else None
        shown += [own] if own else []
    equal = boards.get("equal seconds")
    row["seconds"] = equal["budget.seconds"] if equal else None
    rivals = {
        "rival": equal.best(equal.rivals) if equal else None,
        "gradients": equal.best([group for group in equal.ranked if group.uses_gradients]) if equal else None,
    }
    for key, group in rivals.items():
        row[f"{key}_method"] = group.label if group else None
        row[key] = group.spread("test_selected") if group else None
        shown += [group] if group else []
    return row | {RUNS: ",".join(group.key for group in shown)}


def method_column(key: str, title: str) -> Column:
    """A column of a method's score and name."""
    score = spread_column(key, title)

    def show(row: Any) -> str:
        return f"{score.show(row)}, {row[f'{key}_method']}" if row[f"{key}_method"] else MISSING

    return replace(score, show=show)
