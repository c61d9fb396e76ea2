"""Runs as job arrays of a Slurm cluster, through submitit (extra `slurm`)."""

import itertools
import os
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from polystep.bench.sweeps.folder import SweepFolder
from polystep.bench.sweeps.launcher import LauncherUnavailable, Perform, SweepObserver, module_folders
from polystep.bench.sweeps.plan import SweepRun
from polystep.packages import optional_package
from polystep.validation import at_least

RESTARTS = 1000
"""How often a run may be continued in the next time slot."""


class SlurmLauncher:
    """Submits and returns; a run that reaches the time limit or is pre-empted is queued again and continues.

    The records, the code and the environment must lie on a file system that the nodes share.
    """

    def __init__(
        self,
        minutes: int = 240,
        cores: int = 2,
        at_a_time: int = 256,
        partition: str | None = None,
        account: str | None = None,
        memory_gib: float | None = None,
        options: Any = None,
    ):
        """`minutes`: time limit of a job. `cores`: of a run that does not say how many threads it uses. `at_a_time`: runs of
        an array. `options`: any others of sbatch, by their long names.
        """
        at_least(1, **{"launcher.minutes": minutes, "launcher.cores": cores, "launcher.at_a_time": at_a_time})
        self._cores = cores
        memory = f"{round(1024 * memory_gib)}M" if memory_gib else None
        chosen = {"partition": partition, "account": account, "mem": memory}
        self._parameters: dict[str, Any] = {
            "time": minutes,
            "array_parallelism": at_a_time,
            "stderr_to_stdout": True,
            "job_name": "polystep",
            **{name: value for name, value in chosen.items() if value is not None},
            "additional_parameters": {"requeue": True, **(options or {})},
            # the warning before the limit, as far as there is room for one
            "signal_delay_s": min(90, 20 * minutes),
            # a job imports the suite before it is in its folder
            "setup": [f"export PYTHONPATH={shlex.quote(os.pathsep.join(module_folders()))}"],
        }

    def launch(self, runs: Sequence[SweepRun], folder: SweepFolder, perform: Perform, observer: SweepObserver) -> None:
        """Submit one array for each number of cores and GPUs. Raises LauncherUnavailable."""
        submitit = optional_package("submitit", "launcher=slurm", "submitit", "slurm")
        jobs: dict[str, tuple[str | None, Path | None]] = {}
        try:
            for (cores, gpus), group in itertools.groupby(sorted(runs, key=self._resources), self._resources):
                members = list(group)
                executor = submitit.SlurmExecutor(folder.path / "slurm", max_num_timeout=RESTARTS)
                asked = {"cpus_per_task": cores, **({"gpus_per_node": gpus} if gpus else {})}
                executor.update_parameters(**self._parameters, **asked)
                work = [RequeuedRun(perform, run, folder, cores) for run in members]
                for run, job in zip(members, executor.submit_array(work), strict=True):
                    jobs[run.identity] = job.job_id, job.paths.stdout
        except (RuntimeError, OSError) as error:
            reason = (str(error).strip() or type(error).__name__).splitlines()[-1]
            raise LauncherUnavailable(
                f"launcher=slurm cannot submit ({reason}); use it where sbatch and srun work and the cluster knows the "
                "partition, account and limits of launcher.*, or use launcher=local"
            ) from error
        finally:
            if jobs:
                folder.submit([run for run in runs if run.identity in jobs], jobs)

    def _resources(self, run: SweepRun) -> tuple[int, int]:
        return run.cores or self._cores, run.gpus


class RequeuedRun:
    """What a job computes; submitit asks `checkpoint` for what to compute when the job is queued again."""

    def __init__(self, perform: Perform, run: SweepRun, folder: SweepFolder, cores: int):
        self._arguments = perform, run, folder, cores
        self._working_folder = Path.cwd()

    def __call__(self) -> int:
        """The exit status."""
        perform, run, folder, cores = self._arguments
        os.chdir(self._working_folder)
        return perform(run, folder, cores)

    def checkpoint(self) -> Any:
        """The same again: the run continues from its last checkpoint."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self)
