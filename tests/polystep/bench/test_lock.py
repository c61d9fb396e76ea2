"""One process per run, whatever becomes of the one before."""

import errno
import fcntl
import os
import signal
import socket
from pathlib import Path
from typing import Any

import pytest

from polystep.bench.lock import RunBusyError, exclusive, read_lock
from polystep.files import StorageError


def test_a_held_run_is_refused_and_its_process_named(tmp_path: Path) -> None:
    folder = tmp_path / "records" / "run"
    busy = pytest.raises(
        RunBusyError, match=f"run is being computed by process {os.getpid()} on {socket.gethostname()};"
    )
    assert read_lock(folder) is None
    with exclusive(folder, "a purpose"), busy, exclusive(folder):
        pytest.fail("two holders")
    with exclusive(folder, "a purpose"):
        assert read_lock(folder) == ("a purpose", True)
    assert read_lock(folder) == ("a purpose", False)
    with pytest.raises(ZeroDivisionError), exclusive(folder):
        raise ZeroDivisionError
    (folder / ".lock").write_text("12")
    assert read_lock(folder) == ("", False)
    with exclusive(folder):
        pass


def test_other_runs_are_free(tmp_path: Path) -> None:
    with exclusive(tmp_path / "first"), exclusive(tmp_path / "second"):
        pass


def test_a_killed_holder_leaves_the_run_free(tmp_path: Path) -> None:
    read, write = os.pipe()
    process = os.fork()
    if process == 0:
        try:
            with exclusive(tmp_path):
                os.write(write, b"held")
                signal.pause()
        finally:
            os._exit(1)
    try:
        os.read(read, 4)
        with pytest.raises(RunBusyError, match=f"process {process} on"), exclusive(tmp_path):
            pass
    finally:
        os.kill(process, signal.SIGKILL)
        os.waitpid(process, 0)
    with exclusive(tmp_path):
        pass


def test_a_file_system_without_locks_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: Any) -> None:
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(StorageError, match=r"cannot lock .*has no locks; .*records=FOLDER"), exclusive(tmp_path):
        pass


def test_a_folder_that_cannot_be_written_is_explained(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / ".lock").symlink_to("/dev/full")
    for folder in (tmp_path / "file" / "run", tmp_path / "full"):
        with pytest.raises(StorageError, match=f"cannot write {folder}/.lock: .*records=FOLDER"), exclusive(folder):
            pass
