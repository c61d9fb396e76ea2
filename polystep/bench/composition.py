"""Composing configurations: Hydra does it, and what it refuses is explained with the valid choices."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from polystep.bench.schema import ConfigError, unknown


def compose_config(config_dir: Path, overrides: Sequence[str]) -> tuple[DictConfig, Mapping[str, str]]:
    """The configuration of one run and the chosen name of each group; raises ConfigError for what cannot be composed."""
    check_overrides(config_dir, overrides)
    composed = _compose(config_dir, overrides)
    choices = dict(composed.hydra.runtime.choices)
    return OmegaConf.masked_copy(composed, [str(key) for key in composed if key != "hydra"]), choices


def check_overrides(config_dir: Path, arguments: Sequence[str]) -> None:
    """Refuse command-line arguments that name an unknown setting or choice; raises ConfigError with the valid ones.

    Flags (such as -m), values of sweeps and Hydra's own settings pass.
    """
    groups = {path.parent.relative_to(config_dir).as_posix() for path in config_dir.rglob("*.yaml")} - {".", "profile"}
    parsed = _parse([argument for argument in arguments if "=" in argument and not argument.startswith("-")])
    chosen = [override for override in parsed if override.key_or_group in groups and not override.is_sweep_override()]
    for override in chosen:
        valid = sorted(path.stem for path in (config_dir / override.key_or_group).glob("*.yaml"))
        if str(override.value()) not in valid:
            message = f"{override.key_or_group}={override.value()} does not exist; choose one of {', '.join(valid)}"
            raise ConfigError(message)
    known = _compose(config_dir, [str(override.input_line) for override in chosen])
    for override in parsed:
        name = override.key_or_group
        if name not in groups and not name.startswith("hydra") and not override.is_add():
            _check_path(known, name.split("."), groups)


def _check_path(known: DictConfig, keys: Sequence[str], groups: set[str]) -> None:
    place: Any = known
    for depth, key in enumerate(keys):
        if not isinstance(place, DictConfig) or key not in place:
            valid = [str(name) for name in place if name != "hydra"] if isinstance(place, DictConfig) else []
            raise ConfigError(unknown(".".join(keys[: depth + 1]), key, valid if depth else [*valid, *groups]))
        place = place._get_node(key)


def _parse(overrides: Sequence[str]) -> list[Override]:
    try:
        return OverridesParser.create().parse_overrides(list(overrides))
    except HydraException as error:
        raise ConfigError(_one_line(error)) from None


def _compose(config_dir: Path, overrides: Sequence[str]) -> DictConfig:
    try:
        with initialize_config_dir(str(config_dir.resolve()), version_base="1.3"):
            return compose("config", overrides=list(overrides), return_hydra_config=True)
    except (HydraException, OmegaConfBaseException) as error:
        raise ConfigError(_one_line(error)) from None


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
