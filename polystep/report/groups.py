"""Runs that differ by seed only are a group, with a label that tells its settings from others."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from pandas import DataFrame

from polystep.report.one_run import (
    EQUAL,
    LOOKS,
    Run,
    axis_of,
    budget_fault,
    context_of,
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

    def knows(self, column: str) -> bool:
        """Whether every run has a number in a column."""
        return len(self.values(column)) == len(self.runs)

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
    def may_be_ranked(self) -> bool:
        """Whether every run is complete and has a score that is a number."""
        return self.is_complete and self.knows(self.score)

    @property
    def evidence(self) -> tuple[int, str]:
        """Larger for the group that stands for a method: that with more runs, then the later one."""
        return len(self.runs), max(str(run["ended"]) for run in self.runs)

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


def setting_labels(groups: Sequence[Sequence[Run]]) -> list[str]:
    """For groups of one method, task and study: the settings that differ from the usual ones, "" where none does; the same for
    groups of equal settings.

    Usual is what the study prescribes, else what most groups have. The start of the identity of the settings stands for a label
    that is too long, and for equal labels of different settings.
    """
    cells = [str(runs[0]["cell_id"]) for runs in groups]
    # the same settings on other data or another machine have one label
    distinct = dict(zip(cells, groups, strict=True))
    labels = dict(zip(distinct, _labels_of(list(distinct.values())), strict=True))
    return [labels[cell] for cell in cells]


def _labels_of(groups: Sequence[Sequence[Run]]) -> list[str]:
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
