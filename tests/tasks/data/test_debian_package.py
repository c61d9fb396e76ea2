"""DebianPackage, against stand-ins for apt-get and dpkg-deb."""

import sys
from pathlib import Path

import pytest

from tasks.data.debian_package import DebianPackage
from tasks.data.errors import SourceFailed

PACKAGE = DebianPackage("dataset-tiny", folder="usr/share/datasets/tiny")

APT = """
import os, sys
arguments = sys.argv[1:]
with open({log!r}, "a") as log:
    log.write(" ".join(arguments) + chr(10))
fresh = any(argument.startswith("Dir::State::lists=") for argument in arguments)
if "update" in arguments:
    sys.exit({update_status})
if "download" not in arguments or arguments[-1] != "dataset-tiny" or not ({known} or fresh and {listed}):
    sys.exit("W: a notice" + chr(10) + "E: Unable to locate package dataset-tiny")
open("dataset-tiny_1_all.deb", "w").close()
"""

DPKG = """
import gzip, pathlib, sys
assert sys.argv[1] == "--extract" and sys.argv[2].endswith("dataset-tiny_1_all.deb")
folder = pathlib.Path(sys.argv[3], "usr/share/datasets/tiny")
folder.mkdir(parents=True)
(folder / "one.gz").write_bytes(gzip.compress(b"values"))
(folder / "damaged.gz").write_bytes(b"damaged")
"""


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log"


def install(folder: Path, monkeypatch: pytest.MonkeyPatch, **programs: str) -> None:
    for name, script in programs.items():
        program = folder / name.replace("_", "-")
        (folder / f"{name}.py").write_text(script)
        program.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{folder}/{name}.py" "$@"\n')
        program.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))


def apt(log: Path, known: bool = True, listed: bool = True, update_status: int = 0) -> str:
    return APT.format(log=str(log), known=known, listed=listed, update_status=update_status)


def test_files_are_those_of_the_package(tmp_path: Path, log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, monkeypatch, apt_get=apt(log), dpkg_deb=DPKG)
    assert PACKAGE.fetch(["one"]) == {"one": b"values"}
    assert log.read_text().count("\n") == 1


@pytest.mark.parametrize("update_status", [0, 100])
def test_machine_without_lists_gets_lists_of_its_own(
    tmp_path: Path, log: Path, monkeypatch: pytest.MonkeyPatch, update_status: int
) -> None:
    install(tmp_path, monkeypatch, apt_get=apt(log, known=False, update_status=update_status), dpkg_deb=DPKG)
    assert PACKAGE.fetch(["one"]) == {"one": b"values"}
    actions = [line.split()[-1] for line in log.read_text().splitlines()]
    assert actions == ["dataset-tiny", "update", "dataset-tiny"]


def test_unknown_package_is_reported_without_the_notices(
    tmp_path: Path, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path, monkeypatch, apt_get=apt(log, known=False, listed=False), dpkg_deb=DPKG)
    with pytest.raises(SourceFailed) as caught:
        PACKAGE.fetch(["one"])
    assert str(caught.value) == "E: Unable to locate package dataset-tiny"


@pytest.mark.parametrize("name", ["absent", "damaged"])
def test_file_that_cannot_be_read_is_named(
    tmp_path: Path, log: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    install(tmp_path, monkeypatch, apt_get=apt(log), dpkg_deb=DPKG)
    with pytest.raises(SourceFailed, match=f"its file usr/share/datasets/tiny/{name}.gz cannot be read"):
        PACKAGE.fetch(["one", name])


def test_machine_without_apt_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, monkeypatch, dpkg_deb=DPKG)
    with pytest.raises(SourceFailed, match="apt-get not installed"):
        PACKAGE.fetch(["one"])
