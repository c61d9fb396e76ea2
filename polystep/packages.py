"""Packages that are needed for a part of the benchmark alone."""

import importlib
from typing import Any

from polystep.contracts import ExpectedError


class MissingPackageError(ExpectedError):
    """An optional package is not installed; the message says how to install it."""


def optional_package(module: str, needed_by: str, package: str, extra: str) -> Any:
    """The module, imported; MissingPackageError that says what needs it, and with which extra of pip it comes."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingPackageError(
            f"{needed_by} needs the package {package}; install it with: pip install -c constraints.txt -e '.[{extra}]'"
        ) from error
