"""Train one optimiser on one task:  python -m scripts.run task=snn optimizer=polystep seed=42

Every setting can be overridden by Hydra; -m sweeps over comma-separated values in parallel processes that share the cores
evenly (hydra.launcher.n_jobs=1: one after another). Exit status: 0 done (or was done before), 1 a run failed, 2 wrong
settings or unusable files, 3 another process is at work on the run, 130 interrupted; of a sweep, the highest.
"""

import sys

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from polystep.bench.composition import check_overrides
from polystep.contracts import ExpectedError
from scripts.console import CONFIGS, EXIT_STATUS, execute, explain, show, show_data_sources
from scripts.sweep import execute_job, summarise_sweep, sweep_folder

statuses: list[int] = []


@hydra.main(version_base="1.3", config_path=str(CONFIGS), config_name="config")
def hydra_run(composed: DictConfig) -> None:
    """One job of Hydra."""
    if HydraConfig.get().mode is RunMode.MULTIRUN:
        execute_job(composed)
        return
    try:
        statuses.append(show(execute(composed, HydraConfig.get().runtime.choices)))
    except ExpectedError as error:
        # Hydra would print a traceback
        statuses.append(explain(error))


def main() -> int:
    """The command."""
    show_data_sources()
    folder = sweep_folder(sys.argv)
    try:
        check_overrides(CONFIGS, sys.argv[1:])
        if folder is not None:
            sys.argv.append(f"hydra.sweep.dir={folder}")
        hydra_run()
    except ExpectedError as error:
        return explain(error)
    except KeyboardInterrupt:
        statuses.append(EXIT_STATUS["interrupted"])
    if folder is not None:
        statuses.append(summarise_sweep(folder))
    return max(statuses, default=0)


if __name__ == "__main__":
    sys.exit(main())
