"""Sweeps: many runs in parallel processes; one that fails stops no other and is listed at the end."""

import datetime
import json
import os
from collections.abc import Sequence
from pathlib import Path

from hydra.conf import HydraConf
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from polystep.bench.files import write_text
from polystep.contracts import ExpectedError
from scripts.console import EXIT_STATUS, RESULTS, console, execute, explain, show, show_data_sources

MULTIRUN = {"-m", "--multirun"}


def sweep_folder(arguments: Sequence[str]) -> Path | None:
    """A new folder for the outcomes of the jobs, where the command line asks for a sweep."""
    if MULTIRUN.isdisjoint(arguments):
        return None
    return RESULTS / "sweeps" / datetime.datetime.now().strftime("%Y-%m-%d_%H-%M-%S_%f")


def execute_job(composed: DictConfig) -> None:
    """One run of a sweep; its outcome is left in the sweep's folder. Jobs share the cores evenly."""
    job = HydraConfig.get()
    show_data_sources()
    if composed.threads is None:
        composed.threads = max(1, len(os.sched_getaffinity(0)) // _parallel_jobs(job))
    try:
        outcome = execute(composed, job.runtime.choices)
        status, reason = show(outcome), (outcome.record.error or {}).get("message", "")
    except ExpectedError as error:
        status, reason = explain(error), str(error)
    left = {"overrides": list(job.overrides.task), "status": status, "reason": reason}
    write_text(Path(job.sweep.dir) / f"job{job.job.num}.json", json.dumps(left))
    if status == EXIT_STATUS["interrupted"]:
        raise KeyboardInterrupt


def summarise_sweep(folder: Path) -> int:
    """List the runs that are not done, with the reasons; returns the highest exit status."""
    outcomes = [json.loads(path.read_text()) for path in sorted(folder.glob("job*.json"))]
    unfinished = [outcome for outcome in outcomes if outcome["status"]]
    console.print(f"sweep: {len(outcomes) - len(unfinished)} of {len(outcomes)} runs are done", highlight=False)
    for outcome in unfinished:
        kind = next(name for name, status in EXIT_STATUS.items() if status == outcome["status"])
        console.print(f"  {kind}: {' '.join(outcome['overrides'])}", markup=False, highlight=False, soft_wrap=True)
        if outcome["reason"]:
            console.print(f"    {outcome['reason']}", markup=False, highlight=False, soft_wrap=True)
    return max((outcome["status"] for outcome in outcomes), default=0)


def _parallel_jobs(job: HydraConf) -> int:
    jobs: int = job.launcher.get("n_jobs", 1)
    return len(os.sched_getaffinity(0)) if jobs < 0 else max(1, jobs)
