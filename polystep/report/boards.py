"""Groups that may be compared share a board."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

from polystep.report.groups import Group
from polystep.report.one_run import APART, METHOD, axis_order, lent
from polystep.report.text import finite


@dataclass(frozen=True)
class Board:
    """Groups that may be compared: one task on the same data, one protocol and budget, for equal seconds in one context.

    remark: what tells it from other boards of the task and axis. groups: with the settings of their studies, the best mean
    test score first.
    """

    task: str
    axis: str
    remark: str
    groups: tuple[Group, ...]

    def __getitem__(self, column: str) -> Any:
        """What all runs share."""
        return self.groups[0][column]

    @property
    def edition(self) -> str | None:
        """The edition whose settings all runs have; None where they have those of no edition."""
        return self["edition"] if self["protocol"] == "published" else None

    @property
    def title(self) -> str:
        """The task, and what tells the board from others of it."""
        return f"{self.task}, {self.remark}" if self.remark else self.task

    @property
    def ranked(self) -> list[Group]:
        """The groups that may be ranked."""
        return [group for group in self.groups if group.may_be_ranked]

    @property
    def own(self) -> Group | None:
        """The group of the paper's method; of several the one with most evidence."""
        found = [group for group in self.ranked if group["optimizer"] == METHOD]
        return max(found, key=lambda group: group.evidence, default=None)

    def best(self, groups: Iterable[Group]) -> Group | None:
        """The one of `groups` with the best validation score: test scores must not choose."""
        known = [group for group in groups if group.spread("validation_selected")]
        return max(known, key=lambda group: (group.signed_mean("validation_selected"), group["cell_id"]), default=None)

    @property
    def rivals(self) -> list[Group]:
        """The ranked groups of other methods that use losses alone."""
        return [group for group in self.ranked if group.is_black_box and group["method"] != METHOD]


def boards_of(groups: Sequence[Group]) -> list[Board]:
    """The groups with the settings of their studies by what may be compared; tuning, for one, is no comparison."""
    found: dict[tuple[str, ...], list[Group]] = {}
    known = _data_of_groups(groups)
    for group in groups:
        if group.is_own and group["protocol"] not in APART:
            found.setdefault(_board_names(group, known), []).append(group)
    for group in _lent_groups(groups):
        others = found.get(_board_names(group, known), [])
        editions = {other["edition"] for other in others}
        if editions == {group["edition"]} and METHOD not in {other["optimizer"] for other in others}:
            others.append(group)
    boards = []
    for (task, axis), members in groupby(sorted(found), key=lambda key: key[:2]):
        keys = list(members)
        for key in keys:
            budget, data, context = key[2:]
            remarks = [budget] if budget else []
            remarks += [f"data {data[:6]}"] if len({other[3] for other in keys}) > 1 else []
            remarks += [context] if len({other[4] for other in keys}) > 1 else []
            groups_here = sorted(found[key], key=Group.signed_mean, reverse=True)
            boards.append(Board(task, axis, ", ".join(remarks), tuple(groups_here)))
    return sorted(boards, key=_board_order)


def main_boards(boards: Sequence[Board], most: int = 8) -> dict[tuple[str, str], list[Board]]:
    """For summaries, by family and axis: of each task the board with most ranked groups and runs, in order of size.

    Of a family that is about sizes one task per size, and in all no more than `most`, those with most groups.
    """
    found: dict[tuple[str, str], dict[str, Board]] = {}
    for board in boards:
        tasks = found.setdefault((board["family"], board.axis), {})
        if board.task not in tasks or _weight(board) > _weight(tasks[board.task]):
            tasks[board.task] = board
    chosen = {}
    for key, tasks in found.items():
        fullest = sorted(tasks.values(), key=_weight, reverse=True)
        if is_about_sizes(fullest):
            fullest = [*{board["size"]: board for board in reversed(fullest)}.values()][::-1]
        chosen[key] = sorted(fullest[:most], key=_board_order)
    return dict(sorted(chosen.items(), key=lambda item: (item[0][0], axis_order(item[0][1]))))


def groups_by_method(boards: Iterable[Board]) -> dict[str, list[Group]]:
    """The ranked groups of every method, one per task: of several the one with most evidence."""
    found: dict[str, dict[str, Group]] = {}
    for board in boards:
        for group in sorted(board.ranked, key=lambda group: group.evidence):
            found.setdefault(str(group["optimizer"]), {})[board.task] = group
    return {optimizer: list(groups.values()) for optimizer, groups in found.items()}


def is_about_sizes(boards: Sequence[Board]) -> bool:
    """Whether sizes, rather than kinds, tell the tasks of a family apart: most of their names differ by numbers alone."""
    # of instance files, whose names end with a hash, as of others
    stems = Counter(re.sub(r"_[0-9a-f]{6}$|\d+", "", board.task) for board in boards)
    sizes = {size for board in boards if (size := finite(board["size"]))}
    return len(sizes) > 2 and 2 * max(stems.values()) > len(boards)


def _data_of_groups(groups: Sequence[Group]) -> dict[str, str]:
    """By group: which data it was run on, as one name for all groups that share some."""
    roots: dict[tuple[str, str], str] = {}
    for group in groups:
        data = [(str(group["task"]), str(run["data"])) for run in group.runs]
        joined = {roots.get(key, key[1]) for key in data}
        roots |= dict.fromkeys(data, min(joined))
        roots |= {key: min(joined) for key, root in roots.items() if key[0] == data[0][0] and root in joined}
    return {group.key: roots[str(group["task"]), str(group.runs[0]["data"])] for group in groups}


def _board_names(group: Group, data: Mapping[str, str]) -> tuple[str, ...]:
    return str(group["task"]), group.axis, group.budget, data[group.key], group.context


def _lent_groups(groups: Sequence[Group]) -> Iterator[Group]:
    """The published runs of PolyStep as the comparisons see them that give rivals its budget."""
    for group in groups:
        if group.is_own:
            for runs in zip(*map(lent, group.runs), strict=True):
                yield replace(group, runs=runs)


def _weight(board: Board) -> tuple[int, int]:
    return len(board.ranked), sum(len(group.runs) for group in board.groups)


def _board_order(board: Board) -> tuple[Any, ...]:
    return board["family"], axis_order(board.axis), finite(board["size"]) or 0, board.task, board.remark
