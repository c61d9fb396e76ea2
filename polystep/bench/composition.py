"""Composing configurations: Hydra does it from the chosen files, and what it refuses is explained in a line.

Settings that do not exist are accepted here; `polystep.bench.launch.resolve_settings` checks what was composed.
"""

import copy
import difflib
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, Quote, QuotedString
from hydra.errors import HydraException, MissingConfigException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from polystep.bench.schema import ConfigError, read_yaml, unknown
from polystep.bench.studies import (
    ANY_TASK,
    check_package,
    chosen_file,
    name_of_settings,
    names_in,
    serving_files,
    settings_files,
)
from polystep.validation import did_you_mean, one_line

SEARCH_PATH = "hydra.searchpath"
_NOT_CHOSEN = ("grid", "profile", "settings")
"""Folders of files that arguments do not choose: commands read the first two, a study chooses the last."""


class Composed(NamedTuple):
    """The configuration of one run, and the chosen name of each group."""

    config: DictConfig
    choices: Mapping[str, str]


def compose_config(config_dir: Path, overrides: Sequence[str], name: str = "config") -> Composed:
    """The configuration that Hydra composes; raises ConfigError for what cannot be composed.

    `name`: the file to start from. The folders of `hydra.searchpath=[file:///FOLDER]` add choices.
    """
    return Composer(config_dir, name).compose(overrides)


class Composer:
    """Composes the configurations of many runs. Another one notices files that have changed since."""

    def __init__(self, config_dir: Path, name: str = "config"):
        self._config_dir, self._name = config_dir.resolve(), name
        self._files_in = cache(_files_in)

    def compose(self, overrides: Sequence[str]) -> Composed:
        """The configuration of one run; raises ConfigError for what cannot be composed."""
        _refuse_words(self._config_dir, overrides)
        parsed = [_parse(override) for override in overrides]
        several = [str(item.input_line) for item in parsed if item.is_sweep_override()]
        if several and self._name != "config":
            raise ConfigError(f"{several[0]} gives several values; give one")
        if several:
            raise ConfigError(
                f"{several[0]} asks for several runs, which python -m scripts.sweep makes; {_as_one_value(several[0])}"
            )
        folders = (self._config_dir, *_search_path(parsed))
        files = self._files_in(folders)
        choosing = [item for item in parsed if item.key_or_group in files.groups or item.is_hydra_override()]
        for item in choosing:
            if not (item.is_hydra_override() or item.is_delete() or isinstance(item.value(), str | QuotedString)):
                raise ConfigError(f"{item.input_line} is not valid; name one choice of {item.key_or_group}")
        lines = tuple(str(item.input_line) for item in choosing)
        # what a package holds is not known
        choose = _choose.__wrapped__ if any("pkg://" in line for line in lines) else _choose
        chosen = choose(folders, self._name, lines, files)
        config = copy.deepcopy(chosen.config)
        for item in parsed:
            if item not in choosing:
                _set(config, item)
        return Composed(config, dict(chosen.choices))

    def targets(self, group: str) -> list[str]:
        """The classes and functions that the suite's own files of a group name."""
        contents = (read_yaml(path, "a file of settings") for path in sorted((self._config_dir / group).glob("*.yaml")))
        return sorted({content["_target_"] for content in contents if "_target_" in content})

    def is_overruled(self, overrides: Sequence[str]) -> bool:
        """Whether a folder that the overrides add changes what a study of the suite prescribes for a task of the suite: by
        settings of a method of the suite, or by other settings than those of its own method.
        """
        folders = config_folders(self._config_dir, overrides)
        choices = self.compose(overrides).choices if len(folders) > 1 else {}
        if not all((self._config_dir / group / f"{choices.get(group)}.yaml").exists() for group in ("study", "task")):
            return False
        served = serving_files(settings_files(*folders), *(choices[group] for group in ("study", "task", "optimizer")))
        added = [path for path in served[0] if self._config_dir not in path.parents]
        if (self._config_dir / "optimizer" / f"{choices['optimizer']}.yaml").exists():
            return bool(added)
        return any(set(read_yaml(path, "a file of settings")) - {"defaults", "optimizer"} for path in added)


class _Files(NamedTuple):
    """The yaml files in folders of configurations.

    state: paths, times of the last change and sizes. groups: those that arguments choose from, such as task and
    optimizer/subspace.
    """

    state: frozenset[tuple[str, int, int]]
    groups: frozenset[str]


def _files_in(folders: Sequence[Path]) -> _Files:
    state, groups = set(), set()
    for folder in folders:
        for place, _, names in os.walk(folder, followlinks=True):
            group = Path(place).relative_to(folder)
            for path in (os.path.join(place, name) for name in names if name.endswith(".yaml")):
                # an editor's lock is a link to nothing
                with suppress(OSError):
                    found = os.stat(path)
                    state.add((path, found.st_mtime_ns, found.st_size))
                    groups.add(group)
    chosen = (group.as_posix() for group in groups if group.parts and group.parts[0] not in _NOT_CHOSEN)
    return _Files(frozenset(state), frozenset(chosen))


@lru_cache(maxsize=1024)
def _choose(folders: tuple[Path, ...], start: str, lines: tuple[str, ...], state: _Files) -> Composed:
    """The configuration of the chosen files, with the settings that their study has for them. Raises ConfigError.

    `start`: the file of the first folder to start from. `state`: of the files; while it is the same, they are read once a
    process. Variables of the environment that lists of defaults name are read once, too.
    """
    choices = _default_choices(folders[0] / f"{start}.yaml")
    choices |= {str(item.key_or_group): str(item.value()) for item in map(_parse, lines)}
    study, task, optimizer = (choices.get(group, "") for group in ("study", "task", "optimizer"))
    for group, name in choices.items():
        if group in ("study", "task", "optimizer") and "/" in name:
            raise ConfigError(
                f"{group}={name} is not valid; folders of runs have this name, so put its file into {group}/ itself"
            )
        if len(folders) > 1:
            chosen_file(folders, group, name)
    files = settings_files(*folders)
    served, serves_optimizer = serving_files(files, study, task, optimizer)
    found = [name_of_settings(path) for path in served]
    config = _compose_with_hydra(folders[0], start, [*lines, *([f"+settings=[{','.join(found)}]"] if found else [])])
    for path in (*served, chosen_file(folders, "study", study)):
        if path is not None:
            check_package(path)
    chosen = dict(config.hydra.runtime.choices)
    if (named := OmegaConf.select(config, "study.name")) not in (None, study):
        raise ConfigError(f"study/{study}.yaml calls itself {named}; its study.name must be {study}")
    # what Hydra says of itself is several times as large as all else
    del config["hydra"]
    if OmegaConf.select(config, "study.requires_settings") and not serves_optimizer:
        known = sorted({known_task for known_study, known_task, _ in files if known_study == study})
        if known and task not in known and ANY_TASK not in known:
            raise ConfigError(
                f"study={study} does not know task={task}; it has settings for {', '.join(known)}; choose one of "
                "these, or study=default"
            )
        raise ConfigError(
            f"study={study} has no settings for optimizer={optimizer} on task={task}; add "
            f"configs/settings/{study}/{task}/{optimizer}.yaml, or {study}/any_task/{optimizer}.yaml for every task, "
            "or use study=default"
        )
    return Composed(config, chosen)


def _default_choices(path: Path) -> dict[str, str]:
    defaults = OmegaConf.load(path).defaults
    return {str(key): value for item in defaults if isinstance(item, DictConfig) for key, value in item.items()}


def _compose_with_hydra(config_dir: Path, start: str, overrides: list[str]) -> DictConfig:
    try:
        with initialize_config_dir(str(config_dir), version_base="1.3"):
            config = compose(start, overrides=overrides, return_hydra_config=True)
    except MissingConfigException as error:
        group, _, name = str(error.missing_cfg_file).rpartition("/")
        options = error.options or []
        raise ConfigError(
            f"{group}={name} does not exist{did_you_mean(name, options)}; choose one of {', '.join(options)}"
        ) from None
    except (HydraException, OmegaConfBaseException, ValueError, YAMLError, OSError) as error:
        # YAML reads on, off, yes and no as truth values
        remedy = "; quote on, off, yes and no in lists of defaults" if "in defaults : bool" in str(error) else ""
        raise ConfigError(f"{one_line(error)}{remedy}") from None
    OmegaConf.set_struct(config, False)
    return config


def expand_sweep(config_dir: Path, overrides: Sequence[str]) -> list[tuple[str, ...]]:
    """The overrides of each run that Hydra's sweep syntax (`seed=1,2`, `range(1,4)`, `glob(*)`) stands for, last one fastest.

    Raises ConfigError for what cannot be parsed and for a pattern that nothing matches.
    """
    _refuse_words(config_dir, overrides)
    listing: Any = _Listing(config_folders(config_dir, overrides))
    parser = OverridesParser.create(config_loader=listing)
    choices = []
    for override in (_parse_with(parser, text) for text in overrides):
        if override.is_sweep_override():
            choices.append([f"{override.get_key_element()}={value}" for value in override.sweep_string_iterator()])
            if not choices[-1]:
                raise ConfigError(f"{override.input_line} stands for no value; leave it out, or list values")
        else:
            choices.append([str(override.input_line)])
    return list(product(*choices))


@dataclass(frozen=True)
class _Listing:
    """Stands in for Hydra's loader of configurations, which would match patterns with the choices of one folder alone."""

    folders: Sequence[Path]

    def get_group_options(self, group: str, *_: Any, **__: Any) -> list[str]:
        """The choices of a group."""
        return names_in(self.folders, group)


def add_folder(overrides: Sequence[str], folder: Path) -> list[str]:
    """The overrides, with the choices of another folder of configurations; raises ConfigError where there is none."""
    others = [item for item in overrides if not names_folders(item)]
    known = _search_path([_parse(item) for item in overrides if item not in others])
    quoted = [QuotedString(f"file://{path.resolve()}", Quote.single).with_quotes() for path in (folder, *known)]
    added = f"{SEARCH_PATH}=[{','.join(quoted)}]"
    _search_path([_parse(added)])
    return [added, *others]


def config_folders(config_dir: Path, overrides: Sequence[str]) -> list[Path]:
    """`config_dir` and the folders that the overrides add to it; raises ConfigError for one that does not exist."""
    return [config_dir, *_search_path([_parse(item) for item in overrides if names_folders(item)])]


def names_folders(override: str) -> bool:
    """Whether an override adds folders of configurations."""
    return override.lstrip("+").startswith(f"{SEARCH_PATH}=")


def _search_path(overrides: Sequence[Override]) -> list[Path]:
    """The folders that Hydra's search path names; raises ConfigError for one that does not exist."""
    values = [item.value() for item in overrides if item.key_or_group == SEARCH_PATH]
    named = [str(folder) for value in values if isinstance(value, list) for folder in value]
    folders = [Path(name.removeprefix("file://")) for name in named if not name.startswith("pkg://")]
    for folder in folders:
        if not folder.is_dir():
            raise ConfigError(
                f"the folder {folder} does not exist; name one that holds task/, optimizer/, ... of your own"
            )
    return folders


def _refuse_words(config_dir: Path, overrides: Sequence[str]) -> None:
    """ConfigError for a word without an equals sign, with the setting that was meant, as far as the folders of choices tell."""
    words = [override for override in overrides if "=" not in override and not override.startswith("~")]
    if not words:
        return
    folders = [config_dir, *_search_path([_parse(override) for override in overrides if override not in words])]
    settings = map(str, OmegaConf.load(config_dir / "config.yaml"))
    choices = {name: [f"{name}=VALUE"] for name in settings if name != "defaults"}
    for path in (path.relative_to(folder) for folder in folders for path in sorted(folder.rglob("*.yaml"))):
        if len(path.parts) > 1 and path.parts[0] not in ("grid", "settings", "statements"):
            choices.setdefault(path.stem, []).append(f"{path.parent.as_posix()}={path.stem}")
    word = words[0]
    close = [word] if word in choices else difflib.get_close_matches(word, choices, n=1)
    # a choice of a run or sweep before one of a component
    meant = sorted(choices[close[0]], key=lambda choice: choice.count("/")) if close else []
    hint = (
        f"did you mean {' or '.join(meant)}?" if meant else "python -m scripts.list shows tasks, optimizers and studies"
    )
    raise ConfigError(f"{word} is not of the form setting=value; {hint}")


def _set(config: DictConfig, override: Override) -> None:
    """Apply an override of a value. A setting that does not exist is added, for the check of what was composed to refuse it."""
    key = str(override.key_or_group)
    try:
        if override.is_delete():
            parent, _, last = key.rpartition(".")
            place: Any = OmegaConf.select(config, parent) if parent else config
            if not isinstance(place, DictConfig) or last not in place:
                there = map(str, place) if isinstance(place, DictConfig) else ()
                raise ConfigError(f"cannot delete {key}: {unknown(key, last, there)}")
            del place[last]
        else:
            OmegaConf.update(config, key, override.value(), force_add=True)
    except OmegaConfBaseException as error:
        raise ConfigError(one_line(error)) from None


@cache
def _parse(override: str) -> Override:
    return _parse_with(OverridesParser.create(), override)


def _parse_with(parser: OverridesParser, override: str) -> Override:
    try:
        return parser.parse_overrides([override])[0]
    except HydraException as error:
        reason = one_line(error).partition(" See https")[0]
        # its lexer says no more than the name of its exception
        reason = "it has a character that has no place there" if reason.startswith("LexerNo") else reason
        raise ConfigError(f"{override} cannot be read: {reason}; {_as_one_value(override)}") from None


def _as_one_value(override: str) -> str:
    """How to write an override whose value has blanks, commas, brackets or the like."""
    name, _, value = override.partition("=")
    return f'if that is one value, quote it twice: "{name}={QuotedString(value, Quote.single).with_quotes()}"'


def _by_size(size: float, values: Mapping[float, Any]) -> Any:
    return values[max(bound for bound in values if bound <= size)]


OmegaConf.register_new_resolver("by_size", _by_size, replace=True)
"""`${by_size:${task.variables},{0:5,1000000:60}}`: the value of the largest key that is not above the size."""
OmegaConf.register_new_resolver("by_name", lambda name, values: values[name], replace=True)
"""`${by_name:${task.activation},{float:32,int8:16}}`: the value of the key that is the name."""
