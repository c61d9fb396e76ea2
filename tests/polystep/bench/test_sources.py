"""Hashes of code know what was edited, and not where it lies."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from polystep.bench import sources
from polystep.bench.sources import hash_of, source_files, suite_hash


class Mine:
    """A component of one's own."""


def make() -> Mine:
    return Mine()


def test_files_are_those_of_functions_classes_and_objects() -> None:
    own = Path(__file__)
    assert source_files(Mine(), make) == source_files(Mine) == [own]
    assert source_files(make, sources.PACKAGES.__class__) == [own]


def test_a_file_is_known_by_its_content_and_as_it_was_first(tmp_path: Path) -> None:
    def write(folder: str, text: str) -> Path:
        path = tmp_path / folder / "mine.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        return path

    one, two, three = write("one", "a = 1"), write("two", "a = 1"), write("three", "a = 2")
    first = hash_of([one])
    assert hash_of([two]) == first != hash_of([three])
    write("one", "a = 3")
    assert hash_of([one]) == first


def test_what_cannot_be_read_is_passed_over(tmp_path: Path) -> None:
    assert hash_of([tmp_path / "archive.zip" / "gone.py"]) != hash_of([])


@pytest.fixture
def suite(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], str]:
    def hashed(root: Path) -> str:
        monkeypatch.setattr(sources, "_ROOT", root)
        sources.suite_hash.cache_clear()
        return suite_hash()

    yield hashed
    sources.suite_hash.cache_clear()


def test_the_hash_of_the_suite_is_that_of_its_python_files(tmp_path: Path, suite: Callable[[Path], str]) -> None:
    def folder(name: str, **texts: str) -> Path:
        for file, text in {"polystep/a.py": "1", "tasks/deep/b.py": "2", **texts}.items():
            path = tmp_path / name / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return tmp_path / name

    first = suite(folder("one"))
    assert suite(folder("two", **{"tasks/README.md": "x", "scripts/c.py": "x"})) == first
    assert suite(folder("three", **{"tasks/deep/b.py": "3"})) != first
    # an editor's mark of an unsaved file leads nowhere
    (tmp_path / "two" / "polystep" / ".#a.py").symlink_to("user@host.1")
    assert suite(tmp_path / "two") == first


def test_modules_without_a_file_have_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(sys.modules[__name__], "__file__")
    assert source_files(Mine()) == []
