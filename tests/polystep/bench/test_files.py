"""Files are either complete or as they were before."""

import errno
import json
import math
import os
import resource
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from polystep.bench.report import build_report
from polystep.files import StorageError, atomic_path, json_value, read_json, write_json, write_text

WRITING_CALLS = ("mkstemp", "fsync", "replace")


@pytest.fixture
def target(tmp_path: Path) -> Path:
    path = tmp_path / "folder" / "run.json"
    write_text(path, "old")
    return path


def at(call: str, action: Callable[[], None], monkeypatch: pytest.MonkeyPatch) -> None:
    """Performs `action` where a write would make `call`."""
    monkeypatch.setattr(f"tempfile.{call}" if call == "mkstemp" else f"os.{call}", lambda *_, **__: action())


def only_the_old_file(target: Path) -> bool:
    return target.read_text() == "old" and list(target.parent.iterdir()) == [target]


def test_a_write_creates_folders_and_leaves_one_readable_file(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "run.json"
    write_text(path, "first")
    write_text(path, "second ä")
    assert path.read_text(encoding="utf-8") == "second ä"
    assert list(path.parent.iterdir()) == [path]
    mask = os.umask(0)
    os.umask(mask)
    assert path.stat().st_mode & 0o777 == 0o666 & ~mask


@pytest.mark.parametrize("call", WRITING_CALLS)
def test_a_full_disk_is_explained_and_changes_nothing(target: Path, call: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    at(call, refuse, monkeypatch)
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
    with pytest.raises(ZeroDivisionError), atomic_path(target) as temporary:
        temporary.write_text("half")
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


def whole_files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.rglob("[!.]*") if path.is_file()}


@pytest.mark.parametrize("finished_files", [0, 6, 11])
def test_a_killed_report_is_whole_when_repeated(
    add_run, tmp_path: Path, finished_files: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_run()
    build_report(tmp_path / "records", tmp_path / "whole")
    expected = whole_files(tmp_path / "whole")
    replace, calls = os.replace, iter(range(100))
    with monkeypatch.context() as context:
        context.setattr("os.replace", lambda *paths: replace(*paths) if next(calls) < finished_files else die())
        assert dies(lambda: build_report(tmp_path / "records", tmp_path / "output"))
    written = whole_files(tmp_path / "output")
    assert len(written) == finished_files and written.items() <= expected.items()
    build_report(tmp_path / "records", tmp_path / "output")
    assert whole_files(tmp_path / "output") == expected


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
