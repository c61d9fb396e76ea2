"""What the commands share that print a table of your runs."""

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from polystep.contracts import ExpectedError
from polystep.report import load_runs
from polystep.report.table import Table, to_markdown
from scripts.console import RECORDS, explain, say


def table_parser(module: str, description: str) -> argparse.ArgumentParser:
    """A command line that names places of runs."""
    parser = argparse.ArgumentParser(prog=f"python -m {module}", description=description)
    parser.add_argument("records", nargs="*", type=Path, default=[RECORDS], help="folders of runs, or bundles")
    return parser


def print_table(options: argparse.Namespace, table_of: Callable[[Any], Table]) -> int:
    """Exit status 0 when the table of the named runs was printed, 2 after an explained failure."""
    try:
        say(to_markdown(table_of(load_runs(*options.records))))
    except ExpectedError as error:
        return explain(error)
    return 0


def results_of(runs: Any, setting: str, value: str, needed: Sequence[str]) -> Any:
    """The finished runs, trials aside, with this value of a setting; ExpectedError where one lacks a needed setting."""
    if setting not in runs:
        return runs[:0]
    found = runs[(runs["status"] == "finished") & (runs["protocol"] != "tuning") & (runs[setting] == value)]
    for name in needed:
        lacking = found if name not in found else found[found[name].isna()]
        if len(lacking):
            raise ExpectedError(
                f"{len(lacking)} of {len(found)} runs have no {name} in their records, the first one in "
                f"{lacking['source'].iloc[0]}; name other folders or bundles"
            )
    return found


def one_per_seed(runs: Any) -> Any:
    """Of runs of equal settings and seed, repeated on other machines or threads, the one that ended last."""
    return runs.sort_values("ended").drop_duplicates(["cell_id", "seed"], keep="last")
