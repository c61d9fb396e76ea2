"""Many runs:  python -m scripts.sweep study=first seed=42,123 launcher=local

Settings are those of scripts.run; values separated by commas are combined, and runs of the same settings are one. What is done
or under way is skipped, what was interrupted continues, and a run that fails stops no other. Exit status: 0 all runs are done
(or submitted), else the highest of the runs (as scripts.run), 130 interrupted.
"""

import argparse
import sys
import threading
from collections.abc import Iterable, Mapping, Sequence
from heapq import heapreplace
from itertools import groupby
from typing import Any

from omegaconf import OmegaConf
from rich.table import Table

from polystep.bench.composition import compose_config, names_folders
from polystep.bench.launch import build_component
from polystep.bench.schema import check_node
from polystep.bench.sweeps.folder import SweepFolder
from polystep.bench.sweeps.launcher import Launcher
from polystep.bench.sweeps.local import at_a_time
from polystep.bench.sweeps.plan import SweepRun, plan_sweep
from polystep.bench.sweeps.run_status import STATES, TO_DO, RunStatus, find_run_statuses, sweeps_folder
from polystep.contracts import ExpectedError
from scripts.console import (
    COMMITTED,
    CONFIGS,
    EXIT_STATUS,
    add_config_dir,
    console,
    explain,
    guarded,
    overrides_of,
    say,
)
from scripts.jobs import perform

RunStatuses = Mapping[str, RunStatus]


def main(arguments: Sequence[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m scripts.sweep", description="Compute or submit many runs.")
    add_settings(parser)
    parser.add_argument("--dry-run", action="store_true", help="show the plan only")
    options = parser.parse_intermixed_args(arguments)
    try:
        launcher, runs = plan(overrides_of(options))
        statuses = find_run_statuses(runs)
        show_plan("Sweep", runs, statuses)
        return EXIT_STATUS["finished"] if options.dry_run else launch(launcher, runs, statuses)
    except ExpectedError as error:
        return explain(error)
    except KeyboardInterrupt:
        return EXIT_STATUS["interrupted"]


def add_settings(parser: argparse.ArgumentParser) -> None:
    """The arguments that say which runs and which launcher are meant."""
    parser.add_argument(
        "settings",
        nargs="*",
        metavar="setting=value",
        help="profile=NAME, launcher=local|slurm|ray, launcher.KEY=VALUE, or settings of the runs, swept with commas",
    )
    add_config_dir(parser)


def plan(settings: Sequence[str]) -> tuple[Launcher, list[SweepRun]]:
    """The launcher and the runs that the settings describe; raises ExpectedError."""
    own = [setting for setting in settings if setting.partition("=")[0].partition(".")[0] in ("launcher", "profile")]
    others = [setting for setting in settings if setting not in own]
    folders = [setting for setting in others if names_folders(setting)]
    config: Any = OmegaConf.to_container(compose_config(CONFIGS, [*own, *folders], "sweep").config, resolve=True)
    check_node(config["launcher"], "launcher")
    launcher: Launcher = build_component(config["launcher"], "launcher")
    profile = None if config["profile"] is None else str(config["profile"])
    return launcher, plan_sweep(CONFIGS, profile, others, COMMITTED)


def show_plan(title: str, runs: Sequence[SweepRun], statuses: RunStatuses) -> None:
    """Print how many runs of each task and study are in which state, and the minutes that the rest takes here."""
    left = minutes_left(runs, statuses)
    say(f"{title}: {len(runs)} runs" + (f", about {left} minutes left, by earlier records" if left != "0" else ""))
    table = Table()
    for name in ("task", "study"):
        table.add_column(name)
    states = [state for state in STATES if any(statuses[run.identity].state == state for run in runs)]
    for name in ("runs", *states, "minutes left"):
        table.add_column(name, justify="right")
    for group in dict.fromkeys(run.group for run in runs):
        members = [run for run in runs if run.group == group]
        counts = [sum(statuses[run.identity].state == state for run in members) for state in states]
        table.add_row(
            *group, str(len(members)), *(str(count or "") for count in counts), minutes_left(members, statuses)
        )
    console.print(table)


def minutes_left(runs: Iterable[SweepRun], statuses: RunStatuses) -> str:
    """Of the runs to do, as `expected_minutes`."""
    return expected_minutes([run for run in runs if statuses[run.identity].state in TO_DO])


def expected_minutes(runs: Sequence[SweepRun]) -> str:
    """Of runs, side by side where they fit; with a question mark where no record tells of some, or of any."""
    known = [(run.cores, run.minutes) for run in runs if run.minutes is not None]
    total = 0.0
    for cores, alike in groupby(known, lambda run: run[0]):
        # as the local launcher does: the next run starts where one has ended
        lanes = [0.0] * at_a_time(cores)
        for _, minutes in alike:
            heapreplace(lanes, lanes[0] + minutes)
        total += max(lanes)
    shown = [f"{total:.0f}"] if known or not runs else []
    return " + ".join([*shown, *(["?"] if len(known) < len(runs) else [])])


def show_unfinished(runs: Sequence[SweepRun], statuses: RunStatuses) -> None:
    """List what runs, what was interrupted or failed, with the reasons, and what is missing."""
    done = sum(statuses[run.identity].state == "done" for run in runs)
    console.print(f"{done} of {len(runs)} runs are done")
    titles = _short_titles(runs)
    for state in ("running", "unknown", *TO_DO):
        for run in runs:
            status = statuses[run.identity]
            if status.state == state:
                say(f"  {state}: {titles[run.identity]}")
                if status.reason:
                    say(f"    {status.reason}")


def launch(launcher: Launcher, runs: Sequence[SweepRun], statuses: RunStatuses) -> int:
    """Compute or submit what is to do; returns the exit status, and says what is not done where it could wait for it."""
    chosen = [run for run in runs if statuses[run.identity].state in TO_DO]
    if not chosen:
        show_unfinished(runs, statuses)
        return _under_way(statuses.values())
    folder = SweepFolder.new(sweeps_folder(runs))
    exits = launcher.launch(chosen, folder, perform, _Progress(chosen))
    if exits is None:
        say(f"submitted {len(chosen)} runs; python -m scripts.status with the same settings shows them; {folder.path}")
        return EXIT_STATUS["finished"]
    show_unfinished(runs, find_run_statuses(runs))
    return max([_under_way(statuses.values()), *exits.values()])


class _Progress:
    """Says which run begins, and how each ended."""

    def __init__(self, runs: Sequence[SweepRun]):
        self._runs, self._titles = list(runs), _short_titles(runs)
        self._ended = 0
        self._lock = threading.Lock()

    def started(self, run: SweepRun) -> None:
        """A line above what the run itself prints."""
        position = self._runs.index(run)
        left = expected_minutes(self._runs[position:])
        console.rule(f"run {position + 1} of {len(self._runs)}, about {left} minutes left", align="left")
        say(self._titles[run.identity])

    def ended(self, run: SweepRun, status: int) -> None:
        """A line below it."""
        with self._lock:
            self._ended += 1
            kind = next((name for name, value in EXIT_STATUS.items() if value == status), "failed")
            say(f"{kind}, {self._ended} of {len(self._runs)}: {self._titles[run.identity]}")


def _short_titles(runs: Sequence[SweepRun]) -> dict[str, str]:
    """By identity, what tells the runs apart."""
    common = set.intersection(*(set(run.planned.overrides) for run in runs)) if len(runs) > 1 else set()
    telling = {run.identity: [part for part in run.planned.overrides if part not in common] for run in runs}
    return {identity: " ".join(parts) for identity, parts in telling.items()}


def _under_way(statuses: Iterable[RunStatus]) -> int:
    busy = any(status.state in ("running", "queued", "unknown") for status in statuses)
    return EXIT_STATUS["busy" if busy else "finished"]


if __name__ == "__main__":
    sys.exit(guarded(main))
