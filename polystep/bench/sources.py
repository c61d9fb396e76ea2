"""Which code computes a run: hashes of the files that this process has imported, whatever is edited later."""

import contextlib
import hashlib
import sys
from collections.abc import Iterable
from functools import cache
from pathlib import Path

PACKAGES = ("polystep", "baselines", "tasks")
"""What decides numbers."""
_ROOT = Path(__file__).parents[2]


@cache
def suite_hash() -> str:
    """Of all files of the suite that can decide numbers; read once, early in a process."""
    files = (path for package in PACKAGES for path in (_ROOT / package).rglob("*.py"))
    return hash_of(sorted(path for path in files if not path.name.startswith(".")))


def source_files(*parts: object) -> list[Path]:
    """Of the modules that define functions, classes, or the classes of objects; without those that have no file."""
    modules = dict.fromkeys(str(part.__module__) for part in parts)
    files = (getattr(sys.modules.get(name), "__file__", None) for name in modules)
    return [Path(file) for file in files if file is not None]


def hash_of(files: Iterable[Path]) -> str:
    """Of names and contents; where the files lie does not matter."""
    return hashlib.sha256("\n".join(f"{path.name} {_hash(path)}" for path in files).encode()).hexdigest()[:16]


@cache
def _hash(path: Path) -> str:
    """Of a file as it was when it was first asked for; empty where it cannot be read, as in an archive."""
    with contextlib.suppress(OSError):
        return hashlib.sha256(path.read_bytes()).hexdigest()
    return ""
