"""Build tables, figures and REPORT.md from records:  python -m scripts.report

It says which runs of the profile are missing.
"""

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from polystep.bench.claims.published_runs import read_defects
from polystep.bench.claims.statements import complete_profiles, read_statements
from polystep.bench.claims.verdicts import Statements
from polystep.bench.composition import compose_config
from polystep.bench.launch import resolve_settings
from polystep.bench.processes import map_in_processes
from polystep.bench.profiles import PlannedRun, read_profile
from polystep.bench.report import ReportSummary, build_report
from polystep.contracts import ExpectedError
from polystep.files import json_value
from scripts.console import CONFIGS, RECORDS, RESULTS, explain

_SEED = re.compile(r"seed=\d+")
_ANY_SEED = 8_675_309_000_042
"""Stands for the seed in what runs share that differ in it alone; no other setting is this number."""
_WORTH_A_PROCESS = 10
"""So many configurations take longer to compose than a process takes to start."""


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; exit status 0 when the report was written, 2 after an explained failure."""
    parser = argparse.ArgumentParser(prog="python -m scripts.report", description="Build the report from records.")
    parser.add_argument("--records", type=Path, default=RECORDS, help="folder of the runs (default: %(default)s)")
    parser.add_argument(
        "--output", type=Path, default=RESULTS, help="folder of tables, figures and REPORT.md (default: %(default)s)"
    )
    parser.add_argument(
        "--profile",
        default="paper",
        help="whose missing runs are listed, a file of configs/profile (default: %(default)s)",
    )
    options = parser.parse_args(arguments)
    console = Console(soft_wrap=True)
    try:
        expected = expected_runs(read_profile(CONFIGS, options.profile))
        show_summary(build_report(options.records, options.output, expected, statements()), console)
    except ExpectedError as error:
        return explain(error)
    return 0


def statements() -> Statements:
    """What every report judges, each file by the complete runs of the profiles that it names."""
    claims, defects = CONFIGS / "claims.yaml", CONFIGS / "published_runs.yaml"
    return Statements(read_statements(claims), _complete(claims), read_defects(defects), _complete(defects))


def _complete(path: Path) -> list[dict[str, Any]]:
    planned = [run for name in complete_profiles(path) for run in read_profile(CONFIGS, name)]
    return list(expected_runs(planned).values())


def expected_runs(planned: Sequence[PlannedRun]) -> dict[str, dict[str, Any]]:
    """The configuration that each planned run would record, by its title."""
    _compose([_without_seed(run.overrides)[0] for run in planned])
    return {run.title: _configuration(run.overrides) for run in planned}


def _configuration(overrides: Sequence[str]) -> dict[str, Any]:
    settings, seed = _without_seed(overrides)
    configuration: dict[str, Any] = _composed[settings] if seed is None else _with_seed(_composed[settings], seed)
    return configuration


def _without_seed(overrides: Sequence[str]) -> tuple[tuple[str, ...], int | None]:
    """Settings that runs share which differ in their seeds alone, and the seed."""
    seeds = [override for override in overrides if _SEED.fullmatch(override)]
    if not seeds:
        return tuple(overrides), None
    settings = tuple(override for override in overrides if override not in seeds)
    return (*settings, f"seed={_ANY_SEED}"), int(seeds[-1][len("seed=") :])


_composed: dict[tuple[str, ...], dict[str, Any]] = {}
"""Not to be changed: composing takes too long to repeat for every seed and every profile."""


def _compose(settings: Sequence[tuple[str, ...]]) -> None:
    """Add what is missing in `_composed`."""
    missing = [overrides for overrides in dict.fromkeys(settings) if overrides not in _composed]
    configurations = map_in_processes(
        lambda overrides: json_value(resolve_settings(*compose_config(CONFIGS, overrides))),
        missing,
        _WORTH_A_PROCESS,
        # neighbours in a profile often have the same task and optimiser, whose files are then read once
        together=_WORTH_A_PROCESS,
    )
    _composed.update(zip(missing, configurations, strict=True))


def _with_seed(value: Any, seed: int) -> Any:
    if isinstance(value, dict):
        return {key: _with_seed(item, seed) for key, item in value.items()}
    if isinstance(value, list):
        return [_with_seed(item, seed) for item in value]
    if isinstance(value, str):
        # such as the name of a file
        return value.replace(str(_ANY_SEED), str(seed))
    return seed if value == _ANY_SEED else value


def show_summary(summary: ReportSummary, console: Console) -> None:
    """Print what a report was built from, what it wrote and what is missing."""
    console.print(f"report from {summary.finished} finished runs", style="bold", markup=False)
    console.print(
        f"  wrote {summary.written[-1]} and {len(summary.written) - 1} tables and figures",
        markup=False,
        highlight=False,
    )
    for kind, sentences in summary.gaps.items():
        if sentences:
            console.print(f"{kind}: {len(sentences)}", style="bold yellow", markup=False)
        for sentence in sentences:
            console.print(f"  {sentence}", markup=False, highlight=False)


if __name__ == "__main__":
    sys.exit(main())
