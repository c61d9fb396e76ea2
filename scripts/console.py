"""What the commands share: folders, exit statuses, and how runs and failures are shown."""

import argparse
import contextlib
import logging
from collections.abc import Callable, Sequence
from pathlib import Path

from omegaconf import OmegaConf
from rich.console import Console
from rich.markup import escape

from polystep.bench.composition import Composer, add_folder
from polystep.bench.interruption import heeded_signals
from polystep.bench.launch import altered_overrides, build_run, refuse_borrowed_names
from polystep.bench.lock import RunBusyError
from polystep.bench.observers import ConsoleObserver
from polystep.bench.runner import Run, RunOutcome
from polystep.contracts import ExpectedError
from scripts.output import Output

ROOT = Path(__file__).resolve().parent.parent
CONFIGS = ROOT / "configs"
COMMITTED = ROOT / "results" / "records"
RESULTS = Path("results/reproduction")
RECORDS = RESULTS / "records"
EXIT_STATUS = {"finished": 0, "skipped": 0, "failed": 1, "error": 2, "busy": 3, "interrupted": 130}
PLACES = ("hydra.", "records=", "data_dir=")
"""Overrides that begin so say where a run is computed; records leave them out, as they are paths of this machine."""

output = Output()
console = Console(file=output, highlight=False)  # type: ignore[arg-type]


def guarded(main: Callable[[], int]) -> int:
    """The exit status of a command, which ends without a traceback at Ctrl-C and SIGTERM, however often they come."""
    status = EXIT_STATUS["interrupted"]
    with heeded_signals() as interruption, contextlib.suppress(KeyboardInterrupt), interruption.at_once():
        status = main()
    output.flush()
    return status


def say(line: str) -> None:
    """Print a line as it is."""
    console.print(line, markup=False, soft_wrap=True)


def show_data_sources() -> None:
    """Print what the tasks log, such as the source that a data set is fetched from."""
    logger = logging.getLogger("tasks")
    logger.setLevel(logging.INFO)
    logger.handlers = [logging.StreamHandler(output)]


def show(outcome: RunOutcome) -> int:
    """Say in a line what became of a run; returns the exit status."""
    where = f"[dim]{escape(str(outcome.folder))}[/dim]"
    if outcome.status == "skipped":
        selected, last = (_score(outcome.record.scores.get(key)) for key in ("test_selected", "test_last"))
        console.print(
            f"already done: test {selected} (validation-selected), {last} (last); {where}",
            soft_wrap=True,
        )
        for what in outcome.changed:
            say(
                f"other code now than when this was computed: {what}; if the change gives other numbers, raise the version of "
                "the component, or delete the folder, to compute it again"
            )
    elif outcome.status == "failed" and outcome.record.error is not None:
        console.print(
            f"[red]failed[/red]: {outcome.record.error['type']} in {escape(outcome.record.error['place'])}: "
            f"{escape(outcome.record.error['message'])}\n"
            f"the traceback is in {where}/run.json; repeat the command to try again",
            soft_wrap=True,
        )
    elif outcome.status == "interrupted":
        console.print(f"interrupted; repeat the command to continue; {where}", soft_wrap=True)
    else:
        if outcome.record.ended_by == "divergence":
            steps = outcome.record.counters["steps"]
            console.print(f"[yellow]diverged[/yellow] after step {steps}: the best point before counts")
        console.print(f"record: {where}", soft_wrap=True)
    if outcome.status in ("finished", "skipped") and outcome.record.context.get("sources", {}) is None:
        say("it began and ended with different code, so it counts for no claim; delete the folder to compute it again")
    return EXIT_STATUS[outcome.status]


def _score(value: float | str | None) -> str:
    return f"{value:.4f}" if isinstance(value, float) else "not a finite number"


def count(text: str) -> int:
    """The type of an argument that is a whole number of at least 0."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"must be a whole number of at least 0, got {text}")
    return int(text)


def positive_count(text: str) -> int:
    """The type of an argument that is a whole number above 0."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number above 0, got {text}")
    return int(text)


def add_config_dir(parser: argparse.ArgumentParser) -> None:
    """The argument that names a folder with more choices."""
    parser.add_argument(
        "--config-dir",
        "-cd",
        type=Path,
        help="a folder with more tasks, optimizers, ... of your own, laid out as configs/",
    )


def overrides_of(options: argparse.Namespace) -> list[str]:
    """The settings of a command line, with the folder that it names; raises ExpectedError."""
    return list(options.settings) if options.config_dir is None else add_folder(options.settings, options.config_dir)


def prepare(overrides: Sequence[str], cores: int | None = None) -> Run:
    """The run that overrides describe, watched; raises ExpectedError. `cores`: of a run that does not set threads."""
    composer = Composer(CONFIGS)
    composed, choices = composer.compose(overrides)
    if cores and not OmegaConf.select(composed, "threads", throw_on_resolution_failure=False):
        composed.threads = cores
    run = build_run(composed, choices, [ConsoleObserver(console)])
    refuse_borrowed_names(composer, composed)
    run.config["overrides"] = [item for item in overrides if not item.startswith(PLACES)]
    run.config["altered"] = altered_overrides(composer, overrides)
    return run


def explain(error: ExpectedError) -> int:
    """Show an expected failure as one message; returns the exit status."""
    busy = isinstance(error, RunBusyError)
    console.print("busy: " if busy else "[red]error[/red]: ", end="")
    say(str(error))
    return EXIT_STATUS["busy" if busy else "error"]
