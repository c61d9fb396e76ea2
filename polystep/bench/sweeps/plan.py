"""From the arguments of a sweep to its runs, each known by its settings."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from polystep.bench.composition import compose_config, expand_sweep
from polystep.bench.launch import resolve_settings
from polystep.bench.profiles import PlannedRun, read_profile
from polystep.bench.specification import specification
from polystep.records import settings_id


@dataclass(frozen=True)
class SweepRun:
    """One run of a sweep.

    identity: of its settings (`settings_id`). group: task and study, for the plan. records: folder of its record. cores:
    how many it asks for, None for as many as it can get. gpus: likewise, 0 or 1.
    """

    planned: PlannedRun
    identity: str
    group: tuple[str, str]
    records: Path
    cores: int | None
    gpus: int


def plan_sweep(config_dir: Path, profile: str | None, overrides: Sequence[str]) -> list[SweepRun]:
    """The runs of a profile, or those that a study has settings for, once for each combination of swept overrides.

    Runs of equal settings are one. Raises ConfigError for what cannot be composed.
    """
    planned = [PlannedRun((), None)] if profile is None else read_profile(config_dir, profile)
    combinations = [chosen for swept in expand_sweep(config_dir, overrides) for chosen in _of_study(config_dir, swept)]
    runs: dict[str, SweepRun] = {}
    for run, chosen in product(planned, combinations):
        instead = None if run.without_data is None else (*run.without_data, *chosen)
        settings = resolve_settings(*compose_config(config_dir, (*run.overrides, *chosen)))
        found = _sweep_run(PlannedRun((*run.overrides, *chosen), run.minutes, instead), settings)
        runs.setdefault(found.identity, found)
    return list(runs.values())


def _sweep_run(planned: PlannedRun, settings: dict[str, Any]) -> SweepRun:
    names = settings["names"]
    return SweepRun(
        planned,
        settings_id(specification(settings)),
        (names["task"], names["study"]),
        Path(settings["records"]),
        settings["threads"] or None,
        int(settings["device"].startswith("cuda")),
    )


def _of_study(config_dir: Path, overrides: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """Where a study needs a settings file: the tasks and optimisers that have one, as far as `overrides` leave them open."""
    chosen = dict(override.partition("=")[::2] for override in overrides)
    open_groups = [group for group in ("task", "optimizer") if group not in chosen]
    study = config_dir / "study" / f"{chosen.get('study')}.yaml"
    if not open_groups or not study.exists() or not OmegaConf.is_missing(OmegaConf.load(study), "protocol"):
        yield overrides
        return
    found = False
    names = [[path.stem for path in sorted((config_dir / group).glob("*.yaml"))] for group in open_groups]
    for choice in product(*names):
        group = chosen | dict(zip(open_groups, choice, strict=True))
        files = (f"{study.stem}_{group['optimizer']}", f"{study.stem}_{group['task']}_{group['optimizer']}")
        if any((config_dir / "settings" / f"{name}.yaml").exists() for name in files):
            found = True
            yield (*overrides, *(f"{name}={group[name]}" for name in open_groups))
    if not found:
        # composing says what is wrong
        yield overrides
