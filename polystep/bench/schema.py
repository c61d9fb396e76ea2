"""The signature of what a configuration builds is its schema: unknown settings and wrong types fail before anything runs."""

import importlib
import inspect
import pkgutil
import types
import typing
from collections import abc
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from polystep.contracts import ExpectedError
from polystep.validation import did_you_mean, one_line, with_place


class ConfigError(ExpectedError):
    """A setting is unknown, missing or of the wrong kind; the message names it and the valid choices."""


def read_yaml(path: Path, kind: str) -> Any:
    """What a yaml file holds; raises ConfigError, which calls it no `kind`, where that is no yaml."""
    try:
        return OmegaConf.to_container(OmegaConf.load(path))
    # OmegaConf raises an OSError for a bare number, the text may be no UTF-8
    except (OmegaConfBaseException, YAMLError, OSError, ValueError) as error:
        raise ConfigError(f"{path} is not {kind}: {one_line(error)}") from error


def check_node(node: Any, path: str, supplied: Iterable[str] = ()) -> None:
    """Check a configuration node that names a `_target_`, and those inside it, against the targets' signatures.

    `supplied`: arguments that the harness itself passes. Raises ConfigError.
    """
    if isinstance(node, list):
        for index, item in enumerate(node):
            check_node(item, f"{path}.{index}")
    elif isinstance(node, dict) and "_target_" not in node:
        for key, item in node.items():
            check_node(item, f"{path}.{key}")
    elif isinstance(node, dict):
        settings = {key: value for key, value in node.items() if not str(key).startswith("_")}
        partial = node.get("_partial_", False)
        if not isinstance(partial, bool):
            raise ConfigError(f"{path}._partial_={partial!r} is not valid; expected true or false")
        missing = check_settings(locate(node["_target_"], path), settings, path, supplied)
        if missing and not partial:
            raise ConfigError(
                f"{path} lacks {', '.join(missing)}, which {node['_target_']} needs; add it to the yaml file or to "
                f"the command line, as {path}.{missing[0]}=VALUE"
            )


def check_settings(
    target: Callable[..., Any], settings: Mapping[str, Any], path: str = "", supplied: Iterable[str] = ()
) -> list[str]:
    """Check settings, which have the place `path`, as arguments of `target`; returns those that it needs and that are missing.

    Raises ConfigError.
    """
    parameters = {name: item for name, item in _parameters(target).items() if name not in supplied}
    named = {name: item for name, item in parameters.items() if item.kind not in _COLLECTING}
    open_ended = any(item.kind is inspect.Parameter.VAR_KEYWORD for item in parameters.values())
    hints = _hints(target)
    for key, value in settings.items():
        place = f"{path}.{key}" if path else str(key)
        if key not in named and not open_ended:
            raise ConfigError(unknown(place, str(key), named))
        if key in hints and not fits(value, hints[key]):
            raise ConfigError(f"{place}={value!r} is not valid; expected {describe(hints[key])}")
        check_node(value, place)
    return [name for name, item in named.items() if name not in settings and item.default is inspect.Parameter.empty]


@cache
def _parameters(target: Callable[..., Any]) -> Mapping[str, inspect.Parameter]:
    try:
        return inspect.signature(target).parameters
    except (TypeError, ValueError):
        raise ConfigError(
            f"{target.__module__}.{target.__name__} does not tell its settings; name a class or function written in Python"
        ) from None


_COLLECTING = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def unknown(path: str, key: str, valid: Iterable[str]) -> str:
    """The message for a setting that does not exist."""
    choices = sorted(set(valid))
    return f"unknown setting {path}{did_you_mean(key, choices)}; valid settings there: {', '.join(choices) or 'none'}"


def describe(hint: Any) -> str:
    """A type hint in words; choices are listed."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Literal:
        return "one of " + ", ".join(map(str, arguments))
    if origin in _UNIONS:
        return " or ".join(describe(argument) for argument in arguments)
    if _is_written_as(list, hint):
        return "a list"
    if _is_written_as(dict, hint):
        return "settings"
    return _WORDS.get(hint, getattr(hint, "__name__", str(hint)))


def fits(value: Any, hint: Any) -> bool:
    """Whether a plain value, or a node with a `_target_`, is of the hinted type; NaN is no number.

    Of hints that are not known here, none refuses a value.
    """
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if hint is Any:
        return True
    if origin is typing.Annotated:
        return fits(value, arguments[0])
    if origin in _UNIONS:
        return any(fits(value, argument) for argument in arguments)
    if origin is typing.Literal:
        # 1 and True are equal, a list has no hash
        return any(type(value) is type(choice) and value == choice for choice in arguments)
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool) and value == value
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if hint in (bool, str, type(None)):
        return isinstance(value, hint)
    if isinstance(value, dict) and "_target_" in value:
        # what is built is the target's affair
        return True
    if _is_written_as(list, hint):
        items = [item for item in arguments if item is not Ellipsis]
        return isinstance(value, list) and (len(items) != 1 or all(fits(item, items[0]) for item in value))
    if _is_written_as(dict, hint):
        return isinstance(value, dict)
    # of hints such as type variables nothing is known
    kind = origin or hint
    return not isinstance(kind, type) or _is_instance(value, kind)


_UNIONS = (typing.Union, types.UnionType)
_WORDS: dict[Any, str] = {
    type(None): "null",
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a text",
    Path: "a path",
}


def _is_instance(value: Any, kind: type) -> bool:
    try:
        return isinstance(value, kind) or (isinstance(value, str) and issubclass(Path, kind))
    except TypeError:
        # of a protocol; a plain value is no component
        return False


def _is_written_as(kind: type, hint: Any) -> bool:
    """Whether yaml files write what is hinted as a list, or as a dict."""
    hinted = typing.get_origin(hint) or hint
    return hinted is kind or (hinted is tuple and kind is list) or (hinted in _ABSTRACT and issubclass(kind, hinted))


_ABSTRACT = (abc.Sequence, abc.MutableSequence, abc.Iterable, abc.Collection, abc.Mapping, abc.MutableMapping)


@cache
def _hints(target: Callable[..., Any]) -> dict[str, Any]:
    """The type hints of the parameters, without those whose names only a type checker imports."""
    function = target.__init__ if inspect.isclass(target) else inspect.unwrap(target)
    found: dict[str, Any] = {}
    for name, parameter in _parameters(target).items():
        if parameter.annotation is not inspect.Parameter.empty:
            holder = type("", (), {"__annotations__": {name: parameter.annotation}})
            try:
                found |= typing.get_type_hints(holder, getattr(function, "__globals__", {}), include_extras=True)
            except (NameError, AttributeError, TypeError, SyntaxError):
                continue
    return found


def _import(module: str) -> None:
    """Import a module, where there is one: what follows takes one that lacks something for one that is not there."""
    try:
        if module:
            importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise


def locate(target: Any, path: str) -> Any:
    """The class or function that a dotted path names. Raises ConfigError with the place `path` of the setting."""
    try:
        _import(str(target).rpartition(".")[0])
        found = pkgutil.resolve_name(str(target))
        if not callable(found):
            raise ValueError(f"it is a {type(found).__name__}")
        return found
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigError(
            f"{path}._target_={target} cannot be imported ({error}); give the dotted path of a class or function"
        ) from error
    except Exception as error:
        raise ConfigError(f"{path}._target_={target} cannot be imported: {with_place(error)}") from error
