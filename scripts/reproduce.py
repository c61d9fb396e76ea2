"""Work through a profile and build the report:  python -m scripts.reproduce --profile quick

What is done is skipped, what was interrupted continues; one failing run does not stop the others.
"""

import argparse
import sys
import time
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from polystep.bench.composition import compose_config
from polystep.bench.files import StorageError
from polystep.bench.launch import build_run
from polystep.bench.lock import RunBusyError
from polystep.bench.observers import ConsoleObserver
from polystep.bench.profiles import PlannedRun, read_profile
from polystep.bench.report import build_report
from polystep.bench.schema import ConfigError
from scripts.report import expected_runs, show_summary
from scripts.run import CONFIGS, EXIT_STATUS, RECORDS, RESULTS, show


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; exit status 0 when every run of the profile is done."""
    parser = argparse.ArgumentParser(
        prog="python -m scripts.reproduce", description="Run a profile and build the report."
    )
    parser.add_argument("--profile", default="quick", help="a file of configs/profile (default: %(default)s)")
    options = parser.parse_args(arguments)
    console = Console(soft_wrap=True)
    try:
        planned = read_profile(CONFIGS, options.profile)
        _show_plan(console, options.profile, planned)
        statuses = []
        started = time.monotonic()
        for position, run in enumerate(planned, 1):
            left = sum(later.minutes for later in planned[position - 1 :])
            console.rule(f"run {position} of {len(planned)}, at most {left:.0f} minutes left", align="left")
            statuses.append(_execute(console, run))
            if statuses[-1] == EXIT_STATUS["interrupted"]:
                return statuses[-1]
        console.rule(f"report, after {(time.monotonic() - started) / 60:.1f} minutes", align="left")
        show_summary(build_report(RECORDS, RESULTS, expected_runs(planned)), console)
    except (ConfigError, StorageError) as error:
        console.print(f"[red]error[/red]: {error}", highlight=False)
        return 2
    except KeyboardInterrupt:
        console.print("interrupted; repeat the command to continue")
        return EXIT_STATUS["interrupted"]
    return max(statuses, default=0)


def _execute(console: Console, planned: PlannedRun) -> int:
    composed, choices = compose_config(CONFIGS, planned.overrides)
    try:
        return show(build_run(composed, choices, [ConsoleObserver(console)]).execute())
    except RunBusyError as error:
        console.print(f"busy: {error}", highlight=False)
        return 3


def _show_plan(console: Console, name: str, planned: Sequence[PlannedRun]) -> None:
    table = Table(
        title=f"Profile {name}: {len(planned)} runs, about {sum(run.minutes for run in planned):.0f} minutes "
        "on two cores; finished runs are skipped",
        title_justify="left",
    )
    table.add_column("run")
    table.add_column("minutes", justify="right")
    for run in planned:
        table.add_row(run.title, f"{run.minutes:.0f}")
    console.print(table)


if __name__ == "__main__":
    sys.exit(main())
