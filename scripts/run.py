"""Train one optimiser on one task:  python -m scripts.run task=snn optimizer=polystep seed=42

Every setting can be overridden; python -m scripts.list shows the choices. Under torchrun (torchrun --nproc-per-node 2 -m
scripts.run ...) processes share the candidates of each step, with device=cuda on a GPU each. Exit status: 0 done (or was done
before), 1 the run failed, 2 wrong settings or unusable files, 3 another process is at work on the run, 130 interrupted.
"""

import argparse
import sys
from collections.abc import Sequence

from omegaconf import OmegaConf

from polystep.bench.composition import compose_config
from polystep.bench.launch import resolve_settings
from polystep.contracts import ExpectedError
from polystep.evaluation.sharded import ProcessLost, joined_processes, place_among_processes
from scripts import sweep
from scripts.console import (
    CONFIGS,
    EXIT_STATUS,
    add_config_dir,
    console,
    explain,
    guarded,
    overrides_of,
    prepare,
    show,
    show_data_sources,
)

MULTIRUN = {"-m", "--multirun"}


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; with Hydra's flag -m it is scripts.sweep."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if MULTIRUN.intersection(arguments):
        return sweep.main([argument for argument in arguments if argument not in MULTIRUN])
    parser = argparse.ArgumentParser(prog="python -m scripts.run", description="Train one optimiser on one task.")
    parser.add_argument("settings", nargs="*", metavar="setting=value", help="task=NAME, optimizer=NAME, seed=1, ...")
    add_config_dir(parser)
    parser.add_argument("--cfg", "-c", choices=["job"], help="show the settings of the run, and compute nothing")
    parser.add_argument("--multirun", "-m", action="store_true", help="several runs, as scripts.sweep makes them")
    options = parser.parse_intermixed_args(arguments)
    try:
        console.quiet = place_among_processes().rank != 0
        overrides = overrides_of(options)
        if options.cfg:
            composed, choices = compose_config(CONFIGS, overrides)
            resolve_settings(composed, choices)
            sys.stdout.write(OmegaConf.to_yaml(composed, resolve=True))
            return EXIT_STATUS["finished"]
        if not console.quiet:
            show_data_sources()
        return _compute(overrides)
    except ExpectedError as error:
        if isinstance(error, ProcessLost):
            # from whichever process is left
            console.quiet = False
        return explain(error)
    except KeyboardInterrupt:
        return EXIT_STATUS["interrupted"]


def _compute(overrides: Sequence[str]) -> int:
    run = prepare(overrides)
    with joined_processes(run.config["device"]) as run.processes:
        if run.processes.is_first:
            return show(run.execute())
        run.follow()
        return EXIT_STATUS["finished"]


if __name__ == "__main__":
    sys.exit(guarded(main))
