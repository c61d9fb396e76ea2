"""What tables and figures are made of, and the sections that they belong to."""

import importlib
import pkgutil
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from types import ModuleType

from pandas import DataFrame

from polystep.report.boards import Board, boards_of, main_boards
from polystep.report.charts import Style, styles_of
from polystep.report.claims.judge import verdicts
from polystep.report.groups import Group, group_runs
from polystep.report.text import plain

VERDICTS, HEADLINE, DOUBTS, TUNING, COSTS, CONTEXTS = "Verdicts", "Headline", "Doubts", "Tuning", "Costs", "Contexts"


_TITLES = {"networks": "Networks", "maxsat": "MAX-SAT", "control": "Control", "tabular": "Tabular data"}
"""Sections of known families, in the order of the paper; others follow."""


@dataclass(frozen=True)
class Material:
    """The table of runs, and what has been made of it.

    conditions: as `polystep.report.claims` judges those of the claims; None: nothing was judged.
    """

    runs: DataFrame
    conditions: DataFrame | None = None

    @cached_property
    def verdicts(self) -> DataFrame | None:
        """On the claims; None where nothing was judged."""
        return None if self.conditions is None else verdicts(self.conditions)

    @cached_property
    def groups(self) -> list[Group]:
        """All finished runs by settings."""
        return group_runs(self.runs)

    @cached_property
    def boards(self) -> list[Board]:
        """The groups by what may be compared."""
        return boards_of(self.groups)

    @cached_property
    def main(self) -> Mapping[tuple[str, str], list[Board]]:
        """The boards that summaries show, by family and axis."""
        return main_boards(self.boards)

    @cached_property
    def styles(self) -> dict[str, Style]:
        """How each method is drawn."""
        return styles_of(str(group["optimizer"]) for group in self.groups)

    @property
    def sections(self) -> list[str]:
        """In the order in which readers meet them."""
        present = {family_section(group["family"]) for group in self.groups}
        families = [*(title for title in _TITLES.values() if title in present), *sorted(present - {*_TITLES.values()})]
        return [VERDICTS, HEADLINE, *families, DOUBTS, TUNING, COSTS, CONTEXTS]


def family_section(family: str) -> str:
    """The section of a family of tasks."""
    return _TITLES.get(family) or plain(family[:1].upper() + family[1:]) or "Other tasks"


def modules_of(package: ModuleType) -> list[ModuleType]:
    """The modules of `polystep.report.tables` or `.figures`, in alphabetical order: a new one needs no other change."""
    names = sorted(info.name for info in pkgutil.iter_modules(package.__path__))
    return [importlib.import_module(f"{package.__name__}.{name}") for name in names]
