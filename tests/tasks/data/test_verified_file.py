"""VerifiedFile: finding, verifying, storing."""

import gzip
import hashlib
import os
from pathlib import Path

import pytest

from tasks.data import DataCorrupt, DataUnavailable
from tasks.data.verified_file import VerifiedFile

CONTENT = b"content of the file" * 100
FILE = VerifiedFile("train-images-idx3-ubyte", hashlib.sha256(CONTENT).hexdigest())


@pytest.mark.parametrize("name", ["train-images-idx3-ubyte", "train-images.idx3-ubyte"])
@pytest.mark.parametrize("compressed", [False, True])
def test_every_accepted_spelling_is_found_and_read(tmp_path: Path, name: str, compressed: bool) -> None:
    path = tmp_path / (f"{name}.gz" if compressed else name)
    path.write_bytes(gzip.compress(CONTENT) if compressed else CONTENT)
    assert FILE.find(tmp_path) == path
    assert FILE.read(path) == CONTENT


def test_absent_file_is_not_found(tmp_path: Path) -> None:
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(CONTENT)
    assert FILE.find(tmp_path) is None
    assert FILE.find(tmp_path / "absent") is None


def test_other_content_is_refused_with_both_hashes_and_remedy(tmp_path: Path) -> None:
    path = tmp_path / FILE.name
    path.write_bytes(CONTENT[:-1])
    with pytest.raises(DataCorrupt) as caught:
        FILE.read(path)
    for part in (str(path), FILE.sha256, hashlib.sha256(CONTENT[:-1]).hexdigest(), "Delete it", "fetch_data"):
        assert part in str(caught.value)


@pytest.mark.parametrize(
    "damaged", [gzip.compress(CONTENT, mtime=0)[:-9], b"<html>", gzip.compress(CONTENT, mtime=0)[:12] + b"\xff" * 40]
)
def test_damaged_gzip_data_is_refused(tmp_path: Path, damaged: bytes) -> None:
    path = tmp_path / f"{FILE.name}.gz"
    path.write_bytes(damaged)
    with pytest.raises(DataCorrupt) as caught:
        FILE.read(path)
    for part in (str(path), FILE.sha256, hashlib.sha256(damaged).hexdigest(), "Delete it"):
        assert part in str(caught.value)


def test_sound_gzip_data_with_other_content_is_refused(tmp_path: Path) -> None:
    path = tmp_path / f"{FILE.name}.gz"
    path.write_bytes(gzip.compress(b"other"))
    with pytest.raises(DataCorrupt, match=hashlib.sha256(b"other").hexdigest()):
        FILE.read(path)


def test_unreadable_file_is_explained(tmp_path: Path) -> None:
    with pytest.raises(DataUnavailable, match="cannot be read"):
        FILE.read(tmp_path)


def test_storing_creates_the_folder_and_leaves_one_file(tmp_path: Path) -> None:
    folder = tmp_path / "data" / "tiny"
    FILE.store(folder, CONTENT)
    assert [path.name for path in folder.iterdir()] == [FILE.name]
    assert FILE.read(folder / FILE.name) == CONTENT


def test_failed_storing_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(descriptor: int) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(DataUnavailable, match=r"cannot be stored in .* \(no space left on device\)"):
        FILE.store(tmp_path, CONTENT)
    assert list(tmp_path.iterdir()) == []


def test_folder_that_cannot_be_made_is_explained(tmp_path: Path) -> None:
    (tmp_path / "data").write_bytes(b"")
    with pytest.raises(DataUnavailable, match="cannot be stored in"):
        FILE.store(tmp_path / "data" / "tiny", CONTENT)
