"""Where and with which code runs were made, and what mixes contexts."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

from polystep.report.groups import context_of
from polystep.report.material import CONTEXTS, Material
from polystep.report.table import Column, Table, number_column, text_column
from polystep.report.text import plain


def tables(material: Material) -> Iterator[Table]:
    """One row per context and commit, and one per board whose runs come from several."""
    runs = [run for group in material.groups for run in group.runs]
    counts = Counter((context_of(run), *_code(run), _packages(run)) for run in runs)
    rows = [
        dict(zip(("context", "commit", "clean", "packages", "runs"), (*key, count), strict=True))
        for key, count in sorted(counts.items(), key=lambda item: -item[1])
    ]
    columns: list[Column] = [
        text_column("context", "Processor, threads, device"),
        text_column("commit", "Commit"),
        text_column("clean", "Uncommitted changes"),
        text_column("packages", "Versions"),
        number_column("runs", "Runs"),
    ]
    note = "Runs of unknown or modified code count for no claim."
    yield Table("contexts", "Where the runs were made", columns, rows, (note,), CONTEXTS)
    mixed = []
    for board in material.boards:
        members = [run for group in board.groups for run in group.runs]
        commits, machines = Counter(_code(run)[0] for run in members), Counter(context_of(run) for run in members)
        if len(commits) > 1 or len(machines) > 1:
            mixed.append(
                {
                    "task": board.task,
                    "axis": board.axis,
                    "board": board.remark,
                    "commits": _several(commits),
                    "machines": _several(machines),
                }
            )
    if mixed:
        columns = [text_column("task", "Task"), text_column("axis", "Protocol"), text_column("board", "Compared within"),
                   text_column("commits", "Commits"), text_column("machines", "Processors, threads, devices")]  # fmt: skip
        note = "Where seconds decide, runs of several contexts are compared apart; everywhere else only versions could differ."
        yield Table("mixed_contexts", "Comparisons of several contexts", columns, mixed, (note,), CONTEXTS)


def _code(run: Any) -> tuple[str, str]:
    commit = plain(run["commit"])[:9] if isinstance(run["commit"], str) else "unknown"
    clean = run["clean"]
    return commit, "unknown" if clean not in (True, False) else "no" if clean else "yes"


def _packages(run: Any) -> str:
    packages = run["packages"] if isinstance(run["packages"], dict) else {}
    return ", ".join(f"{name} {version}" for name, version in {"python": run["python"], **packages}.items())


def _several(counts: "Counter[str]") -> str:
    return "" if len(counts) == 1 else "; ".join(f"{name} ({count})" for name, count in sorted(counts.items()))
