"""Where and with which code runs were made, what mixes contexts, and a file of runs with all of their numbers."""

from collections import Counter
from collections.abc import Iterator

from polystep.report.material import CONTEXTS, Material
from polystep.report.one_run import Run, context_of
from polystep.report.rows import AXIS, BOARD, TASK
from polystep.report.table import Table, number_column, text_column
from polystep.report.text import plain

_KNOWN_BY = {
    "context": "Processor, threads, device",
    "commit": "Commit",
    "clean": "Uncommitted changes",
    "packages": "Versions",
}
_LEFT_OUT = ("history", "test_curve", "diagnostics", "packages", "error", "uses", "altered")
"""Columns of runs that hold no number or text."""
_IN_RECORDS = ("name", "task_title", "method_title", "method_family", "settings_id", "source", "started")
"""Columns that only the records have: others say the same, or nobody asks a table for them."""


def tables(material: Material) -> Iterator[Table]:
    """One row per context and commit, one per board whose runs come from several, and a file with one per run."""
    runs = [run for group in material.groups for run in group.runs]
    counts = Counter((context_of(run), *_code(run), _packages(run)) for run in runs)
    columns = (*(text_column(name, title) for name, title in _KNOWN_BY.items()), number_column("runs", "Runs"))
    rows = [{**dict(zip(_KNOWN_BY, key, strict=True)), "runs": count} for key, count in counts.most_common()]
    note = "Runs of unknown or modified code count for no claim."
    yield Table("contexts", "Where the runs were made", columns, rows, (note,), CONTEXTS)
    mixed = []
    for board in material.boards:
        members = [run for group in board.groups for run in group.runs]
        commits, machines = Counter(_code(run)[0] for run in members), Counter(context_of(run) for run in members)
        if len(commits) > 1 or len(machines) > 1:
            names_of_board = {"task": board.task, "axis": board.axis, "board": board.remark}
            mixed.append({**names_of_board, "commits": _several(commits), "machines": _several(machines)})
    if mixed:
        several = text_column("commits", "Commits"), text_column("machines", "Processors, threads, devices")
        columns = (TASK, AXIS, BOARD, *several)
        note = "Where seconds decide, runs of several contexts are compared apart; everywhere else only versions could differ."
        yield Table("mixed_contexts", "Comparisons of several contexts", columns, mixed, (note,), CONTEXTS)
    kept = [column for column in material.runs.columns if "." not in column and column not in _LEFT_OUT + _IN_RECORDS]
    # as many digits as the identities have, and as git shows
    results = material.runs[material.runs["protocol"] != "tuning"]
    short = {"data": results["data"].str[:16], "commit": results["commit"].str[:9]}
    # what a clock says beyond a millisecond would be a tenth of the file, and tells nothing
    clocks = results[[name for name in kept if "seconds" in name]].map(lambda seconds: round(float(seconds), 3))
    rows = results[kept].assign(**short, **clocks).to_dict("records")
    yield Table("runs", "Every run but trials", (), rows, (), CONTEXTS)


def _code(run: Run) -> tuple[str, str]:
    commit = plain(run["commit"])[:9] if isinstance(run["commit"], str) else "unknown"
    clean = run["clean"]
    return commit, "unknown" if clean not in (True, False) else "no" if clean else "yes"


def _packages(run: Run) -> str:
    packages = run["packages"] if isinstance(run["packages"], dict) else {}
    return ", ".join(f"{name} {version}" for name, version in {"python": run["python"], **packages}.items())


def _several(counts: "Counter[str]") -> str:
    return "" if len(counts) == 1 else "; ".join(f"{name} ({count})" for name, count in sorted(counts.items()))
