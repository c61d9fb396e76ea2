"""Composing configurations: Hydra does it, and what it refuses is explained with the valid choices."""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, Override
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from polystep.bench.schema import ConfigError, unknown


def compose_config(config_dir: Path, overrides: Sequence[str]) -> tuple[DictConfig, Mapping[str, str]]:
    """The configuration of one run and the chosen name of each group; raises ConfigError for what cannot be composed."""
    _check_names([config_dir], _parse(overrides))
    return compose_checked(config_dir, overrides)


def compose_checked(config_dir: Path, overrides: Sequence[str]) -> tuple[DictConfig, Mapping[str, str]]:
    """The same in half the time, for overrides that a file of this project holds: what cannot be composed is named, but not
    what would be valid.
    """
    composed = _compose(config_dir, overrides)
    choices = dict(composed.hydra.runtime.choices)
    return OmegaConf.masked_copy(composed, [str(key) for key in composed if key != "hydra"]), choices


def check_overrides(config_dir: Path, arguments: Sequence[str]) -> None:
    """Refuse command-line arguments that name an unknown setting or choice, or that Hydra would refuse.

    Raises ConfigError with the valid ones. Values of sweeps and flags pass; the folder of `--config-dir` adds choices.
    """
    parsed = _parse(_without_flags(arguments))
    folders = [config_dir, *_config_dir_flag(arguments)]
    _check_names(folders, parsed)
    sweeping = not _MULTIRUN.isdisjoint(arguments)
    _compose_from(folders, [item for item in parsed if not (sweeping and item.is_sweep_override())])


_MULTIRUN = {"-m", "--multirun"}


def _without_flags(arguments: Sequence[str]) -> list[str]:
    """Arguments that are neither flags nor, as "job" in "--cfg job", the values of flags."""
    return [
        argument
        for flag, argument in zip(["", *arguments], arguments, strict=False)
        if not argument.startswith("-") and ("=" in argument or not flag.startswith("-") or flag in _MULTIRUN)
    ]


def _check_names(folders: Sequence[Path], overrides: Sequence[Override]) -> None:
    files = {path.relative_to(folder) for folder in folders for path in folder.rglob("*.yaml")}
    groups = {file.parent.as_posix() for file in files} - {".", "profile"}
    chosen = [override for override in overrides if override.key_or_group in groups and not override.is_delete()]
    for override in chosen:
        valid = sorted(file.stem for file in files if file.parent.as_posix() == override.key_or_group)
        for name in _choices(override):
            if name not in valid:
                message = f"{override.key_or_group}={name} does not exist; choose one of {', '.join(valid)}"
                raise ConfigError(message)
    known = _compose_from(folders, [override for override in chosen if not override.is_sweep_override()])
    for override in overrides:
        name = override.key_or_group
        if name not in groups and not name.startswith("hydra") and not (override.is_add() or override.is_delete()):
            _check_path(known, name.split("."), groups)


def _choices(override: Override) -> list[str]:
    """The names that an override chooses of its group; none where Hydra expands them."""
    if isinstance(override.value(), ChoiceSweep):
        return list(override.sweep_string_iterator())
    return [] if override.is_sweep_override() else [str(override.value())]


def _compose_from(folders: Sequence[Path], overrides: Sequence[Override]) -> DictConfig:
    search_path = ",".join(f"file://{folder.resolve()}" for folder in folders[1:])
    extra = [f"hydra.searchpath=[{search_path}]"] if search_path else []
    return _compose(folders[0], [*(str(override.input_line) for override in overrides), *extra])


def _config_dir_flag(arguments: Sequence[str]) -> list[Path]:
    """The folder that Hydra's flag --config-dir (-cd) names, if it is there."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--config-dir", "-cd", type=Path)
    # would else count as short for -cd
    parser.add_argument("--cfg", "-c")
    folder = parser.parse_known_args(list(arguments))[0].config_dir
    return [] if folder is None else [folder]


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
