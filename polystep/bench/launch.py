"""From a composed Hydra configuration to a run."""

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from polystep.bench.composition import SEARCH_PATH, Composer
from polystep.bench.observers import Observer
from polystep.bench.runner import Run
from polystep.bench.schema import ConfigError, check_node, check_settings, describe, fits, locate, unknown
from polystep.bench.sources import PACKAGES
from polystep.bench.studies import Study
from polystep.component import component_of
from polystep.contracts import ExpectedError
from polystep.evaluation.compilation import require_numba
from polystep.evaluation.objective import forbid_tf32
from polystep.evaluation.sharded import place_among_processes
from polystep.files import json_value
from polystep.machine import available_cores
from polystep.validation import one_line, place_of

SECTIONS = ("task", "optimizer", "budget", "evaluation", "logger")
SETTINGS: dict[str, Any] = {
    "seed": int,
    "records": str,
    "data_dir": str,
    "device": str,
    "threads": int | None,
    "checkpoint_seconds": float,
}
SEEDS = 2**63
"""Seeds lie below this number, for all tasks alike."""
PASSED_BY_HARNESS = {"optimizer": ("layout", "point")}
GROUPS_OF_A_RUN = ("task", "optimizer", "study", "logger")
FREE = (*SETTINGS, "logger", "hydra")
"""Settings that a run of a study may choose: the seed, and where and how it is computed and shown."""


def resolve_settings(composed: DictConfig, choices: Mapping[str, str]) -> dict[str, Any]:
    """The settings of a run as plain values, with the names of its choices; nothing is asked of this machine.

    Raises ConfigError where a setting is unknown, missing or of the wrong type.
    """
    config = plain_values(composed)
    _check_top_level(config)
    for section in SECTIONS:
        check_node(config[section], section, PASSED_BY_HARNESS.get(section, ()))
    # what the file of a study leaves out has a default
    config["study"] = asdict(Study(**config["study"]))
    config["names"] = {key: choices[key] for key in ("task", "optimizer", "study")}
    return config


def plain_values(composed: DictConfig) -> dict[str, Any]:
    """The settings without references to others; raises ConfigError where one is missing."""
    try:
        config: Any = OmegaConf.to_container(composed, resolve=True, throw_on_missing=True)
    except OmegaConfBaseException as error:
        raise ConfigError(one_line(error)) from None
    values: dict[str, Any] = config
    return values


def altered_overrides(composer: Composer, overrides: Sequence[str]) -> list[str]:
    """Those of a run's overrides that change what its study prescribes for the task and optimiser.

    Free are the groups that a run is named by, its seed, where it is computed, and the parameters that choose the problem
    (`Component.variant` of the task); also folders of one's own, unless they overrule a study (`Composer.is_overruled`).
    Raises ConfigError for what cannot be composed.
    """
    config = composer.compose(overrides).config
    variant = [f"task.{name}" for name in component_of(locate(config.task["_target_"], "task")).variant]
    # seconds are those of the threads that the study prescribes
    fixed = ["threads"] if config.study.protocol == "equal_seconds" else []

    def is_free(override: str) -> bool:
        key = override.lstrip("+~").partition("=")[0]
        return key in (*GROUPS_OF_A_RUN, *variant) or (key.partition(".")[0] in FREE and key not in fixed)

    prescribed = [item for item in overrides if is_free(item)]
    others = [item for item in overrides if item not in prescribed]
    usual = _settings(composer, prescribed) if others else None
    altered = [item for item in others if _settings(composer, [*prescribed, item]) != usual]
    # where the folders are is nobody's business
    return [*altered, *([SEARCH_PATH] if composer.is_overruled(overrides) else [])]


def refuse_borrowed_names(composer: Composer, composed: DictConfig) -> None:
    """Raises ConfigError for a class of one's own that declares the name by which records know another one, of the suite."""
    for group in ("task", "optimizer"):
        target = locate(composed[group]["_target_"], group)
        if target.__module__.partition(".")[0] in PACKAGES:
            continue
        name = component_of(target).name
        for known in composer.targets(group):
            if component_of(locate(known, group)).name == name:
                raise ConfigError(
                    f"{group}._target_={composed[group]['_target_']} declares the name {name!r}, which records know as "
                    f"{known}; give its @component another name"
                )


def _settings(composer: Composer, overrides: Sequence[str]) -> Any:
    """All settings; None where they depend on another override, which are then no settings of the study."""
    try:
        return OmegaConf.to_container(composer.compose(overrides).config, resolve=True)
    except OmegaConfBaseException:
        return None


def build_run(composed: DictConfig, choices: Mapping[str, str], observers: Sequence[Observer] = ()) -> Run:
    """A run that is ready to execute.

    Raises ConfigError where a setting is unknown, of the wrong type or out of range, before any data is loaded.
    """
    require_numba()
    config = resolve_settings(composed, choices)
    use_device(config["device"])
    # where a record lies says nothing about the run, and would put a path of the machine into it
    records = Path(config.pop("records"))
    use_threads(config["threads"])
    try:
        budget, evaluation = instantiate(config["budget"]), instantiate(config["evaluation"])
        logger = [instantiate(config["logger"])] if "_target_" in config["logger"] else []
    except Exception as error:
        raise ConfigError(str(_root_cause(error))) from None
    processes = place_among_processes().count
    if processes > 1 and config["budget"].get("seconds") is not None:
        raise ConfigError(
            f"budget.seconds={config['budget']['seconds']:g} limits runs of one process, and these are {processes}: in a "
            "second several compute more than one; run without torchrun, or set budget.seconds=null and another limit"
        )
    return Run(
        config=json_value(config),
        build_task=lambda: build_component(config["task"], "task"),
        build_optimizer=lambda task: build_component(
            config["optimizer"], "optimizer", layout=task.layout, point=task.initial_point(config["seed"])
        ),
        budget=budget,
        evaluation=evaluation,
        records=records,
        observers=[*observers, *logger],
        checkpoint_seconds=config["checkpoint_seconds"],
    )


def use_device(name: str) -> torch.device:
    """The device of this name, with products in float32 as on the CPU; ConfigError where this machine has none."""
    device = _device(name)
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ConfigError(f"device={name} is not available on this machine; use device=cpu")
    # for what is not a BatchObjective, too: validation and tests
    forbid_tf32()
    return device


def _device(name: str) -> torch.device:
    with contextlib.suppress(RuntimeError):
        if (device := torch.device(name)).type in ("cpu", "cuda"):
            return device
    raise ConfigError(f"device={name!r} is not valid; expected cpu or cuda")


def build_component(node: dict[str, Any], path: str, **arguments: Any) -> Any:
    """Instantiate a node; values that its target refuses become a ConfigError, other errors lose Hydra's wrapping.

    A ValueError that is no SettingError may be a fault of the target's code, so its place is told.
    """
    try:
        return instantiate(node, **arguments)
    except Exception as error:
        cause = _root_cause(error)
        if not isinstance(cause, ValueError):
            raise cause from None
        place = "" if isinstance(cause, ExpectedError) else f" ({place_of(cause)})"
        raise ConfigError(f"{path}: {cause}{place}") from None


def _root_cause(error: BaseException) -> BaseException:
    """The exception that Hydra's instantiation wrapped."""
    while isinstance(error, InstantiationException) and error.__cause__ is not None:
        error = error.__cause__
    return error


def _check_top_level(config: dict[str, Any]) -> None:
    valid = {*SECTIONS, *SETTINGS, "study"}
    for key in config:
        if key not in valid:
            raise ConfigError(unknown(key, key, valid))
    if missing := sorted(valid - config.keys()):
        raise ConfigError(
            f"the configuration lacks {', '.join(missing)}; do not delete settings, and let a study of your own set its "
            "evaluation, as configs/study/default.yaml does, after a first line # @package _global_"
        )
    if not isinstance(config["study"], dict):
        raise ConfigError(f"study={config['study']!r} is not valid; expected settings")
    if missing := check_settings(Study, config["study"], "study"):
        raise ConfigError(f"study lacks {', '.join(missing)}; add it to the yaml file of the study")
    for section in SECTIONS:
        if section != "logger" or config[section] != {}:
            check_section(config[section], section)
    for key, hint in SETTINGS.items():
        value, least = config[key], 1 if key == "threads" else 0
        if not fits(value, hint) or value == "" or (isinstance(value, int | float) and value < least):
            bound = ", not an empty one" if hint is str else f", at least {least}"
            raise ConfigError(f"{key}={value!r} is not valid; expected {describe(hint)}{bound}")
    if config["seed"] >= SEEDS:
        raise ConfigError(f"seed={config['seed']} is not valid; expected a whole number from 0 to 2^63 - 1")
    _device(config["device"])
    if (of_task := config["task"].get("device", config["device"])) != config["device"]:
        raise ConfigError(
            f"task.device={of_task!r} is not where the run is computed, device={config['device']!r}; leave task.device out, "
            "which follows device"
        )


def check_section(node: Any, section: str) -> None:
    """ConfigError where settings do not say what they are the settings of."""
    if not isinstance(node, dict) or "_target_" not in node:
        raise ConfigError(f"{section}={node!r} is not valid; expected settings with a _target_, the class or function")


def use_threads(threads: int | None) -> None:
    import numba

    count = threads or max(1, available_cores() // place_among_processes().local_count)
    # the first call starts numba's threads, which sets torch's number, too; so torch comes last
    numba.set_num_threads(min(count, numba.config.NUMBA_NUM_THREADS))  # type: ignore[attr-defined]
    torch.set_num_threads(count)
