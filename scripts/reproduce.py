"""Work through a profile and build the report:  python -m scripts.reproduce --profile quick

A sweep over the profile on this machine: what is done is skipped, what was interrupted continues; one failing run does not
stop the others.
"""

import argparse
import sys
import time
from collections.abc import Sequence

from polystep.bench.sweeps.run_status import find_run_statuses
from polystep.contracts import ExpectedError
from polystep.report import load_runs
from polystep.report.repeats import repetition_lines, repetitions
from scripts.console import COMMITTED, EXIT_STATUS, RECORDS, RESULTS, console, explain, guarded, say
from scripts.report import show_summary, write_report
from scripts.sweep import launch, minutes_left, plan, show_plan


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; exit status 0 when every run of the profile, or what stands for it without its data, is done."""
    parser = argparse.ArgumentParser(
        prog="python -m scripts.reproduce", description="Run a profile and build the report."
    )
    parser.add_argument("--profile", default="quick", help="a file of configs/profile (default: %(default)s)")
    parser.add_argument("--dry-run", action="store_true", help="show the plan only")
    options = parser.parse_args(arguments)
    try:
        # composes every run, so that a wrong setting shows before anything is computed
        launcher, runs = plan([f"profile={options.profile}"])
        statuses = find_run_statuses(runs)
        show_plan(f"Profile {options.profile}", runs, statuses)
        if options.dry_run:
            return EXIT_STATUS["finished"]
        started = time.monotonic()
        # where no run can begin, the report still shows the committed records
        RECORDS.mkdir(parents=True, exist_ok=True)
        status = launch(launcher, runs, statuses)
        if status == EXIT_STATUS["interrupted"]:
            console.print("interrupted; repeat the command to continue")
            return status
        took = (time.monotonic() - started) / 60
        console.rule(f"report, after {took:.1f} minutes, {minutes_left(runs, statuses)} by the plan", align="left")
        expected = {run.planned.title: run.identity for run in runs}
        summary = write_report([RECORDS, COMMITTED], RESULTS, expected)
        for line in repetition_lines(repetitions(load_runs(RECORDS), load_runs(COMMITTED))):
            say(line)
        show_summary(summary)
    except ExpectedError as error:
        return explain(error)
    except KeyboardInterrupt:
        console.print("interrupted; repeat the command to continue")
        return EXIT_STATUS["interrupted"]
    return status


if __name__ == "__main__":
    sys.exit(guarded(main))
