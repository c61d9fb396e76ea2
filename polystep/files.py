"""Files that are either complete or not there."""

import contextlib
import errno
import json
import math
import os
import secrets
import warnings
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO

from polystep.contracts import ExpectedError


class StorageError(ExpectedError):
    """A file cannot be written or read back; the message names the file, the reason and the remedy."""


@contextlib.contextmanager
def atomic_write(path: Path) -> Iterator[BinaryIO]:
    """A file to write to, which becomes `path` when it is complete and on the disk; its folder is made.

    Raises StorageError where the folder is unwritable or the disk is full; `path` is then as it was before. It can be read
    by whomever the umask allows. Where the file system cannot promise that files outlive a power failure, it is written
    all the same, and a warning says so once.
    """
    # a name of its own for every writer: two processes may make the same file at once
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with temporary.open("xb") as file:
                yield file
                file.flush()
                _sync(file.fileno(), path.parent)
            os.replace(temporary, path)
        except BaseException:
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise
        _sync_folder(path.parent)
    except OSError as error:
        raise StorageError(
            f"cannot write {path}: {error.strerror or error}; free space there, or make the folder writable, "
            "then repeat the command (finished work is kept)"
        ) from error


def _sync_folder(folder: Path) -> None:
    """Put the new name on the disk."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except PermissionError:
        # one may be allowed to write into a folder, but not to list it
        return
    try:
        _sync(handle, folder)
    finally:
        os.close(handle)


def _sync(handle: int, folder: Path) -> None:
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in _NOT_OFFERED:
            raise
        _say_once(folder, os.strerror(error.errno))


_NOT_OFFERED = {errno.EPERM, errno.EACCES, errno.ENOSYS, errno.EINVAL, errno.ENOTSUP}
"""What file systems answer that lack an operation, such as network and FUSE mounts."""


@cache
def _say_once(folder: Path, reason: str) -> None:
    warnings.warn(
        f"{folder} cannot promise that files outlive a power failure (fsync: {reason}); they are written all the same",
        stacklevel=2,
    )


def write_text(path: Path, text: str) -> None:
    """Write `text` to `path` atomically; what came from outside and has no place in UTF-8 becomes a question mark."""
    with atomic_write(path) as file:
        file.write(text.encode("utf-8", "replace"))


def json_value(value: Any) -> Any:
    """`value` with the numbers that JSON lacks replaced: NaN by null, infinities by the texts "inf" and "-inf"."""
    if isinstance(value, dict):
        return {key: json_value(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [json_value(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else str(value)
    return value


def write_json(path: Path, value: Any) -> None:
    """Write `value` to `path` atomically as indented JSON; NaN and infinities are refused by a ValueError."""
    write_text(path, json.dumps(value, indent=1, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """The JSON value in `path`; raises StorageError naming the file where it is damaged."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise StorageError(f"{path} cannot be read as JSON ({error}); delete it and repeat the run") from error
