"""What a study is, and how its results are stored: rows of plain values with the parameters and the context behind them."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from polystep.bench.launch import build_component
from polystep.files import read_json, write_json
from polystep.report.charts import Chart
from polystep.report.table import Table

Found = Mapping[str, Sequence[dict[str, Any]]]
"""Rows of plain values by the name of what they describe."""


@dataclass(frozen=True)
class Section:
    """What readers see of a study: what was checked, its tables and charts, and what that can and cannot tell."""

    title: str
    question: str
    tables: Sequence[Table]
    charts: Sequence[Chart]
    answer: Sequence[str]


class Study(Protocol):
    """A frozen dataclass of parameters; the same parameters give the same rows on the same machine."""

    def run(self) -> Found:
        """Compute; raises ExpectedError where the parameters ask for what does not exist."""
        ...

    def section(self, found: Found) -> Section:
        """What the rows say."""
        ...


@dataclass(frozen=True)
class Evidence:
    """The rows of a study with what they were computed from.

    parameters: the node of the configuration. context: as in records of runs (commit, versions, processor).
    """

    study: str
    parameters: Mapping[str, Any]
    context: Mapping[str, Any]
    seconds: float
    found: Found

    def section(self) -> Section:
        """What readers see."""
        built: Study = build_component(dict(self.parameters), self.study)
        return built.section(self.found)


def compute(name: str, parameters: Mapping[str, Any], context: Mapping[str, Any]) -> Evidence:
    """Run a study, given by a node of the configuration."""
    study: Study = build_component(dict(parameters), name)
    begin = time.perf_counter()
    found = study.run()
    return Evidence(name, parameters, context, round(time.perf_counter() - begin, 1), found)


def store(evidence: Evidence, folder: Path) -> None:
    """Write FOLDER/STUDY.json; raises StorageError where that is impossible."""
    write_json(folder / f"{evidence.study}.json", vars(evidence))


def restore(path: Path) -> Evidence:
    """Read back what `store` wrote; raises StorageError where it is damaged."""
    return Evidence(**read_json(path))
