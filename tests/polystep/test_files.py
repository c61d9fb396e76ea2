"""Files are either complete or as they were before."""

import errno
import json
import math
import os
import resource
import signal
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from polystep.files import StorageError, atomic_write, json_value, read_json, write_json, write_text

WRITING_CALLS = {"open": "pathlib.Path.open", "fsync": "os.fsync", "replace": "os.replace"}


@pytest.fixture
def target(tmp_path: Path) -> Path:
    path = tmp_path / "folder" / "run.json"
    write_text(path, "old")
    return path


def at(call: str, action: Callable[[], None], monkeypatch: pytest.MonkeyPatch) -> None:
    """Performs `action` where a write would make `call`."""
    monkeypatch.setattr(WRITING_CALLS[call], lambda *_, **__: action())


def only_the_old_file(target: Path) -> bool:
    return target.read_text() == "old" and list(target.parent.iterdir()) == [target]


def test_a_write_creates_folders_and_leaves_one_readable_file(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "run.json"
    write_text(path, "first")
    write_text(path, "second ä")
    assert path.read_text(encoding="utf-8") == "second ä"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("mask", [0o022, 0o027, 0o077])
def test_a_file_can_be_read_by_whom_the_umask_allows(target: Path, mask: int) -> None:
    before = os.umask(mask)
    try:
        write_text(target, "new")
    finally:
        os.umask(before)
    assert target.stat().st_mode & 0o777 == 0o666 & ~mask


def test_content_and_name_are_on_the_disk_before_a_write_is_done(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    fsync, replace = os.fsync, os.replace

    def note_fsync(handle: int) -> None:
        calls.append("folder" if stat.S_ISDIR(os.fstat(handle).st_mode) else "file")
        fsync(handle)

    def note_replace(*paths: Path) -> None:
        calls.append("replace")
        replace(*paths)

    monkeypatch.setattr("os.fsync", note_fsync)
    monkeypatch.setattr("os.replace", note_replace)
    write_text(target, "new")
    assert calls == ["file", "replace", "folder"]


@pytest.mark.parametrize("code", [errno.EPERM, errno.ENOSYS, errno.EINVAL, errno.ENOTSUP])
def test_a_file_system_without_fsync_is_written_to_and_mentioned_once(
    target: Path, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse() -> None:
        raise OSError(code, os.strerror(code))

    at("fsync", refuse, monkeypatch)
    with pytest.warns(UserWarning, match=f"{target.parent} cannot promise that files outlive a power failure") as told:
        write_text(target, "new")
        write_text(target, "newer")
    assert len(told) == 1 and target.read_text() == "newer"


@pytest.mark.parametrize("call", WRITING_CALLS)
def test_a_full_disk_is_explained_and_changes_nothing(target: Path, call: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as context:
        at(call, refuse, context)
        with pytest.raises(StorageError, match=rf"cannot write {target}: No space left on device; free space"):
            write_text(target, "new")
    assert only_the_old_file(target)


@pytest.fixture
def tiny_disk() -> Iterator[None]:
    """No file can grow beyond a kilobyte."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1024, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_write_that_stops_halfway_changes_nothing(target: Path, tiny_disk: None) -> None:
    with pytest.raises(StorageError, match=f"cannot write {target}: File too large"):
        write_text(target, "new" * 1000)
    assert only_the_old_file(target)


def test_an_error_of_the_writer_changes_nothing(target: Path) -> None:
    with pytest.raises(ZeroDivisionError), atomic_write(target) as file:
        file.write(b"half")
        raise ZeroDivisionError
    assert only_the_old_file(target)


def dies(action: Callable[[], object]) -> bool:
    """Whether `action` kills its process."""
    process = os.fork()
    if process == 0:
        try:
            action()
        finally:
            os._exit(1)
    return os.WTERMSIG(os.waitpid(process, 0)[1]) == signal.SIGKILL


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize("call", WRITING_CALLS)
def test_a_killed_write_changes_nothing(target: Path, call: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as context:
        at(call, die, context)
        assert dies(lambda: write_text(target, "new"))
    assert target.read_text() == "old"
    write_text(target, "new")
    assert target.read_text() == "new"
    # what the killed process left behind is hidden and named as unfinished
    left = {path.name for path in target.parent.iterdir()} - {target.name}
    assert all(name.startswith(".run.json.") and name.endswith(".partial") for name in left)


@pytest.mark.parametrize("place", ["a file", "the kernel's"])
def test_an_unwritable_folder_is_explained(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("content")
    folder = tmp_path / "file" if place == "a file" else Path("/proc/none")
    with pytest.raises(StorageError, match=f"cannot write {folder / 'run.json'}: .*make the folder writable"):
        write_text(folder / "run.json", "new")
    assert (tmp_path / "file").read_text() == "content"


def test_json_is_read_back_as_written(tmp_path: Path) -> None:
    value = {"text": "ä", "numbers": [1, 0.1, 1e300, -0.0], "nothing": None, "nested": {"yes": True}}
    write_json(tmp_path / "value.json", value)
    assert read_json(tmp_path / "value.json") == value


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_json_refuses_numbers_that_it_lacks(tmp_path: Path, value: float) -> None:
    with pytest.raises(ValueError):
        write_json(tmp_path / "value.json", {"value": value})
    assert list(tmp_path.iterdir()) == []


def test_json_value_replaces_numbers_that_json_lacks() -> None:
    value = json_value({"a": [math.nan, math.inf, (-math.inf, 1.5)], "b": {"c": True, "d": "nan", "e": None}})
    assert value == {"a": [None, "inf", ["-inf", 1.5]], "b": {"c": True, "d": "nan", "e": None}}
    json.dumps(value, allow_nan=False)


@pytest.mark.parametrize("content", [None, b"", b'{"a": 1', b"\x00\xff\xfe", b"{'a': 1}"])
def test_damaged_json_is_named(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "value.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(StorageError, match=f"{path} cannot be read as JSON .*; delete it and repeat the run"):
        read_json(path)
