"""The headline: per task, what is published for the paper's method, what it reaches here, and who competes."""

from collections.abc import Iterator, Mapping
from dataclasses import replace

from polystep.report.boards import Board, main_boards
from polystep.report.groups import Group
from polystep.report.material import HEADLINE, Material, family_section
from polystep.report.one_run import DEFAULT, EQUAL_SECONDS, METHOD, PUBLISHED
from polystep.report.published import EDITIONS, published_score
from polystep.report.table import RUNS, Column, Row, Table, number_column, spread_column, text_column
from polystep.report.text import MISSING, Spread

_OWN = {
    **{f"{edition}_here": (PUBLISHED[edition], f"{title}, here") for edition, title in EDITIONS.items()},
    "default": (DEFAULT, DEFAULT),
    "equal_seconds": (EQUAL_SECONDS, EQUAL_SECONDS),
}


def tables(material: Material) -> Iterator[Table]:
    """One row per task that the paper's method has run on; of tasks that differ in their size alone, one per size."""
    boards: dict[str, dict[str, Board]] = {}
    for members in main_boards(material.boards, most=len(material.boards)).values():
        for board in members:
            boards.setdefault(board.task, {})[board.axis] = board
    order = {section: place for place, section in enumerate(material.sections)}
    rows = [_row(task, by_axis) for task, by_axis in boards.items()]
    rows.sort(key=lambda row: order[row["family"]])
    yield Table(
        "headline",
        "PolyStep and its rivals",
        (
            text_column("task", "Task"),
            text_column("metric", "Score"),
            *(spread_column(edition, f"published, {title}") for edition, title in EDITIONS.items()),
            *(spread_column(key, title) for key, (_, title) in _OWN.items()),
            number_column("seconds", "seconds each", "seconds"),
            method_column("rival", "best black-box rival, equal seconds"),
            method_column("gradients", "gradients, equal seconds"),
        ),
        [row for row in rows if any(row[key] for key in _OWN)],
        (
            "Test scores at the checkpoint that validation chose: mean ± sample standard deviation over n seeds (shown below "
            "five). Published by the first edition on networks: the best of all looks at the test set; on MAX-SAT: the last "
            "point. Of policies with published settings, both our number and the published one are those of the last policy.",
            "Only complete runs with the settings of their study. Black-box: of the methods that use losses alone, the one "
            "with the best validation score. Equal seconds on a task: one processor, the same threads.",
        ),
        HEADLINE,
        summary=True,
    )


def _row(task: str, boards: Mapping[str, Board]) -> Row:
    first, equal = next(iter(boards.values())), boards.get(EQUAL_SECONDS)
    own = {key: boards[axis].own for key, (axis, _) in _OWN.items() if axis in boards}
    rivals = {
        "rival": equal.best(equal.rivals) if equal else None,
        "gradients": equal.best([group for group in equal.ranked if group.uses_gradients]) if equal else None,
    }
    row = {
        "family": family_section(first["family"]),
        "task": task,
        "metric": first["metric"],
        "unit": first["unit"],
        **{edition: published_score(task, METHOD, edition) for edition in EDITIONS},
        **{key: _score(own.get(key)) for key in _OWN},
        "seconds": equal["budget.seconds"] if equal else None,
    }
    for key, group in rivals.items():
        row |= {f"{key}_method": group.label if group else None, key: _score(group)}
    return row | {RUNS: ",".join(group.key for group in [*own.values(), *rivals.values()] if group)}


def _score(group: Group | None) -> Spread | None:
    return group.spread(group.score) if group else None


def method_column(key: str, title: str) -> Column:
    """A column of a method's score and name."""
    score = spread_column(key, title)

    def show(row: Row) -> str:
        return f"{score.show(row)}, {row[f'{key}_method']}" if row[f"{key}_method"] else MISSING

    return replace(score, show=show)
