"""Files of a Debian package, fetched by apt."""

import contextlib
import gzip
import shutil
import tempfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tasks.data.errors import SourceFailed
from tasks.data.sources import run_client, run_package_client

_TIMEOUTS = ("-o", "Acquire::Retries=0", "-o", "Acquire::http::Timeout=5", "-o", "Acquire::https::Timeout=5")


@dataclass(frozen=True)
class DebianPackage:
    """A package of the Debian archive that holds ``<name>.gz`` for every file; nothing is installed.

    Attributes:
        package: name of the package.
        folder: folder of the files inside the package.
    """

    package: str
    folder: str

    @property
    def description(self) -> str:
        return f"Debian package {self.package}"

    def fetch(self, names: Sequence[str]) -> dict[str, bytes]:
        missing = [program for program in ("apt-get", "dpkg-deb") if shutil.which(program) is None]
        if missing:
            raise SourceFailed(f"{' and '.join(missing)} not installed")
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            run_client(["dpkg-deb", "--extract", str(self._download(folder)), "content"], folder)
            return {name: self._read(folder / "content", name) for name in names}

    def _download(self, folder: Path) -> Path:
        download = ["download", self.package]
        try:
            return run_package_client(["apt-get", *_TIMEOUTS, *download], folder, "*.deb")
        except SourceFailed:
            # Fresh machines know no packages yet; lists in a folder of our own can be made without any rights.
            for part in ("lists/partial", "cache/archives/partial"):
                (folder / part).mkdir(parents=True)
            places = ["-o", f"Dir::State::lists={folder / 'lists'}", "-o", f"Dir::Cache={folder / 'cache'}"]
            with contextlib.suppress(SourceFailed):
                # It fails when any one archive does not answer, which need not be the one with the package.
                run_client(["apt-get", *_TIMEOUTS, *places, "update"], folder)
            return run_package_client(["apt-get", *_TIMEOUTS, *places, *download], folder, "*.deb")

    def _read(self, content: Path, name: str) -> bytes:
        path = f"{self.folder}/{name}.gz"
        try:
            return gzip.decompress((content / path).read_bytes())
        except (OSError, EOFError, zlib.error) as error:
            raise SourceFailed(f"its file {path} cannot be read: {error}") from error
