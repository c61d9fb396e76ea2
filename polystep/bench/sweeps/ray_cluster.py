"""Runs as tasks of a Ray cluster, or of a Ray that is started on this machine (extra `ray`)."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from polystep.bench.lock import exclusive
from polystep.bench.sweeps import launcher
from polystep.bench.sweeps.folder import SweepFolder
from polystep.bench.sweeps.plan import SweepRun
from polystep.machine import available_cores
from polystep.packages import optional_package
from polystep.validation import at_least, first_line

RESTARTS = 1
"""How often a run whose process or machine died is tried again at once."""


class RayLauncher:
    """Waits for the runs; Ray gives each its cores and a process of its own.

    The records, the code and the environment must lie on a file system that the machines share.
    """

    def __init__(self, address: str | None = None, cores: int = 1):
        """`address`: of an existing cluster, such as auto or host:6379; null starts Ray on this machine. `cores`: of a run that
        does not say how many threads it uses.
        """
        at_least(1, **{"launcher.cores": cores})
        self._address, self._cores = address, cores

    def launch(
        self, runs: Sequence[SweepRun], folder: SweepFolder, perform: launcher.Perform, observer: launcher.SweepObserver
    ) -> Mapping[str, int]:
        """The exit statuses by identity, when all have ended. Raises LauncherUnavailable."""
        ray = self._connect()
        statuses: dict[str, int] = {}
        try:
            with exclusive(folder.path):
                folder.submit(runs, {run.identity: (None, folder.log(run)) for run in runs})
                # a process of its own for each
                remote = ray.remote(max_calls=1, max_retries=RESTARTS)(_work)
                waiting = {}
                for run in runs:
                    cores = run.cores or self._cores
                    task = remote.options(num_cpus=cores, num_gpus=run.gpus)
                    waiting[task.remote(perform, run, folder, cores, Path.cwd())] = run
                while waiting:
                    (reference,), _ = ray.wait(list(waiting), num_returns=1)
                    run = waiting.pop(reference)
                    try:
                        status = ray.get(reference)
                    except ray.exceptions.RayError as error:
                        status, reason = launcher.KILLED_STATUS, str(error).strip().splitlines()
                        folder.end(run, status, reason[0] if reason else type(error).__name__)
                    statuses[run.identity] = status
                    observer.ended(run, status)
        finally:
            ray.shutdown()
        return statuses

    def _connect(self) -> Any:
        # no reports to its makers, no token for a cluster of one's own
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        os.environ.setdefault("RAY_AUTH_MODE", "disabled")
        ray = optional_package("ray", "launcher=ray", "ray", "ray")
        temporary = f"{launcher.folder_for_sockets()}/ray"
        own = {"num_cpus": available_cores(), "include_dashboard": False, "_temp_dir": temporary}
        try:
            ray.init(
                address=self._address or "local",
                log_to_driver=False,
                runtime_env={"env_vars": {"PYTHONPATH": os.pathsep.join(launcher.module_folders())}},
                **({} if self._address else own),
            )
        except (OSError, RuntimeError, ValueError) as error:
            raise launcher.LauncherUnavailable(
                f"launcher=ray cannot reach or start Ray ({first_line(error)}); start a cluster with ray start "
                "--head, or leave launcher.address at null to start one on this machine"
            ) from error
        return ray


def _work(perform: launcher.Perform, run: SweepRun, folder: SweepFolder, cores: int, working_folder: Path) -> int:
    os.chdir(working_folder)
    launcher.print_into(folder.log(run))
    return perform(run, folder, cores)
