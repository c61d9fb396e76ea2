"""Choose settings by two-stage grids:  python -m scripts.tune study=equal_seconds task=snn optimizer=spsa,mezo

Nine trials with the values of configs/grid/STUDY/TASK/OPTIMIZER.yaml, then eight new ones around the best, for every method.
Trials are runs of the study that is named tuning_ instead of equal_, on a seed that no result uses, judged on validation data
alone. Of trials with equal validation the one counts that reached it after the smallest share of its steps, for a solved task
has many. The best settings are written to configs/settings/STUDY/TASK/OPTIMIZER.yaml. Finished trials are not repeated. Exit
status: 0 all settings are chosen, by as many trials for each method; 1 some are not; 130 interrupted.
"""

import argparse
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path

from omegaconf import OmegaConf

from polystep.ask_tell import NonFiniteLossError
from polystep.bench.composition import compose_config, expand_sweep, names_folders
from polystep.bench.grids import SIZE, Grid, Point, grid_files, read_grid
from polystep.bench.profiles import PlannedRun
from polystep.bench.schema import ConfigError
from polystep.bench.studies import name_of_settings, serving_files, settings_files
from polystep.bench.sweeps.local import LocalLauncher
from polystep.bench.sweeps.plan import SweepRun, plan_runs
from polystep.bench.sweeps.run_status import find_run_statuses
from polystep.contracts import ExpectedError
from polystep.files import write_text
from polystep.records import RunRecord, read_places
from scripts.console import (
    COMMITTED,
    CONFIGS,
    EXIT_STATUS,
    PLACES,
    add_config_dir,
    explain,
    guarded,
    overrides_of,
    say,
)
from scripts.sweep import launch, show_plan

RESULTS, TRIALS = "equal_", "tuning_"
"""How studies of results and those of their trials begin."""


@dataclass(frozen=True, eq=False)
class Method:
    """An optimiser on a task, the grid of its settings, and the folder of configurations that they are written into.

    study: of the results. settings: what trials are run with beside the grid. base: the settings file of the trials, as Hydra
    names it, if they have one.
    """

    study: str
    task: str
    optimizer: str
    settings: tuple[str, ...]
    grid: Grid
    base: str | None
    folder: Path

    def run(self, point: Point) -> PlannedRun:
        """One trial."""
        without_grid = _trial_overrides(self.study, self.task, self.optimizer, self.settings)
        return PlannedRun((*without_grid, *(f"{name}={value}" for name, value in point.items())))

    @property
    def file(self) -> Path:
        """Where its settings are written."""
        return self.folder / "settings" / self.study / self.task / f"{self.optimizer}.yaml"


@dataclass(frozen=True)
class Trial:
    """A trial that came to its end: its settings, its best validation, and what makes one trial better than another.

    worth: that validation, so that larger is better; then, among equal ones, how early it came: minus its share of all steps.
    Settings that lead to losses that are not finite have no validation, which is the worst.
    """

    point: Point
    validation: float
    worth: tuple[float, float]


def main(arguments: Sequence[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m scripts.tune", description="Choose settings by two-stage grids.")
    parser.add_argument(
        "settings",
        nargs="+",
        metavar="setting=value",
        help="study=equal_..., task=NAMES and optimizer=NAMES, several with commas; others hold for all trials",
    )
    add_config_dir(parser)
    parser.add_argument("--dry-run", action="store_true", help="show the plan of the first stage only")
    options = parser.parse_intermixed_args(arguments)
    try:
        methods = find_methods(
            overrides_of(options), [CONFIGS] if options.config_dir is None else [options.config_dir, CONFIGS]
        )
        if options.dry_run:
            runs = plan_runs(
                CONFIGS, [method.run(point) for method in methods for point in method.grid.points], COMMITTED
            )
            show_plan("First of two equal stages", runs, find_run_statuses(runs))
            return EXIT_STATUS["finished"]
        return tune(methods)
    except ExpectedError as error:
        return explain(error)
    except KeyboardInterrupt:
        return EXIT_STATUS["interrupted"]


def find_methods(overrides: Sequence[str], folders: Sequence[Path]) -> list[Method]:
    """The methods that a command line names; folders: of configurations, the one to write into first. Raises ConfigError."""
    groups = {"study", "task", "optimizer"}
    others = tuple(item for item in overrides if item.partition("=")[0] not in groups)
    chosen = [item for item in overrides if item not in others]
    if beside := [item for item in others if item.lstrip("+~").startswith(("optimizer.", "optimizer/"))]:
        raise ConfigError(
            f"{beside[0]} would hold for the trials alone; write it into configs/settings/{TRIALS}.../TASK/OPTIMIZER.yaml, "
            "which the chosen settings are built on"
        )
    if seeds := [item for item in others if item.lstrip("+~").startswith("seed=")]:
        raise ConfigError(
            f"{seeds[0]} is the seed of results; trials have one of their own, which configs/study/{TRIALS}... sets"
        )
    if missing := groups - {item.partition("=")[0] for item in chosen}:
        raise ConfigError(
            f"{', '.join(sorted(missing))} must be chosen: study=equal_seconds task=snn optimizer=spsa,mezo"
        )
    grids = dict(chain.from_iterable(grid_files(folder).items() for folder in reversed(folders)))
    files = settings_files(*folders)
    studies = sorted(path.stem for path in (CONFIGS / "study").glob(f"{RESULTS}*.yaml"))
    methods = []
    for combination in expand_sweep(CONFIGS, [*chosen, *filter(names_folders, others)]):
        names = dict(item.split("=", 1) for item in combination)
        study, task, optimizer = names["study"], names["task"], names["optimizer"]
        if study not in studies:
            raise ConfigError(f"study={study} cannot be tuned for; choose one of {', '.join(studies)}")
        if (study, task, optimizer) not in grids:
            raise ConfigError(
                f"optimizer={optimizer} has no grid on task={task} for study={study}; add "
                f"configs/grid/{study}/{task}/{optimizer}.yaml with nine combinations, such as optimizer.sigma: "
                "[0.01, 0.03, 0.1] and another line like it"
            )
        served, is_own = serving_files(files, _study_of_trials(study), task, optimizer)
        base = name_of_settings(served[0]) if is_own else None
        value_of = partial(_value_of, _trial_overrides(study, task, optimizer, others))
        grid = read_grid(grids[study, task, optimizer], value_of)
        method = Method(study, task, optimizer, others, grid, base, folders[0])
        own = files.get((study, task, optimizer), method.file)
        if own != method.file and own.parent.name == task:
            raise ConfigError(f"{own} holds these settings already; leave out --config-dir to choose them anew")
        methods.append(method)
    return methods


def _value_of(overrides: Sequence[str], setting: str) -> float:
    value = OmegaConf.select(compose_config(CONFIGS, overrides).config, setting)
    if not isinstance(value, int | float):
        raise ConfigError(
            f"{setting} is {value!r} without a grid, of which there are no multiples; give values instead"
        )
    return value


def _trial_overrides(study: str, task: str, optimizer: str, settings: Sequence[str]) -> tuple[str, ...]:
    """Of a trial for a study of results, without what its grid sets."""
    return (f"study={_study_of_trials(study)}", f"task={task}", f"optimizer={optimizer}", *settings)


def _study_of_trials(study: str) -> str:
    return TRIALS + study.removeprefix(RESULTS)


def tune(methods: Sequence[Method]) -> int:
    """Run both stages and write what they choose; returns the exit status. Ctrl-C raises KeyboardInterrupt.

    Of a method that lacks trials of a stage nothing is written, nor does the next stage begin: with all of them another one
    may be the best, and the trials around the first would be more than other methods have.
    """
    first = _trials({method: method.grid for method in methods})
    complete = {method: trials for method, trials in first.items() if len(trials) == SIZE}
    second = _trials({method: method.grid.around(_best(trials).point) for method, trials in complete.items()})
    lost = 0
    for method, trials in first.items():
        stage = second[method] if method in complete else trials
        if missing := SIZE - len(stage):
            say(
                f"{missing} of {SIZE} trials of {method.optimizer} on {method.task} failed, or are under way elsewhere: "
                "nothing is chosen; mend the cause, which is named above, or wait, and repeat"
            )
            lost += 1
            continue
        # the best of the first stage is in both
        known = [trial.point for trial in trials]
        trials = [*trials, *(trial for trial in second[method] if trial.point not in known)]
        best = _best(trials)
        if not math.isfinite(best.validation):
            say(f"no trial of {method.optimizer} on {method.task} has finite losses: nothing is chosen; mend its grid")
            lost += 1
            continue
        write_text(method.file, settings_text(method, best, trials))
        say(
            f"{method.optimizer} on {method.task}: {best.validation:.4f} on validation, {dict(best.point)}, {method.file}"
        )
    return EXIT_STATUS["failed" if lost else "finished"]


def _trials(grids: Mapping[Method, Grid]) -> dict[Method, list[Trial]]:
    """Those of a stage that came to their end, computed where they are not there yet."""
    planned = [(method, point, method.run(point)) for method, grid in grids.items() for point in grid.points]
    runs = plan_runs(CONFIGS, [run for *_, run in planned], COMMITTED)
    identities = {run.planned: run.identity for run in runs}
    statuses, records = find_run_statuses(runs), _ended(runs)
    # a trial that diverged has failed and has its result: nothing is to be done again
    left = [run for run in runs if run.identity not in records]
    show_plan("Trials", left or runs, statuses)
    if left:
        if launch(LocalLauncher(), left, statuses) == EXIT_STATUS["interrupted"]:
            raise KeyboardInterrupt
        records = _ended(runs)
    found: dict[Method, list[Trial]] = {method: [] for method in grids}
    for method, point, run in planned:
        if (record := records.get(identities[run])) is not None:
            found[method].append(_trial(point, record))
    return found


def _trial(point: Point, record: RunRecord) -> Trial:
    validation = record.scores.get("validation_selected")
    if not isinstance(validation, int | float) or not math.isfinite(validation):
        return Trial(point, math.nan, (-math.inf, 0.0))
    score = -validation if record.metric["direction"] == "minimize" else validation
    share = record.scores["selected_step"] / max(record.counters["steps"], 1)
    return Trial(point, validation, (score, -share))


def _ended(runs: Sequence[SweepRun]) -> dict[str, RunRecord]:
    """Records by the identity of their settings, of runs that finished or that their settings ended."""
    wanted = {run.identity for run in runs}
    places = {run.records for run in runs if run.records.exists()}
    records = [item for _, item in read_places(*places) if isinstance(item, RunRecord) and item.settings_id in wanted]
    return {record.settings_id: record for record in records if record.status == "finished" or _diverged(record)}


def _diverged(record: RunRecord) -> bool:
    return record.error is not None and record.error["type"] == NonFiniteLossError.__name__


def _best(trials: Sequence[Trial]) -> Trial:
    """The first of those that no other is better than."""
    return max(trials, key=lambda trial: trial.worth)


def settings_text(method: Method, best: Trial, trials: Sequence[Trial]) -> str:
    """The settings file: the grid's settings with the best values, on top of what the trials were run with."""
    command = f"study={method.study} task={method.task} optimizer={method.optimizer}"
    arguments = " ".join([command, *(item for item in method.settings if not item.startswith(PLACES))])
    edges = [
        name
        for name, value in best.point.items()
        if value in (min(trial.point[name] for trial in trials), max(trial.point[name] for trial in trials))
    ]
    content = OmegaConf.create({"defaults": [f"/settings/{method.base}", "_self_"]} if method.base else {})
    for name, value in best.point.items():
        OmegaConf.update(content, name, value, force_add=True)
    lines = [
        "# @package _global_",
        f"# python -m scripts.run {command}",
        f"# Written by: python -m scripts.tune {arguments}",
        f"# The best of {len(trials)} trials, {best.validation:.4f} on validation data (results/tables/tuning.csv).",
        *(f"# {name} is the smallest or largest value that was tried." for name in edges),
        OmegaConf.to_yaml(content),
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(guarded(main))
