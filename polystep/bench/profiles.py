"""Profiles: the lists of runs that `make reproduce-paper` works through and that a report expects."""

from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from polystep.bench.schema import ConfigError


@dataclass(frozen=True)
class PlannedRun:
    """One run of a profile or sweep: its Hydra overrides, how long it takes on two cores (None: unknown), and the overrides of
    the run to make instead where the data cannot be had (None: nothing).
    """

    overrides: tuple[str, ...]
    minutes: float | None
    without_data: tuple[str, ...] | None = None

    @property
    def title(self) -> str:
        """The overrides, as on a command line."""
        return " ".join(self.overrides)


def profile_names(config_dir: Path) -> list[str]:
    """The profiles that exist."""
    return sorted(path.stem for path in (config_dir / "profile").glob("*.yaml"))


def read_profile(config_dir: Path, name: str) -> list[PlannedRun]:
    """The runs of a profile, seed by seed where it names seeds, so that an early stop leaves whole comparisons.

    Raises ConfigError for an unknown or malformed profile.
    """
    path = config_dir / "profile" / f"{name}.yaml"
    if name not in profile_names(config_dir):
        raise ConfigError(f"profile {name} does not exist; choose one of {', '.join(profile_names(config_dir))}")
    try:
        content: Any = OmegaConf.to_container(OmegaConf.load(path))
        seeds = [[f"seed={seed}"] for seed in content.get("seeds", [])] or [[]]
        return [_planned(run, seed) for seed, run in product(seeds, content["runs"])]
    except (OmegaConfBaseException, YAMLError, AttributeError, KeyError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise ConfigError(
            f"{path} is not a profile ({reason}); it needs runs, each with overrides and minutes"
        ) from error


def _planned(run: dict[str, Any], seed: list[str]) -> PlannedRun:
    for overrides in (run["overrides"], run.get("without_data", [])):
        if not isinstance(overrides, list) or not all(isinstance(override, str) for override in overrides):
            raise TypeError(f"{overrides!r} is not a list of overrides")
    instead = (*run["without_data"], *seed) if "without_data" in run else None
    return PlannedRun((*run["overrides"], *seed), float(run["minutes"]), instead)
