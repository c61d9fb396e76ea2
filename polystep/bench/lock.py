"""One process per run."""

import contextlib
import errno
import fcntl
import json
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from polystep.contracts import ExpectedError
from polystep.files import StorageError

LOCK = ".lock"
_NO_LOCKS = {errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK}


class RunBusyError(ExpectedError):
    """Another process is working on the same run."""


@contextlib.contextmanager
def exclusive(folder: Path, purpose: str = "") -> Iterator[None]:
    """Hold a folder alone; raises RunBusyError where another process holds it. `purpose` is left for `read_lock`.

    The kernel releases the lock when the process ends, however it ends.
    """
    path = folder / LOCK
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # unbuffered, so that nothing is left to be written on closing
        file = open(path, "a+b", buffering=0)  # noqa: SIM115
    except OSError as error:
        raise _unwritable(path, error) from error
    with file:
        try:
            _take(file.fileno())
            file.truncate(0)
            holder = {"process": os.getpid(), "machine": socket.gethostname(), "purpose": purpose}
            file.write(json.dumps(holder).encode())
        except BlockingIOError:
            holder = _holder(path)
            raise RunBusyError(
                f"{folder.name} is being computed by process {holder.get('process', 'unknown')} on "
                f"{holder.get('machine', 'an unknown machine')}; wait for it, or stop it and repeat the command"
            ) from None
        except OSError as error:
            raise _unwritable(path, error) from error
        yield


def read_lock(folder: Path) -> tuple[str, bool] | None:
    """The purpose that `folder` was last held for, and whether it is held now; None where it never was."""
    try:
        with open(folder / LOCK, "rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
                held = False
            except BlockingIOError:
                held = True
    except OSError:
        return None
    return str(_holder(folder / LOCK).get("purpose", "")), held


def _take(file: int) -> None:
    """Lock, after a moment where `read_lock` is looking at the folder."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        time.sleep(0.1)
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _holder(path: Path) -> dict[str, Any]:
    """Who last held the lock; empty where it was killed before it said so."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _unwritable(path: Path, error: OSError) -> StorageError:
    if error.errno in _NO_LOCKS:
        return StorageError(
            f"cannot lock {path}: {error.strerror}; its file system has no locks; choose a folder on another one with "
            "records=FOLDER"
        )
    return StorageError(
        f"cannot write {path}: {error.strerror}; free space there, make the folder writable, or choose another one "
        "with records=FOLDER"
    )
