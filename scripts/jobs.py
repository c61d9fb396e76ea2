"""What a launcher computes for a run of a sweep, in whatever process and on whatever machine."""

import traceback
from collections.abc import Sequence

from polystep.bench.lock import RunBusyError
from polystep.bench.sweeps.folder import SweepFolder
from polystep.bench.sweeps.plan import SweepRun
from polystep.contracts import ExpectedError
from scripts.console import EXIT_STATUS, console, explain, prepare, show, show_data_sources
from tasks.data import DataUnavailable


def perform(run: SweepRun, folder: SweepFolder, cores: int) -> int:
    """Compute one run, or its substitute where the data cannot be had; notes in `folder` why it is not done.

    Returns the exit status.
    """
    show_data_sources()
    status, reason = _attempt(run.planned.overrides, cores)
    if reason is not None:
        folder.end(run, status, str(reason))
    if not isinstance(reason, DataUnavailable) or run.planned.without_data is None:
        return status
    title = " ".join(run.planned.without_data)
    console.print(
        f"[bold red]THE DATA CANNOT BE HAD.[/bold red] Running {title} instead: it exercises the code, and its numbers say "
        "nothing about the paper.",
        soft_wrap=True,
    )
    status, second = _attempt(run.planned.without_data, cores)
    if second is not None:
        folder.end(run, status, f"{reason}; what was run instead: {second}")
    return status


def _attempt(overrides: Sequence[str], cores: int) -> tuple[int, str | Exception | None]:
    """Exit status, and why the run is not done where no one else says it."""
    try:
        outcome = prepare(overrides, cores).execute()
        error = outcome.record.error if outcome.status == "failed" else None
        return show(outcome), None if error is None else f"{error['type']}: {error['message']}"
    except RunBusyError as error:
        return explain(error), None
    except ExpectedError as error:
        return explain(error), error
    except KeyboardInterrupt:
        return EXIT_STATUS["interrupted"], None
    except Exception as error:
        # before the run could make a record of it
        traceback.print_exc()
        return EXIT_STATUS["failed"], f"{type(error).__name__}: {error}"
