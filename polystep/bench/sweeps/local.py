"""Runs on this machine, each in a process of its own, so that one that dies does not end another one."""

import multiprocessing
import signal
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from pathlib import Path

from polystep.bench.lock import exclusive
from polystep.bench.sources import PACKAGES
from polystep.bench.sweeps import launcher
from polystep.bench.sweeps.folder import SweepFolder
from polystep.bench.sweeps.plan import SweepRun
from polystep.machine import available_cores


class LocalLauncher:
    """As many runs at a time as the cores allow: a run that asks for no number of threads has all of them to itself."""

    def launch(
        self, runs: Sequence[SweepRun], folder: SweepFolder, perform: launcher.Perform, observer: launcher.SweepObserver
    ) -> Mapping[str, int]:
        """The exit statuses by identity, when all have ended; Ctrl-C and SIGTERM end those under way and start no more."""
        statuses: dict[str, int] = {}
        begun: list[BaseProcess] = []
        # its processes start with all that this one has imported of the suite
        context = multiprocessing.get_context("forkserver")
        imported = [name for name in sys.modules if name.partition(".")[0] in PACKAGES]
        context.set_forkserver_preload([f"{__package__}.fork_server", perform.__module__, *imported])
        tempfile.tempdir = launcher.folder_for_sockets()

        def compute(run: SweepRun, cores: int, log: Path | None) -> None:
            process = context.Process(target=_work, args=(perform, run, folder, cores, log))
            with _processes:
                if launcher.INTERRUPTED_STATUS in statuses.values():
                    return
                observer.started(run)
                process.start()
                begun.append(process)
            statuses[run.identity] = _status(process, run, folder)
            observer.ended(run, statuses[run.identity])

        with exclusive(folder.path):
            groups = [(at_a_time(cores), list(group)) for cores, group in groupby(runs, lambda run: run.cores)]
            logs = {run.identity: folder.log(run) for several, group in groups if several > 1 for run in group}
            folder.submit(runs, {run.identity: (None, logs.get(run.identity)) for run in runs})
            for several, group in groups:
                pool = ThreadPoolExecutor(several)
                try:
                    waiting = [
                        pool.submit(compute, run, run.cores or available_cores(), logs.get(run.identity))
                        for run in group
                    ]
                    for future in waiting:
                        future.result()
                except KeyboardInterrupt:
                    statuses[""] = launcher.INTERRUPTED_STATUS
                    # Ctrl-C in a terminal has told them already, SIGTERM told this process alone
                    with _processes:
                        for process in begun:
                            process.terminate()
                finally:
                    pool.shutdown(cancel_futures=True)
        return statuses


def at_a_time(cores: int | None) -> int:
    """How many runs of `cores` cores fit on this machine together; None: of all cores."""
    return 1 if cores is None else max(1, available_cores() // cores)


_processes = threading.Lock()
"""Starting a process also collects the exit statuses of processes that have ended. Where two threads do so at once, one loses a
status, and a finished run would count as killed.
"""


def _status(process: BaseProcess, run: SweepRun, folder: SweepFolder) -> int:
    """The exit status of a run's process, when it has ended."""
    wait([process.sentinel])
    with _processes:
        process.join()
    status = process.exitcode or 0
    if status == -signal.SIGTERM:
        # before the run could heed it
        return launcher.INTERRUPTED_STATUS
    if status < 0:
        status, name = launcher.KILLED_STATUS, signal.Signals(-status).name
        folder.end(run, status, f"its process was ended by {name} (killed, or out of memory)")
    elif status == launcher.KILLED_STATUS and folder.reason(run.identity) is None:
        folder.end(run, status, "its process could not start; its output says why")
    return status


def _work(perform: launcher.Perform, run: SweepRun, folder: SweepFolder, cores: int, log: Path | None) -> None:
    # blocked by the process that started this one
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    if log is not None:
        # runs side by side would write over each other
        launcher.print_into(log)
    sys.exit(perform(run, folder, cores))
