"""A file whose content is known by its hash: found, verified and stored."""

import gzip
import hashlib
import zlib
from dataclasses import dataclass
from pathlib import Path

from polystep.files import StorageError, atomic_write
from tasks.data.errors import DataCorrupt, DataUnavailable


@dataclass(frozen=True)
class VerifiedFile:
    """A file with the SHA-256 of its uncompressed bytes.

    Attributes:
        name: canonical file name, such as ``train-images-idx3-ubyte``.
        sha256: 64 hexadecimal digits.
    """

    name: str
    sha256: str

    def find(self, folder: Path) -> Path | None:
        """Path of the file in ``folder``, raw or with ``.gz``, in the canonical or the dotted spelling."""
        dotted = self.name.replace("-idx", ".idx")
        for spelling in (self.name, dotted, f"{self.name}.gz", f"{dotted}.gz"):
            if (folder / spelling).is_file():
                return folder / spelling
        return None

    def mismatch(self, raw: bytes) -> str | None:
        """Both hashes in words if the uncompressed bytes ``raw`` are not the expected ones, else None."""
        found = hashlib.sha256(raw).hexdigest()
        return None if found == self.sha256 else f"expected SHA-256 {self.sha256}, found {found}"

    def read(self, path: Path) -> bytes:
        """Verified uncompressed bytes of the file at ``path``.

        Raises:
            DataCorrupt: the content is not the expected one.
            DataUnavailable: the file cannot be read.
        """
        try:
            raw = path.read_bytes()
        except OSError as error:
            raise DataUnavailable(
                f"{path} cannot be read ({error}). Correct its permissions or move it away."
            ) from error
        problem = None
        if path.suffix == ".gz":
            try:
                raw = gzip.decompress(raw)
            except (OSError, EOFError, zlib.error) as error:
                compressed = hashlib.sha256(raw).hexdigest()
                problem = (
                    f"expected gzip data whose content has SHA-256 {self.sha256}, "
                    f"found data with SHA-256 {compressed} that does not decompress ({error})"
                )
        problem = problem or self.mismatch(raw)
        if problem:
            raise DataCorrupt(
                f"{path} is corrupt or truncated: {problem}. Delete it and run `python -m scripts.fetch_data` again."
            )
        return raw

    def store(self, folder: Path, raw: bytes) -> None:
        """Writes ``raw`` under the canonical name in ``folder``; a reader sees all of it or nothing.

        Raises:
            DataUnavailable: the folder cannot be written.
        """
        try:
            with atomic_write(folder / self.name) as stream:
                stream.write(raw)
        except StorageError as error:
            raise DataUnavailable(
                f"{self.name} was fetched but cannot be stored in {folder} ({error.__cause__}). "
                f"Make that folder writable, free disk space, or choose another data folder."
            ) from error
