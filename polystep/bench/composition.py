"""Composing configurations: Hydra does it, and what it refuses is explained with the valid choices."""

import argparse
import copy
from collections.abc import Mapping, Sequence
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, Override, OverrideType
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from polystep.bench.schema import ConfigError, unknown


class Composed(NamedTuple):
    """The configuration of one run, and the chosen name of each group."""

    config: DictConfig
    choices: Mapping[str, str]


def compose_config(config_dir: Path, overrides: Sequence[str], name: str = "config") -> Composed:
    """The configuration that Hydra composes; raises ConfigError for what cannot be composed.

    `name`: the file to start from. The folders of `hydra.searchpath=[file:///FOLDER]` add choices.
    """
    parsed = _parse(overrides)
    folders = [config_dir, *_search_path(parsed)]
    groups = _check_names(folders, parsed, name)
    _refuse_several(parsed)
    chosen = [override for override in parsed if override.key_or_group in groups]
    plain = [override for override in parsed if override.key_or_group not in {*groups, _SEARCH_PATH}]
    if all(item.type is OverrideType.CHANGE and not item.key_or_group.startswith("hydra") for item in plain):
        # as Hydra does it; reading the files, which runs of a sweep share, is what takes time
        composed = _compose_from(folders, chosen, name)
        composed = composed._replace(config=copy.deepcopy(composed.config))
        try:
            for override in plain:
                OmegaConf.update(composed.config, override.key_or_group, override.value())
        except OmegaConfBaseException as error:
            raise ConfigError(_one_line(error)) from None
    else:
        composed = _compose(config_dir, overrides, name)
    return composed


def check_overrides(config_dir: Path, arguments: Sequence[str]) -> None:
    """Refuse command-line arguments that name an unknown setting or choice, several runs, or what Hydra would refuse.

    Raises ConfigError with the valid ones. Flags pass; the folder of `--config-dir` adds choices.
    """
    parsed = _parse(_without_flags(arguments))
    folders = [config_dir, *_config_dir_flag(arguments)]
    _check_names(folders, parsed)
    _refuse_several(parsed)
    _compose_from(folders, parsed)


def expand_sweep(config_dir: Path, overrides: Sequence[str]) -> list[tuple[str, ...]]:
    """The overrides of each run that Hydra's sweep syntax (`seed=1,2`, `range(1,4)`, `glob(*)`) stands for, last one fastest.

    Raises ConfigError for what cannot be parsed and for a pattern that nothing matches.
    """
    with initialize_config_dir(str(config_dir.resolve()), version_base="1.3"):
        parser = OverridesParser.create(config_loader=GlobalHydra.instance().config_loader())
    choices = []
    for override in _parse(overrides, parser):
        if override.is_sweep_override():
            choices.append([f"{override.get_key_element()}={value}" for value in override.sweep_string_iterator()])
            if not choices[-1]:
                raise ConfigError(f"{override.input_line} stands for no value")
        else:
            choices.append([str(override.input_line)])
    return list(product(*choices))


def _refuse_several(overrides: Sequence[Override]) -> None:
    several = [str(item.input_line) for item in overrides if item.is_sweep_override()]
    if several:
        raise ConfigError(f"{several[0]} asks for several runs, which python -m scripts.sweep makes")


def _without_flags(arguments: Sequence[str]) -> list[str]:
    """Arguments that are neither flags nor, as "job" in "--cfg job", the values of flags."""
    return [
        argument
        for flag, argument in zip(["", *arguments], arguments, strict=False)
        if not argument.startswith("-") and ("=" in argument or not flag.startswith("-"))
    ]


def _check_names(folders: Sequence[Path], overrides: Sequence[Override], root: str = "config") -> set[str]:
    """Raise ConfigError for an unknown setting or choice; returns the names of the groups."""
    files = {path.relative_to(folder) for folder in folders for path in folder.rglob("*.yaml")}
    groups = {file.parent.as_posix() for file in files} - {".", "profile"}
    chosen = [override for override in overrides if override.key_or_group in groups and not override.is_delete()]
    for override in chosen:
        valid = sorted(file.stem for file in files if file.parent.as_posix() == override.key_or_group)
        for name in _choices(override):
            if name not in valid:
                message = f"{override.key_or_group}={name} does not exist; choose one of {', '.join(valid)}"
                raise ConfigError(message)
    known = _compose_from(folders, [override for override in chosen if not override.is_sweep_override()], root).config
    for override in overrides:
        name = override.key_or_group
        if name not in groups and not name.startswith("hydra") and not (override.is_add() or override.is_delete()):
            _check_path(known, name.split("."), groups)
    return groups


def _choices(override: Override) -> list[str]:
    """The names that an override chooses of its group; none where Hydra expands them."""
    if isinstance(override.value(), ChoiceSweep):
        return list(override.sweep_string_iterator())
    return [] if override.is_sweep_override() else [str(override.value())]


def _compose_from(folders: Sequence[Path], overrides: Sequence[Override], name: str = "config") -> Composed:
    extra = [search_path_override(folders[1:])] if len(folders) > 1 else []
    return _compose_once(folders[0], (*(str(override.input_line) for override in overrides), *extra), name)


@cache
def _compose_once(config_dir: Path, overrides: tuple[str, ...], name: str) -> Composed:
    """Not to be changed by the caller."""
    return _compose(config_dir, overrides, name)


def search_path_override(folders: Sequence[Path]) -> str:
    """The override that adds the choices of other folders."""
    return f"{_SEARCH_PATH}=[{','.join(f'file://{folder.resolve()}' for folder in folders)}]"


_SEARCH_PATH = "hydra.searchpath"


def _search_path(overrides: Sequence[Override]) -> list[Path]:
    """The folders that Hydra's search path names."""
    values = [item.value() for item in overrides if item.key_or_group == _SEARCH_PATH]
    folders = [folder for value in values if isinstance(value, list) for folder in value]
    return [Path(str(folder).removeprefix("file://")) for folder in folders]


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
            valid = [str(name) for name in place] if isinstance(place, DictConfig) else []
            raise ConfigError(unknown(".".join(keys[: depth + 1]), key, valid if depth else [*valid, *groups]))
        place = place._get_node(key)


def _parse(overrides: Sequence[str], parser: OverridesParser | None = None) -> list[Override]:
    try:
        return (parser or OverridesParser.create()).parse_overrides(list(overrides))
    except HydraException as error:
        raise ConfigError(_one_line(error)) from None


def _compose(config_dir: Path, overrides: Sequence[str], name: str) -> Composed:
    try:
        with initialize_config_dir(str(config_dir.resolve()), version_base="1.3"):
            config = compose(name, overrides=list(overrides), return_hydra_config=True)
    except (HydraException, OmegaConfBaseException) as error:
        raise ConfigError(_one_line(error)) from None
    # what Hydra says of itself, several times as large as all else, would be copied with it
    return Composed(
        OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"]),
        dict(config.hydra.runtime.choices),
    )


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
