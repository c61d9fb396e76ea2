"""Your runs of a method beside the committed ones:  python -m scripts.compare optimizer=mine task=snn [records...]

Nothing is computed again. Records are folders of runs or bundles (default: results/reproduction/records).
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table as TerminalTable

from polystep.contracts import ExpectedError
from polystep.report import load_runs
from polystep.report.compare import compare
from polystep.report.runs import COMMITTED as COMMITTED_RUNS
from polystep.report.runs import OWN
from polystep.report.table import Table, telling_columns
from scripts.console import COMMITTED, RECORDS, console, explain, guarded, say


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; exit status 0, 1 when there was none to compare with on any axis, 2 after an explained failure."""
    parser = argparse.ArgumentParser(
        prog="python -m scripts.compare", description="Show your own runs beside the committed ones."
    )
    parser.add_argument("what", nargs="+", help="optimizer=NAME, task=NAME, then folders of runs or bundles")
    options = parser.parse_args(arguments)
    try:
        task, optimizer, places = _read(options.what)
        own, committed = load_runs(*places), load_runs(COMMITTED)
        # imported here: `--help` needs no table
        from pandas import concat

        runs = concat([own.assign(origin=OWN), committed.assign(origin=COMMITTED_RUNS)], ignore_index=True)
        tables, sentences = compare(runs, task, optimizer)
    except ExpectedError as error:
        return explain(error)
    for table in tables:
        console.print(_for_terminal(table))
        for note in table.notes:
            say(note)
    for sentence in sentences:
        say(sentence)
    return 0 if any(row["origin"] == COMMITTED_RUNS for table in tables for row in table.rows) else 1


def _read(words: Sequence[str]) -> tuple[str, str, list[Path]]:
    """Task, optimiser and places of a command line; raises ExpectedError where one is missing or unknown."""
    chosen = dict(word.split("=", 1) for word in words if word.startswith(("task=", "optimizer=")))
    if set(chosen) != {"task", "optimizer"}:
        raise ExpectedError("say which runs: python -m scripts.compare optimizer=NAME task=NAME [records...]")
    places = [Path(word) for word in words if not word.startswith(("task=", "optimizer="))]
    return chosen["task"], chosen["optimizer"], places or [RECORDS]


def _for_terminal(table: Table) -> TerminalTable:
    """The table with the columns that say something."""
    shown = TerminalTable(
        title=escape(table.title), title_justify="left", title_style="bold", box=SIMPLE_HEAD, padding=(0, 1, 0, 0)
    )
    columns = telling_columns(table)
    for column in columns:
        shown.add_column(column.title, justify="right" if column.number else "left", overflow="fold")
    for row in table.rows:
        cells = (escape(column.show(row)) for column in columns)
        shown.add_row(*cells, style="bold" if row["origin"] == OWN else None)
    return shown


if __name__ == "__main__":
    sys.exit(guarded(main))
