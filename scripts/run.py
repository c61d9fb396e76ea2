"""Train one optimiser on one task:  python -m scripts.run task=snn optimizer=polystep seed=42

Every setting can be overridden by Hydra. Under torchrun (torchrun --nproc-per-node 2 -m scripts.run ...) processes share the
candidates of each step, with device=cuda on a GPU each. Exit status: 0 done (or was done before), 1 the run failed, 2 wrong
settings or unusable files, 3 another process is at work on the run, 130 interrupted.
"""

import os
import sys

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from polystep.bench.composition import check_overrides
from polystep.contracts import ExpectedError
from polystep.evaluation.sharded import ProcessLost, joined_processes
from scripts import sweep
from scripts.console import CONFIGS, EXIT_STATUS, console, explain, guarded, prepare, show, show_data_sources

MULTIRUN = {"-m", "--multirun"}

statuses: list[int] = []


@hydra.main(version_base="1.3", config_path=str(CONFIGS), config_name="config")
def hydra_run(composed: DictConfig) -> None:
    """The run, composed."""
    try:
        run = prepare(composed, HydraConfig.get().runtime.choices)
        with joined_processes(run.config["device"]) as run.processes:
            if run.processes.is_first:
                statuses.append(show(run.execute()))
            else:
                run.follow()
    except ProcessLost as error:
        # from whichever process is left
        console.quiet = False
        statuses.append(explain(error))
    except ExpectedError as error:
        # Hydra would print a traceback
        statuses.append(explain(error))


def main() -> int:
    """The command; with Hydra's flag -m it is scripts.sweep."""
    if MULTIRUN.intersection(sys.argv):
        return sweep.main([argument for argument in sys.argv[1:] if argument not in MULTIRUN])
    console.quiet = os.environ.get("RANK", "0") != "0"
    if not console.quiet:
        show_data_sources()
    try:
        check_overrides(CONFIGS, sys.argv[1:])
        hydra_run()
    except ExpectedError as error:
        return explain(error)
    except KeyboardInterrupt:
        statuses.append(EXIT_STATUS["interrupted"])
    return max(statuses, default=0)


if __name__ == "__main__":
    sys.exit(guarded(main))
