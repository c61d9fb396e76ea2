"""Work through a profile and build the report:  python -m scripts.reproduce --profile quick

What is done is skipped, what was interrupted continues; one failing run does not stop the others.
"""

import argparse
import sys
import time
from collections.abc import Sequence

from rich.table import Table

from polystep.bench.composition import compose_config
from polystep.bench.profiles import PlannedRun, read_profile
from polystep.bench.report import build_report
from polystep.contracts import ExpectedError
from scripts.console import CONFIGS, EXIT_STATUS, RECORDS, RESULTS, console, execute, explain, show, show_data_sources
from scripts.report import expected_runs, show_summary
from tasks.data import DataUnavailable


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; exit status 0 when every run of the profile is done."""
    parser = argparse.ArgumentParser(
        prog="python -m scripts.reproduce", description="Run a profile and build the report."
    )
    parser.add_argument("--profile", default="quick", help="a file of configs/profile (default: %(default)s)")
    options = parser.parse_args(arguments)
    show_data_sources()
    try:
        planned = read_profile(CONFIGS, options.profile)
        # composes every run, so that a wrong setting shows before anything is computed
        expected = expected_runs(planned)
        _show_plan(options.profile, planned)
        statuses = []
        started = time.monotonic()
        for position, run in enumerate(planned, 1):
            left = sum(later.minutes for later in planned[position - 1 :])
            console.rule(f"run {position} of {len(planned)}, at most {left:.0f} minutes left", align="left")
            statuses.append(_execute(run))
            if statuses[-1] == EXIT_STATUS["interrupted"]:
                return statuses[-1]
        console.rule(f"report, after {(time.monotonic() - started) / 60:.1f} minutes", align="left")
        show_summary(build_report(RECORDS, RESULTS, expected), console)
    except ExpectedError as error:
        return explain(error)
    except KeyboardInterrupt:
        console.print("interrupted; repeat the command to continue")
        return EXIT_STATUS["interrupted"]
    return max(statuses, default=0)


def _execute(planned: PlannedRun) -> int:
    """Run one entry of the profile, or its substitute where the data cannot be had; returns the exit status."""
    try:
        return show(execute(*compose_config(CONFIGS, planned.overrides)))
    except DataUnavailable as error:
        status = explain(error)
    except ExpectedError as error:
        return explain(error)
    if planned.without_data is None:
        return status
    title = " ".join(planned.without_data)
    console.print(
        f"[bold red]THE DATA CANNOT BE HAD.[/bold red] Running {title} instead: it exercises the code, and its numbers say "
        "nothing about the paper.",
        highlight=False,
        soft_wrap=True,
    )
    return _execute(PlannedRun(planned.without_data, planned.minutes))


def _show_plan(name: str, planned: Sequence[PlannedRun]) -> None:
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
