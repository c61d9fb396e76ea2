"""From a composed Hydra configuration to a run."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from polystep.bench.observers import Observer
from polystep.bench.runner import Run
from polystep.bench.schema import ConfigError, check_node, unknown

SECTIONS = ("task", "optimizer", "budget", "evaluation", "logger")
PASSED_BY_HARNESS = {"optimizer": ("layout", "point")}


def build_run(composed: DictConfig, choices: Mapping[str, str], observers: Sequence[Observer] = ()) -> Run:
    """A run that is ready to execute.

    Raises ConfigError where a setting is unknown, of the wrong type or out of range, before any data is loaded.
    """
    if OmegaConf.is_missing(composed, "protocol"):
        name = f"{choices['study']}_{choices['task']}_{choices['optimizer']}"
        raise ConfigError(
            f"study={choices['study']} has no settings for optimizer={choices['optimizer']} on "
            f"task={choices['task']}; add configs/settings/{name}.yaml, or use study=default"
        )
    try:
        config: Any = OmegaConf.to_container(composed, resolve=True, throw_on_missing=True)
    except OmegaConfBaseException as error:
        raise ConfigError(" ".join(str(error).split())) from None
    for section in SECTIONS:
        check_node(config[section], section, PASSED_BY_HARNESS.get(section, ()))
    _check_top_level(config)
    config["names"] = {key: choices[key] for key in ("task", "optimizer", "study")} | {
        "protocol": config.pop("protocol")
    }
    use_threads(config["threads"])
    try:
        budget, evaluation = instantiate(config["budget"]), instantiate(config["evaluation"])
        logger = [instantiate(config["logger"])] if "_target_" in config["logger"] else []
    except Exception as error:
        raise ConfigError(str(_root_cause(error))) from None
    return Run(
        config=config,
        build_task=lambda: _build(config["task"], "task"),
        build_optimizer=lambda task: _build(
            config["optimizer"], "optimizer", layout=task.layout, point=task.initial_point(config["seed"])
        ),
        budget=budget,
        evaluation=evaluation,
        records=Path(config["records"]),
        observers=[*observers, *logger],
        checkpoint_seconds=config["checkpoint_seconds"],
    )


def _build(node: dict[str, Any], path: str, **arguments: Any) -> Any:
    """Instantiate a node; values that its target refuses become a ConfigError, other errors lose Hydra's wrapping."""
    try:
        return instantiate(node, **arguments)
    except Exception as error:
        cause = _root_cause(error)
        raise (ConfigError(f"{path}: {cause}") if isinstance(cause, ValueError) else cause) from None


def _root_cause(error: BaseException) -> BaseException:
    """The exception that Hydra's instantiation wrapped."""
    while isinstance(error, InstantiationException) and error.__cause__ is not None:
        error = error.__cause__
    return error


def _check_top_level(config: dict[str, Any]) -> None:
    valid = {*SECTIONS, "protocol", "seed", "records", "data_dir", "device", "threads", "checkpoint_seconds"}
    for key in config:
        if key not in valid:
            raise ConfigError(unknown(key, key, valid))
    for key in ("seed", "threads"):
        value = config[key]
        if not (isinstance(value, int) and not isinstance(value, bool) and value >= 0) and not (
            key == "threads" and value is None
        ):
            raise ConfigError(f"{key}={value!r} is not valid; expected a whole number of at least 0")
    if not isinstance(config["checkpoint_seconds"], int | float) or config["checkpoint_seconds"] < 0:
        raise ConfigError(
            f"checkpoint_seconds={config['checkpoint_seconds']!r} is not valid; expected a number of at least 0"
        )
    try:
        device = torch.device(config["device"])
    except (RuntimeError, TypeError):
        raise ConfigError(f"device={config['device']!r} is not valid; expected cpu or cuda") from None
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ConfigError("device=cuda is not available on this machine; use device=cpu")


def use_threads(threads: int | None) -> None:
    import numba

    count = threads or len(os.sched_getaffinity(0))
    torch.set_num_threads(count)
    numba.set_num_threads(min(count, numba.config.NUMBA_NUM_THREADS))  # type: ignore[attr-defined]
