"""The signature of what a configuration builds is its schema: unknown settings and wrong types fail before anything runs."""

import difflib
import importlib
import inspect
import types
import typing
from collections.abc import Iterable
from typing import Any

from polystep.contracts import ExpectedError


class ConfigError(ExpectedError):
    """A setting is unknown, missing or of the wrong kind; the message names it and the valid choices."""


def check_node(node: Any, path: str, supplied: Iterable[str] = ()) -> None:
    """Check a configuration node that names a `_target_`, and those inside it, against the targets' signatures.

    `supplied`: arguments that the harness itself passes. Raises ConfigError.
    """
    if isinstance(node, list):
        for index, item in enumerate(node):
            check_node(item, f"{path}.{index}")
    if not isinstance(node, dict) or "_target_" not in node:
        return
    target = locate(node["_target_"], path)
    signature = inspect.signature(target)
    hints = typing.get_type_hints(target.__init__ if inspect.isclass(target) else target)
    settings = {key: value for key, value in node.items() if not key.startswith("_")}
    valid = [name for name in signature.parameters if name not in supplied]
    for key, value in settings.items():
        if key not in valid:
            raise ConfigError(unknown(f"{path}.{key}", key, valid))
        if isinstance(value, dict | list):
            check_node(value, f"{path}.{key}")
        elif key in hints and not fits(value, hints[key]):
            raise ConfigError(f"{path}.{key}={value!r} is not valid; expected {describe(hints[key])}")
    if not node.get("_partial_"):
        missing = [
            name
            for name in valid
            if name not in settings
            and signature.parameters[name].default is inspect.Parameter.empty
            and signature.parameters[name].kind is not inspect.Parameter.VAR_KEYWORD
        ]
        if missing:
            raise ConfigError(
                f"{path} lacks {', '.join(missing)}, which {node['_target_']} needs; add it to the yaml file or to "
                f"the command line, as {path}.{missing[0]}=VALUE"
            )


def unknown(path: str, key: str, valid: Iterable[str]) -> str:
    """The message for a setting that does not exist."""
    choices = sorted(set(valid))
    close = difflib.get_close_matches(key, choices, n=1)
    hint = f" (did you mean {close[0]}?)" if close else ""
    return f"unknown setting {path}{hint}; valid settings there: {', '.join(choices) or 'none'}"


def describe(hint: Any) -> str:
    """A type hint in words; choices are listed."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Literal:
        return "one of " + ", ".join(map(str, arguments))
    if origin in (typing.Union, types.UnionType):
        return " or ".join(describe(argument) for argument in arguments)
    return {type(None): "null", bool: "true or false", int: "a whole number", float: "a number", str: "a text"}.get(
        hint, getattr(hint, "__name__", str(hint))
    )


def fits(value: Any, hint: Any) -> bool:
    """Whether a plain value is of the hinted type; NaN is no number."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Literal:
        return value in arguments
    if origin in (typing.Union, types.UnionType):
        return any(fits(value, argument) for argument in arguments)
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool) and value == value
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if hint in (bool, str, type(None)):
        return isinstance(value, hint)
    # a component, given by a node of its own
    return hint is Any


def locate(target: Any, path: str) -> Any:
    module_name, _, name = str(target).rpartition(".")
    try:
        found = getattr(importlib.import_module(module_name), name)
        if not callable(found):
            raise ValueError(f"it is a {type(found).__name__}")
        return found
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigError(
            f"{path}._target_={target} cannot be imported ({error}); give the dotted path of a class or function"
        ) from error
