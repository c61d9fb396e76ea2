"""Where the runs of a sweep stand:  python -m scripts.status profile=paper

Takes the settings of scripts.sweep and counts what is done, running, queued, failed and missing, with the last line of each
error; --retry computes or submits what failed or is missing.
"""

import argparse
import sys
from collections.abc import Sequence

from polystep.bench.sweeps.standing import find_standings
from polystep.contracts import ExpectedError
from scripts.console import EXIT_STATUS, explain
from scripts.sweep import add_settings, launch, plan, show_plan, show_unfinished


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; exit status 0, after --retry that of the sweep, 2 after an explained failure."""
    parser = argparse.ArgumentParser(prog="python -m scripts.status", description="Show where runs stand.")
    add_settings(parser)
    parser.add_argument("--retry", action="store_true", help="compute or submit what failed or is missing")
    options = parser.parse_intermixed_args(arguments)
    try:
        launcher, runs = plan(options.settings, options.config_dir)
        standings = find_standings(runs)
        show_plan("Status", runs, standings)
        show_unfinished(runs, standings)
        return launch(launcher, runs, standings) if options.retry else EXIT_STATUS["finished"]
    except ExpectedError as error:
        return explain(error)
    except KeyboardInterrupt:
        return EXIT_STATUS["interrupted"]


if __name__ == "__main__":
    sys.exit(main())
