"""What a launcher is: it computes the runs of a sweep or submits them to a queue; a run that dies does not end another one."""

import os
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from polystep.bench.sweeps.folder import SweepFolder
from polystep.bench.sweeps.plan import SweepRun
from polystep.contracts import ExpectedError

Perform = Callable[[SweepRun, SweepFolder, int], int]
"""Computes one run on so many cores and returns the exit status; notes in the folder why where that is not 0."""

KILLED_STATUS = 1
INTERRUPTED_STATUS = 130


class LauncherUnavailable(ExpectedError):
    """What a launcher needs does not answer; the message says how to get it."""


class SweepObserver(Protocol):
    """Watches the runs of a launcher that waits for them."""

    def started(self, run: SweepRun) -> None:
        """A run begins."""

    def ended(self, run: SweepRun, status: int) -> None:
        """A run has ended."""


class Launcher(Protocol):
    """Computes runs somewhere."""

    def launch(
        self, runs: Sequence[SweepRun], folder: SweepFolder, perform: Perform, observer: SweepObserver
    ) -> Mapping[str, int] | None:
        """Compute `runs` in their order as far as cores allow.

        Returns their exit statuses by identity, or None where they are left to a queue that needs this process no more.
        Raises LauncherUnavailable.
        """


LONGEST_FOLDER = 60
"""Bytes of a folder's path in which sockets find room: paths of sockets have at most 104 bytes on macOS, 108 on Linux."""


def folder_for_sockets() -> str:
    """The folder for temporary files, or /tmp where its path is too long for the sockets by which processes talk."""
    folder = tempfile.gettempdir()
    return folder if len(os.fsencode(folder)) <= LONGEST_FOLDER else "/tmp"


def print_into(log: Path) -> None:
    """From now on what this process and its libraries print goes to the end of a file."""
    with open(log, "ab") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)


def module_folders() -> list[str]:
    """Where this process finds modules, a user's own included; a process elsewhere finds the same ones there."""
    # entries that are no folders belong to import hooks of this interpreter
    return [os.path.abspath(folder) for folder in sys.path if os.path.isdir(folder or os.curdir)]
