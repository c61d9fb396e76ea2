"""Runs that differ by seed only are a group; groups that may be compared share a board."""

import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

from pandas import DataFrame

from polystep.report.one_run import (
    APART,
    EQUAL,
    LOOKS,
    METHOD,
    Run,
    axis_of,
    axis_order,
    budget_fault,
    context_of,
    lent,
    method_title,
    settings_of,
    sign_of,
    uses_gradients,
)
from polystep.report.text import Spread, finite, number_text, plain

LONGEST_LABEL = 60
_COUNTED = {"equal_evaluations": " candidates", "equal_steps": " steps"}
"""What is counted under a protocol, after the number."""


@dataclass(frozen=True)
class Group:
    """Finished runs of equal settings, in order of seed; for equal seconds also of one context.

    key: stands for the group in links. label: its method, and what differs where a study has several settings of it.
    """

    key: str
    label: str
    runs: tuple[Run, ...]

    def __getitem__(self, column: str) -> Any:
        """What the runs share; None where it is unknown."""
        value = self.runs[0].get(column)
        return None if isinstance(value, float) and math.isnan(value) else value

    def values(self, column: str) -> dict[tuple[Any, Any], float]:
        """The known numbers of a column by seed and data."""
        found = {(run["seed"], run["data"]): finite(run.get(column)) for run in self.runs}
        return {key: value for key, value in found.items() if value is not None}

    def spread(self, column: str) -> Spread | None:
        """Mean and sample standard deviation of a column; None where no run knows it."""
        return spread_of(list(self.values(column).values()))

    @property
    def score(self) -> str:
        """The column of the score: the test at the checkpoint that validation chose; of returns with published settings that of
        the last policy, which is what is published.
        """
        return "test_last" if self["protocol"] == "published" and not self["unit"] else "test_selected"

    def signed_mean(self, column: str | None = None) -> float:
        """Mean of a column, by default of the score, turned so that larger is better; -inf where no run knows it."""
        spread = self.spread(column or self.score)
        return -math.inf if spread is None else self.sign * spread.mean

    @property
    def axis(self) -> str:
        """The protocol in words, with its edition."""
        return axis_of(self.runs[0])

    @property
    def limit(self) -> str:
        """The setting that is equal for all methods under the protocol; empty where it makes no budget equal."""
        return EQUAL.get(self["protocol"], ("",))[0]

    @property
    def budget(self) -> str:
        """The value of that setting, for readers."""
        if not self.limit:
            return ""
        protocol = self["protocol"]
        return number_text(self[self.limit], EQUAL[protocol][-1]) + _COUNTED.get(protocol, "")

    @property
    def context(self) -> str:
        """Where the runs were computed, if that decides what fits into their budget; else empty."""
        return _context_that_counts(self.runs[0])

    @property
    def is_own(self) -> bool:
        """Whether the settings are those of the study."""
        return not self["altered"]

    @property
    def is_complete(self) -> bool:
        """Whether every run used its budget, or ended because its method had nothing left to find."""
        return not any(map(budget_fault, self.runs))

    @property
    def diverged(self) -> int:
        """How many of the runs diverged, which count by the best point before."""
        return sum(run["ended_by"] == "divergence" for run in self.runs)

    @property
    def uses_gradients(self) -> bool:
        """Whether the method was seen to use gradients of any kind."""
        return uses_gradients(self.runs[0])

    @property
    def is_black_box(self) -> bool:
        """Whether the method was seen to use losses of candidates and nothing else."""
        return tuple(self["uses"]) == ("losses",)

    @property
    def sign(self) -> int:
        """1 where larger scores are better, -1 where smaller ones are."""
        return sign_of(self["direction"])


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
        """The groups that may be ranked: complete runs with a known score."""
        return [group for group in self.groups if group.is_complete and group.spread(group.score)]

    @property
    def own(self) -> Group | None:
        """The group of the paper's method; of several the one with most runs, of those the latest."""
        found = [group for group in self.ranked if group["optimizer"] == METHOD]
        return max(found, key=lambda group: (len(group.runs), max(run["ended"] for run in group.runs)), default=None)

    def best(self, groups: Iterable[Group]) -> Group | None:
        """The one of `groups` with the best validation score: test scores must not choose."""
        known = [group for group in groups if group.spread("validation_selected")]
        return max(known, key=lambda group: (group.signed_mean("validation_selected"), group["cell_id"]), default=None)

    @property
    def rivals(self) -> list[Group]:
        """The ranked groups of other methods that use losses alone."""
        return [group for group in self.ranked if group.is_black_box and group["method"] != METHOD]


def spread_of(values: Sequence[float]) -> Spread | None:
    """Mean and sample standard deviation, which is unknown for one value; None without values."""
    if not values:
        return None
    mean = math.fsum(values) / len(values)
    squares = math.fsum((value - mean) ** 2 for value in values)
    return Spread(mean, math.sqrt(squares / (len(values) - 1)) if len(values) > 1 else None, len(values))


def group_runs(runs: DataFrame) -> list[Group]:
    """The finished runs of a table as groups, sorted; where a run was repeated, the one that ended last counts."""
    finished = runs[runs["status"] == "finished"]
    records: list[Run] = finished.to_dict("records")
    # where several seeds have the same data, those do not belong to the seed
    seeds = finished.groupby(["cell_id", "data"])["seed"].nunique()
    fixed = {cell for cell, _ in seeds[seeds > 1].index}
    found: dict[tuple[str, ...], dict[Any, Run]] = {}
    for run in sorted(records, key=lambda run: str(run["ended"])):
        names = (str(run["task"]), axis_of(run), str(run["study"]), str(run["optimizer"]), str(run["cell_id"]))
        data = str(run["data"]) if run["cell_id"] in fixed else ""
        found.setdefault((*names, data, _context_that_counts(run)), {})[run["seed"], run["data"]] = run
    groups: list[Group] = []
    for _, keys in groupby(sorted(found), key=lambda key: key[:4]):
        members = [tuple(run for _, run in sorted(found[key].items())) for key in keys]
        for label, group in zip(setting_labels(members), members, strict=True):
            title = method_title(group[0])
            groups.append(Group(f"g{len(groups)}", f"{title} ({label})" if label else title, group))
    return groups


def boards_of(groups: Sequence[Group]) -> list[Board]:
    """The groups with the settings of their studies by what may be compared; tuning, for one, is no comparison."""
    found: dict[tuple[str, ...], list[Group]] = {}
    problems = _problems(groups)
    for group in groups:
        if group.is_own and group["protocol"] not in APART:
            found.setdefault(_board_names(group, problems), []).append(group)
    for group in _lent_groups(groups):
        others = found.get(_board_names(group, problems), [])
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
    """The ranked groups of every method, one per task: of several the one with most runs."""
    found: dict[str, dict[str, Group]] = {}
    for board in boards:
        for group in sorted(board.ranked, key=lambda group: len(group.runs)):
            found.setdefault(str(group["optimizer"]), {})[board.task] = group
    return {optimizer: list(groups.values()) for optimizer, groups in found.items()}


def is_about_sizes(boards: Sequence[Board]) -> bool:
    """Whether sizes, rather than kinds, tell the tasks of a family apart: most of their names differ by numbers alone."""
    # of instance files, whose names end with a hash, as of others
    stems = Counter(re.sub(r"_[0-9a-f]{6}$|\d+", "", board.task) for board in boards)
    sizes = {size for board in boards if (size := finite(board["size"]))}
    return len(sizes) > 2 and 2 * max(stems.values()) > len(boards)


def setting_labels(groups: Sequence[Sequence[Run]]) -> list[str]:
    """For groups of one method, task and study: the settings that differ from the usual ones, "" where none does.

    Usual is what the study prescribes, else what most groups have. The start of the identity of the settings stands for a label
    that is too long, and for equal labels.
    """
    if len(groups) == 1:
        return [plain(", ".join(groups[0][0]["altered"]), LONGEST_LABEL)]
    settings = [settings_of(runs[0]) for runs in groups]
    own = [place for place, runs in enumerate(groups) if not runs[0]["altered"]]
    counts = Counter(item for flat in settings for item in flat.items())
    usual = {key: value for (key, value), count in counts.items() if count > len(groups) / 2}
    if own:
        usual = settings[max(own, key=lambda place: len(groups[place]))]
    labels = []
    for flat in settings:
        told = (key for key in sorted(flat) if usual.get(key) != flat[key] and key not in LOOKS)
        telling = {key.removeprefix("optimizer."): flat[key] for key in told}
        labels.append(", ".join(f"{key}={value}" for key, value in telling.items()))
    return [
        label if labels.count(label) == 1 and len(label) <= LONGEST_LABEL else str(runs[0]["cell_id"])[:6]
        for label, runs in zip(labels, groups, strict=True)
    ]


def _context_that_counts(run: Run) -> str:
    return context_of(run) if run["protocol"] == "equal_seconds" else ""


def _problems(groups: Sequence[Group]) -> dict[str, str]:
    """By group: which data it was run on, as one name for all groups that share some."""
    roots: dict[tuple[str, str], str] = {}
    for group in groups:
        data = [(str(group["task"]), str(run["data"])) for run in group.runs]
        joined = {roots.get(key, key[1]) for key in data}
        roots |= dict.fromkeys(data, min(joined))
        roots |= {key: min(joined) for key, root in roots.items() if key[0] == data[0][0] and root in joined}
    return {group.key: roots[str(group["task"]), str(group.runs[0]["data"])] for group in groups}


def _board_names(group: Group, problems: Mapping[str, str]) -> tuple[str, ...]:
    return str(group["task"]), group.axis, group.budget, problems[group.key], group.context


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
