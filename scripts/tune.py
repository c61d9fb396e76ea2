"""Choose settings by two-stage grids:  python -m scripts.tune study=equal_seconds task=snn optimizer=spsa,mezo

Nine trials with the values of configs/grid/STUDY/TASK/OPTIMIZER.yaml, then eight new ones around the best, for every method.
Trials are runs of the study that is named tuning_ instead of equal_, on seeds that no result uses, judged on validation data
alone: by the mean of --seeds runs each, where one run says little. Of trials with equal validation the one counts that reached
it after the smallest share of its steps, for a solved task has many. The best settings are written to
configs/settings/STUDY/TASK/OPTIMIZER.yaml. Of several values of one setting of the task, such as task.variables=100,500, each
gets trials of its own, and the file holds the settings of each. Finished runs are not repeated. Exit status: 0 all settings are
chosen, by as many trials for each method; 1 some are not; 130 interrupted.
"""

import argparse
import math
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import chain
from pathlib import Path
from statistics import fmean

from omegaconf import DictConfig, OmegaConf

from polystep.ask_tell import NonFiniteLossError
from polystep.bench.composition import compose_config, expand_sweep, names_folders
from polystep.bench.grids import SIZE, Grid, Point, grid_files, read_grid
from polystep.bench.schema import ConfigError
from polystep.bench.studies import name_of_settings, serving_files, settings_files
from polystep.bench.sweeps.local import LocalLauncher
from polystep.bench.sweeps.plan import SweepRun, plan_runs
from polystep.bench.sweeps.run_status import find_run_statuses
from polystep.contracts import ExpectedError
from polystep.files import write_text
from polystep.records import TOO_MUCH, RunRecord, read_places, shared_its_core
from scripts.console import (
    COMMITTED,
    CONFIGS,
    EXIT_STATUS,
    add_config_dir,
    explain,
    guarded,
    overrides_of,
    positive_count,
    say,
)
from scripts.sweep import launch, show_plan
from scripts.trials import (
    RESULTS,
    TRIALS,
    Choice,
    Method,
    Trial,
    refuse_loss,
    settings_text,
    study_of_trials,
    trial_overrides,
)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m scripts.tune", description="Choose settings by two-stage grids.")
    parser.add_argument(
        "settings",
        nargs="+",
        metavar="setting=value",
        help="study=equal_..., task=NAMES and optimizer=NAMES, several with commas; task.SETTING=VALUES tunes for each of them "
        "apart; others hold for all trials",
    )
    add_config_dir(parser)
    parser.add_argument(
        "--seeds",
        type=positive_count,
        default=1,
        help="runs of each trial, with one seed after another; their mean counts",
    )
    parser.add_argument("--dry-run", action="store_true", help="show the plan of the first stage only")
    options = parser.parse_intermixed_args(arguments)
    try:
        folders = [CONFIGS] if options.config_dir is None else [options.config_dir, CONFIGS]
        methods = find_methods(overrides_of(options), folders, options.seeds)
        if options.dry_run:
            planned = [run for method in methods for point in method.grid.points for run in method.runs(point)]
            runs = plan_runs(CONFIGS, planned, COMMITTED)
            show_plan("First of two equal stages", runs, find_run_statuses(runs))
            return EXIT_STATUS["finished"]
        return tune(methods)
    except ExpectedError as error:
        return explain(error)
    except KeyboardInterrupt:
        return EXIT_STATUS["interrupted"]


def find_methods(overrides: Sequence[str], folders: Sequence[Path], seeds: int = 1) -> list[Method]:
    """The methods that a command line names; folders: of configurations, the one to write into first; seeds: how many runs a
    trial has. Raises ConfigError.
    """
    chosen, several, fixed = _parts(overrides)
    grids = dict(chain.from_iterable(grid_files(folder).items() for folder in reversed(folders)))
    files = settings_files(*folders)
    studies = sorted(path.stem for path in (CONFIGS / "study").glob(f"{RESULTS}*.yaml"))
    methods = []
    for combination in expand_sweep(CONFIGS, [*chosen, *several, *filter(names_folders, fixed)]):
        names = dict(item.split("=", 1) for item in combination)
        variant = next((item for item in combination if item.startswith("task.")), "")
        study, task, optimizer = names["study"], names["task"], names["optimizer"]
        if study not in studies:
            raise ConfigError(f"study={study} cannot be tuned for; choose one of {', '.join(studies)}")
        if (study, task, optimizer) not in grids:
            raise ConfigError(
                f"optimizer={optimizer} has no grid on task={task} for study={study}; add "
                f"configs/grid/{study}/{task}/{optimizer}.yaml with nine combinations, such as optimizer.sigma: "
                "[0.01, 0.03, 0.1] and another line like it"
            )
        served, is_own = serving_files(files, study_of_trials(study), task, optimizer)
        base = name_of_settings(served[0]) if is_own else None
        place = grids[study, task, optimizer]
        config = compose_config(CONFIGS, trial_overrides(study, task, optimizer, variant, fixed)).config
        grid, of_trials = _grid(config, optimizer, place), range(config.seed, config.seed + seeds)
        method = Method(study, task, optimizer, variant, fixed, grid, of_trials, base, folders[0])
        own = files.get((study, task, optimizer), method.file)
        if own != method.file and own.parent.name == task:
            raise ConfigError(f"{own} holds these settings already; leave out --config-dir to choose them anew")
        methods.append(method)
    for method in methods:
        refuse_loss(method.file, [other.variant for other in methods if other.file == method.file])
    return methods


def _parts(overrides: Sequence[str]) -> tuple[list[str], list[str], tuple[str, ...]]:
    """The choices of study, task and optimiser; the setting of the task that has several values, if any; what else holds for
    all trials. Raises ConfigError for what does not.
    """
    groups = {"study", "task", "optimizer"}
    others = tuple(item for item in overrides if item.partition("=")[0] not in groups)
    chosen = [item for item in overrides if item not in others]
    if beside := [item for item in others if item.lstrip("+~").startswith(("optimizer.", "optimizer/"))]:
        raise ConfigError(
            f"{beside[0]} would hold for the trials alone; write it into configs/settings/{TRIALS}.../TASK/OPTIMIZER.yaml, "
            "which the chosen settings are built on"
        )
    if seeded := [item for item in others if item.lstrip("+~").startswith("seed=")]:
        raise ConfigError(
            f"{seeded[0]} is the seed of results; trials have their own, from that of configs/study/{TRIALS}... on"
        )
    if missing := groups - {item.partition("=")[0] for item in chosen}:
        raise ConfigError(
            f"{', '.join(sorted(missing))} must be chosen: study=equal_seconds task=snn optimizer=spsa,mezo"
        )
    several = [item for item in others if not names_folders(item) and len(expand_sweep(CONFIGS, [item])) > 1]
    if wrong := [item for item in several if not item.startswith("task.")] or several[1:]:
        raise ConfigError(f"{wrong[0]} has several values; one setting of the task may, such as task.variables=100,500")
    return chosen, several, tuple(item for item in others if item not in several)


def _grid(config: DictConfig, optimizer: str, place: Path) -> Grid:
    """The grid at `place`, all of whose settings exist; config: of a trial without it. Raises ConfigError."""
    grid = read_grid(place, partial(_value_of, config, optimizer, place))
    for setting in grid.axes:
        _require(config, setting, optimizer, place)
    return grid


def _require(config: DictConfig, setting: str, optimizer: str, place: Path) -> None:
    """ConfigError where a grid names a setting that does not exist."""
    *path, name = setting.split(".")
    node = OmegaConf.select(config, ".".join(path), throw_on_resolution_failure=False)
    if not (isinstance(node, DictConfig) and name in node.keys()):  # noqa: SIM118
        raise ConfigError(f"{place}: {setting} is no setting of optimizer={optimizer}")


def _value_of(config: DictConfig, optimizer: str, place: Path, setting: str) -> float:
    _require(config, setting, optimizer, place)
    value = OmegaConf.select(config, setting)
    if not isinstance(value, int | float):
        raise ConfigError(
            f"{setting} is {value!r} without a grid, of which there are no multiples; give values instead"
        )
    return value


def tune(methods: Sequence[Method]) -> int:
    """Run both stages and write what they choose; returns the exit status. Ctrl-C raises KeyboardInterrupt.

    Of a method that lacks trials of a stage nothing is written, nor does the next stage begin: with all of them another one
    may be the best, and the trials around the first would be more than other methods have.
    """
    first = _trials({method: method.grid for method in methods})
    complete = {method: trials for method, trials in first.items() if len(trials) == SIZE}
    second = _trials({method: method.grid.around(_best(trials).point) for method, trials in complete.items()})
    lost: set[Path] = set()
    chosen: dict[Path, list[Choice]] = {}
    for method, trials in first.items():
        stage = second[method] if method in complete else trials
        if missing := SIZE - len(stage):
            say(
                f"{missing} of {SIZE} trials of {method} failed, do not count, or are under way elsewhere: nothing is chosen; "
                "mend the cause, which is named above, or wait, and repeat"
            )
            lost.add(method.file)
            continue
        # the best of the first stage is in both
        known = [trial.point for trial in trials]
        trials = [*trials, *(trial for trial in second[method] if trial.point not in known)]
        best = _best(trials)
        if not math.isfinite(best.validation):
            say(f"no trial of {method} has finite losses: nothing is chosen; mend its grid")
            lost.add(method.file)
            continue
        chosen.setdefault(method.file, []).append(Choice(method, best, trials))
    for file, choices in chosen.items():
        # settings of some of its variants would be taken for those of the others
        if file not in lost:
            write_text(file, settings_text(choices))
            for choice in choices:
                say(f"{choice.method}: {choice.best.validation:.4f} on validation, {dict(choice.best.point)}, {file}")
    return EXIT_STATUS["failed" if lost else "finished"]


def _trials(grids: Mapping[Method, Grid]) -> dict[Method, list[Trial]]:
    """Those of a stage that came to their end, computed where they are not there yet."""
    planned = [(method, point, method.runs(point)) for method, grid in grids.items() for point in grid.points]
    runs = plan_runs(CONFIGS, [run for *_, of_point in planned for run in of_point], COMMITTED)
    identities = {run.planned: run.identity for run in runs}
    if twins := [run for *_, of_point in planned for run in of_point if run not in identities]:
        raise ConfigError(f"{' '.join(twins[0].overrides)} is the same run as another trial; name one of the methods")
    statuses, records = find_run_statuses(runs), _ended(runs)
    # a trial that diverged has failed and has its result: nothing is to be done again
    left = [run for run in runs if run.identity not in records]
    show_plan("Trials", left or runs, statuses)
    if left:
        if launch(LocalLauncher(), left, statuses) == EXIT_STATUS["interrupted"]:
            raise KeyboardInterrupt
        records = _ended(runs)
    found: dict[Method, list[Trial]] = {method: [] for method in grids}
    for method, point, of_point in planned:
        ended = [record for run in of_point if (record := records.get(identities[run])) is not None]
        unequal = list(filter(None, (_inequality(method, record) for record in ended)))
        for sentence in unequal:
            say(sentence)
        if len(ended) == len(of_point) and not unequal:
            found[method].append(_trial(point, ended))
    return found


def _inequality(method: Method, record: RunRecord) -> str:
    """Why a trial had another budget than those of other methods, by the rules for results; empty where it had the same."""
    limits, spent = record.specification["budget"], record.spent
    for name, limit in limits.items():
        if spent[name] > TOO_MUCH * limit:
            place = f"configs/settings/{study_of_trials(method.study)}/{method.task}/{method.optimizer}.yaml"
            return (
                f"a trial of {method} took {round(spent[name], 1):,} {name} of {limit:,}, more than other methods have; give "
                f"its steps fewer candidates, in {place}"
            )
    if "seconds" in limits and shared_its_core(record.cpu_seconds, record.wall_seconds):
        return (
            f"a trial of {method} had a processor for {record.cpu_seconds:.1f} of {record.wall_seconds:.1f} seconds; delete "
            f"the folder {record.name} among the records, and repeat on a machine that does nothing else"
        )
    return ""


def _trial(point: Point, records: Sequence[RunRecord]) -> Trial:
    """What the runs of a point, one for each seed, come to."""
    found = [record.scores.get("validation_selected") for record in records]
    scores = [score for score in found if isinstance(score, int | float) and math.isfinite(score)]
    if len(scores) < len(records) or any(map(_diverged, records)):
        return Trial(point, math.nan, (-math.inf, 0.0))
    validation = fmean(scores)
    sign = -1 if records[0].metric["direction"] == "minimize" else 1
    share = max(record.scores["selected_step"] / max(record.counters["steps"], 1) for record in records)
    return Trial(point, validation, (sign * validation, -share))


def _ended(runs: Sequence[SweepRun]) -> dict[str, RunRecord]:
    """Records by the identity of their settings, of runs that finished or that their settings ended."""
    wanted = {run.identity for run in runs}
    places = {run.records for run in runs if run.records.exists()}
    records = [item for _, item in read_places(*places) if isinstance(item, RunRecord) and item.settings_id in wanted]
    return {record.settings_id: record for record in records if record.status == "finished" or _diverged(record)}


def _diverged(record: RunRecord) -> bool:
    """Whether its losses or parameters ceased to be finite; earlier versions called that a failure."""
    failed = record.error is not None and record.error["type"] == NonFiniteLossError.__name__
    return failed or record.ended_by == "divergence"


def _best(trials: Sequence[Trial]) -> Trial:
    """The first of those that no other is better than."""
    return max(trials, key=lambda trial: trial.worth)


if __name__ == "__main__":
    sys.exit(guarded(main))
