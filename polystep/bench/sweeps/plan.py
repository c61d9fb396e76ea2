"""From the arguments of a sweep to its runs, each known by its settings."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from polystep.bench.composition import Composer, config_folders, expand_sweep
from polystep.bench.launch import resolve_settings
from polystep.bench.minutes import RecordedMinutes
from polystep.bench.profiles import PlannedRun, read_profile
from polystep.bench.specification import specification
from polystep.bench.studies import chosen_file, names_in, serving_files, settings_files
from polystep.processes import map_in_processes
from polystep.records import settings_id


@dataclass(frozen=True)
class SweepRun:
    """One run of a sweep.

    identity: of its settings (`settings_id`). group: task and study, for the plan. records: folder of its record. cores:
    how many it asks for, None for as many as it can get. gpus: likewise, 0 or 1. minutes: expected by earlier records.
    """

    planned: PlannedRun
    identity: str
    group: tuple[str, str]
    records: Path
    cores: int | None
    gpus: int
    minutes: float | None = None


def plan_sweep(
    config_dir: Path, profile: str | None, overrides: Sequence[str], committed: Path | None = None
) -> list[SweepRun]:
    """The runs of a profile, or those that a study has settings for, once for each combination of swept overrides.

    Runs of equal settings are one. `committed`: a folder with records of earlier runs, beside those of the runs themselves.
    Raises ConfigError for what cannot be composed.
    """
    folders = config_folders(config_dir, overrides)
    planned = [PlannedRun(())] if profile is None else read_profile(config_dir, profile, *folders[1:])
    combinations = [chosen for swept in expand_sweep(config_dir, overrides) for chosen in _of_study(folders, swept)]
    return plan_runs(config_dir, [_with(run, chosen) for run, chosen in product(planned, combinations)], committed)


def plan_runs(config_dir: Path, planned: Sequence[PlannedRun], committed: Path | None = None) -> list[SweepRun]:
    """The runs that are listed; for the rest see `plan_sweep`."""
    composed = _composed(config_dir, planned)
    recorded = RecordedMinutes(*{run.records for run, _ in composed}, *([] if committed is None else [committed]))
    runs: dict[str, SweepRun] = {}
    for run, known_by in composed:
        runs.setdefault(run.identity, replace(run, minutes=recorded.of(*known_by)))
    return list(runs.values())


def _with(run: PlannedRun, chosen: tuple[str, ...]) -> PlannedRun:
    return PlannedRun((*run.overrides, *chosen), None if run.without_data is None else (*run.without_data, *chosen))


_WORTH_A_PROCESS = 20
"""So many configurations take longer to compose than a process takes to start."""


def _composed(config_dir: Path, planned: Sequence[PlannedRun]) -> list[tuple[SweepRun, tuple[Any, ...]]]:
    """Each run, and what records know it by. Runs that share files are neighbours, which one process composes."""
    composer = Composer(config_dir)

    def choices_first(place: int) -> list[tuple[bool, str]]:
        return sorted((override.startswith("seed="), override) for override in planned[place].overrides)

    order = sorted(range(len(planned)), key=choices_first)
    found = map_in_processes(
        lambda place: _sweep_run(composer, planned[place]), order, _WORTH_A_PROCESS, together=5 * _WORTH_A_PROCESS
    )
    by_place = dict(zip(order, found, strict=True))
    return [by_place[place] for place in range(len(planned))]


def _sweep_run(composer: Composer, planned: PlannedRun) -> tuple[SweepRun, tuple[Any, ...]]:
    settings = resolve_settings(*composer.compose(planned.overrides))
    names, decisive = settings["names"], specification(settings)
    run = SweepRun(
        planned,
        settings_id(decisive),
        (names["task"], names["study"]),
        Path(settings["records"]),
        settings["threads"] or None,
        int(settings["device"].startswith("cuda")),
    )
    return run, (decisive, names, settings["budget"])


def _of_study(folders: Sequence[Path], overrides: tuple[str, ...]) -> list[tuple[str, ...]]:
    """Where a study needs a settings file: the tasks and optimisers that have one, as far as `overrides` leave them open."""
    chosen = dict(override.partition("=")[::2] for override in overrides)
    open_groups = [group for group in ("task", "optimizer") if group not in chosen]
    study = chosen_file(folders, "study", str(chosen.get("study")))
    if not (open_groups and study and OmegaConf.select(OmegaConf.load(study), "study.requires_settings")):
        return [overrides]
    files = settings_files(*folders)
    found = []
    names = [names_in(folders, group) for group in open_groups]
    for choice in product(*names):
        group = chosen | dict(zip(open_groups, choice, strict=True))
        if serving_files(files, study.stem, group["task"], group["optimizer"])[1]:
            found.append((*overrides, *(f"{name}={group[name]}" for name in open_groups)))
    # without any, composing says what is wrong
    return found or [overrides]
