"""One process per run."""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from polystep.bench.files import StorageError
from polystep.contracts import ExpectedError


class RunBusyError(ExpectedError):
    """Another process is working on the same run."""


@contextlib.contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """Hold the run's folder alone; raises RunBusyError at once where another process holds it.

    The kernel releases the lock when the process ends, however it ends.
    """
    path = folder / ".lock"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # unbuffered, so that nothing is left to be written on closing
        file = open(path, "a+b", buffering=0)  # noqa: SIM115
    except OSError as error:
        raise _unwritable(path, error) from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            file.truncate(0)
            file.write(str(os.getpid()).encode())
        except BlockingIOError:
            file.seek(0)
            raise RunBusyError(
                f"{folder.name} is being computed by process {file.read().decode() or 'unknown'}; wait for it, or "
                "stop it and repeat the command"
            ) from None
        except OSError as error:
            raise _unwritable(path, error) from error
        yield


def _unwritable(path: Path, error: OSError) -> StorageError:
    return StorageError(
        f"cannot write {path}: {error.strerror}; free space there, make the folder writable, or choose another one "
        "with records=FOLDER"
    )
