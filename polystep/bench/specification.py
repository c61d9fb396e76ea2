"""From a composed configuration to the specification of its run: every parameter of every component, by stable names."""

import dataclasses
import inspect
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

from polystep.bench.schema import ConfigError, locate
from polystep.component import component_of
from polystep.records.identity import canonical_number

OF_THE_RUN = "run"
"""Stands for the seed of the run where a component has a parameter `seed` of the same value."""


def specification(config: Mapping[str, Any]) -> dict[str, Any]:
    """What decides the numbers of a run.

    Components go by name and version and show every parameter, defaults included, but for inert ones, for younger ones that
    have their default, and for those that the harness passes. Budget and evaluation show what is set. Raises ConfigError
    where a value has no stable form.
    """
    study, seed = config["study"], config["seed"]
    return {
        "task": _node(config["task"], "task", seed),
        "optimizer": _node(config["optimizer"], "optimizer", seed),
        "budget": _settings(config["budget"], "budget"),
        "evaluation": _settings(config["evaluation"], "evaluation"),
        "protocol": study["protocol"],
        "edition": study["edition"],
        "seed": seed,
    }


def _node(node: Mapping[str, Any], path: str, seed: int) -> dict[str, Any]:
    return _described(locate(node["_target_"], path), node, path, seed)


def _described(target: Any, given: Mapping[str, Any], path: str, seed: int) -> dict[str, Any]:
    """`target` with the given parameters and the defaults of the others; those without are for the harness to pass."""
    declared = component_of(target)
    defaults = {
        name: parameter.default
        for name, parameter in inspect.signature(target).parameters.items()
        if parameter.default is not inspect.Parameter.empty
    }
    parameters = defaults | {key: value for key, value in given.items() if key == "_args_" or not key.startswith("_")}
    hidden = {*declared.inert, *(name for name in declared.added if parameters[name] == defaults[name])}
    described: dict[str, Any] = {"component": declared.name, "version": declared.version}
    for name, value in sorted(parameters.items()):
        if name not in hidden:
            of_the_run = name == "seed" and value == seed
            described[name] = OF_THE_RUN if of_the_run else _value(value, f"{path}.{name}", seed)
    return described


def _value(value: Any, path: str, seed: int) -> Any:
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, int | float):
        return canonical_number(value)
    if isinstance(value, PurePath):
        return str(value)
    if isinstance(value, Mapping):
        if "_target_" in value:
            return _node(value, path, seed)
        return {str(key): _value(item, f"{path}.{key}", seed) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_value(item, f"{path}.{index}", seed) for index, item in enumerate(value)]
    # defaults written in Python
    if inspect.isclass(value) or inspect.isfunction(value):
        return _described(value, {}, path, seed)
    if dataclasses.is_dataclass(value):
        return _described(type(value), vars(value), path, seed)
    raise ConfigError(
        f"{path} is {value!r} by default, which has no stable form, so that runs could not be told apart by it; give "
        "the setting a value in the yaml file, or make the default a number, a text, a class or a dataclass"
    )


def _settings(node: Mapping[str, Any], path: str) -> dict[str, Any]:
    return {
        key: _value(value, f"{path}.{key}", -1)
        for key, value in node.items()
        if not key.startswith("_") and value is not None
    }
