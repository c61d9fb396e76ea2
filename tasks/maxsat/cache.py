"""Generated instances kept in the data folder, each file named by the hash of its recipe and checked by its content hash."""

import hashlib
import json
import logging
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from polystep.files import StorageError, atomic_write
from tasks.maxsat.formula import Formula

VERSION = 1
"""Raised whenever a generator draws other instances than before, so that kept ones are not taken for new ones."""

_logger = logging.getLogger(__name__)


def kept_instance(folder: Path, recipe: dict[str, Any], build: Callable[[], Formula]) -> Formula:
    """The formula that `build` makes of `recipe`, read from `folder` where it is kept there unharmed.

    A folder that cannot be written costs time only, and is reported.
    """
    text = json.dumps({**recipe, "version": VERSION}, sort_keys=True)
    path = folder / f"{hashlib.sha256(text.encode()).hexdigest()[:16]}.npz"
    formula = _read(path)
    if formula is None:
        formula = build()
        _logger.info("generated an instance: %s, %d clauses", recipe, formula.clauses)
        _write(path, formula)
    return formula


def _read(path: Path) -> Formula | None:
    try:
        with np.load(path, allow_pickle=False) as stored:
            formula = Formula(int(stored["variables"]), stored["literals"], stored["starts"])
            if str(stored["fingerprint"]) == formula.fingerprint:
                return formula
    except FileNotFoundError:
        return None
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile):
        pass
    _logger.warning("%s is damaged and is made anew", path)
    return None


def _write(path: Path, formula: Formula) -> None:
    try:
        with atomic_write(path) as file:
            np.savez(
                file,
                variables=formula.variables,
                literals=formula.literals,
                starts=formula.starts,
                fingerprint=formula.fingerprint,
            )
    except StorageError as error:
        _logger.warning("the instance cannot be kept in %s (%s); it will be generated again", path.parent, error)
