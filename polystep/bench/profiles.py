"""Profiles: named products of studies, tasks, optimisers and overrides, which `make reproduce-paper` works through.

A profile has `runs`, a list of entries, and `seeds`. An entry names study, task and optimizer, each one or a list, and may have
`overrides`, values or lists of values by setting, and `without_data`, the task to compute instead where the data cannot be had.
Every combination is a run.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from polystep.bench.schema import ConfigError, check_settings, read_yaml
from polystep.bench.studies import choice_files
from polystep.validation import did_you_mean

Several = str | list[str]
Value = str | float | bool | None


@dataclass(frozen=True)
class PlannedRun:
    """One run of a profile or sweep: its Hydra overrides, and those of the run to make instead where the data cannot be had
    (None: nothing).
    """

    overrides: tuple[str, ...]
    without_data: tuple[str, ...] | None = None

    @property
    def title(self) -> str:
        """The overrides, as on a command line."""
        return " ".join(self.overrides)


@dataclass(frozen=True)
class Entry:
    """One product of a profile."""

    task: Several
    optimizer: Several
    study: Several = "default"
    overrides: Mapping[str, Value | list[Value]] | None = None
    without_data: str | None = None

    def runs(self, seed: Mapping[str, int]) -> Iterator[PlannedRun]:
        """Every combination, the last setting fastest, with the overrides that choose the seed."""
        axes = {"study": self.study, "task": self.task, "optimizer": self.optimizer, **(self.overrides or {}), **seed}
        lists = {key: values if isinstance(values, list) else [values] for key, values in axes.items()}
        for chosen in product(*([f"{key}={_text(value)}" for value in values] for key, values in lists.items())):
            instead = (f"task={self.without_data}" if item.startswith("task=") else item for item in chosen)
            yield PlannedRun(chosen, None if self.without_data is None else tuple(instead))


@dataclass(frozen=True)
class Profile:
    """A profile's file. seeds: of every run; without any, each run has the seed of its study."""

    runs: list[Any]
    seeds: list[int] | None = None


def read_profile(config_dir: Path, name: str, *others: Path) -> list[PlannedRun]:
    """The runs of a profile, seed by seed, so that an early stop leaves whole comparisons. `others`: further folders.

    Raises ConfigError for an unknown or malformed profile.
    """
    files = choice_files((config_dir, *others), "profile")
    if (path := files.get(name)) is None:
        raise ConfigError(f"profile {name} does not exist{did_you_mean(name, files)}; choose one of {', '.join(files)}")
    content = read_yaml(path, "a profile")
    try:
        profile = _checked(Profile, content, "")
        entries = [_checked(Entry, entry, f"runs.{place}") for place, entry in enumerate(profile.runs)]
    except ConfigError as error:
        raise ConfigError(f"{path} is not a profile: {error}") from error
    seeds: list[dict[str, int]] = [{"seed": seed} for seed in profile.seeds or []] or [{}]
    return [run for seed in seeds for entry in entries for run in entry.runs(seed)]


def _checked(kind: Any, content: Any, place: str) -> Any:
    if not isinstance(content, dict):
        raise ConfigError(f"{place or 'it'} must be settings, got {content!r}")
    if missing := check_settings(kind, content, place):
        raise ConfigError(f"{place or 'it'} lacks {', '.join(missing)}")
    return kind(**content)


def _text(value: Value) -> str:
    """As Hydra's grammar writes it."""
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
