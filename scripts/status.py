"""Where the runs of a sweep stand:  python -m scripts.status profile=paper

Takes the settings of scripts.sweep and counts what is done, running, queued, interrupted, failed and missing, with the last
line of each error; --retry computes or submits the last three.
"""

import argparse
import sys
from collections.abc import Sequence

from polystep.bench.sweeps.run_status import find_run_statuses
from polystep.contracts import ExpectedError
from scripts.console import EXIT_STATUS, explain, guarded, overrides_of
from scripts.sweep import add_settings, launch, plan, show_plan, show_unfinished


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; exit status 0, after --retry that of the sweep, 2 after an explained failure."""
    parser = argparse.ArgumentParser(prog="python -m scripts.status", description="Show where runs stand.")
    add_settings(parser)
    parser.add_argument(
        "--retry", action="store_true", help="compute or submit what was interrupted, failed or is missing"
    )
    options = parser.parse_intermixed_args(arguments)
    try:
        launcher, runs = plan(overrides_of(options))
        statuses = find_run_statuses(runs)
        show_plan("Status", runs, statuses)
        show_unfinished(runs, statuses)
        return launch(launcher, runs, statuses) if options.retry else EXIT_STATUS["finished"]
    except ExpectedError as error:
        return explain(error)
    except KeyboardInterrupt:
        return EXIT_STATUS["interrupted"]


if __name__ == "__main__":
    sys.exit(guarded(main))
