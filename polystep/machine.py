"""What this process may use of its machine: cores and memory, within the limits of a container."""

import math
import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from polystep.contracts import ExpectedError


class TooLarge(ExpectedError, ValueError):
    """Something does not fit into the memory that is free; the message says how much it needs."""


def available_cores(root: Path = Path("/")) -> int:
    """Cores that this process may use: those that it is given, and no more than the quota of a container pays for."""
    # macOS and Windows give a process all cores
    given = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quotas = [math.ceil(quota) for folder in _control_groups("cpu", root) for quota in _quota(folder)]
    return max(1, min([given, *quotas]))


def available_memory(root: Path = Path("/")) -> int:
    """Bytes that can be had without swapping, within the limits of a container; 4 GB where the system does not say."""
    free = [1024 * size for size in _numbers(root / "proc/meminfo", "MemAvailable:")] or [_all_memory()]
    for folder in _control_groups("memory", root):
        for limit, used in (("max", "current"), ("limit_in_bytes", "usage_in_bytes")):
            for most, taken in zip(
                _numbers(folder / f"memory.{limit}"), _numbers(folder / f"memory.{used}"), strict=False
            ):
                # pages of files that nobody reads are given up when they are needed
                cached = sum(_numbers(folder / "memory.stat", "inactive_file"))
                free.append(max(0, most - taken + cached))
    return min(free)


def require_memory(needed: float, what: str, remedy: str) -> None:
    """Raise TooLarge where `needed` bytes for `what` are not available; `remedy` says what to do."""
    if needed > (available := available_memory()):
        raise TooLarge(
            f"{what} needs about {needed / 1e9:.3g} GB of memory, but {available / 1e9:.3g} GB are available; {remedy}"
        )


def _control_groups(controller: str, root: Path) -> Iterator[Path]:
    """Folders of the control group of this process and of those around it, of both versions that Linux has."""
    for line in _lines(root / "proc/self/cgroup"):
        _, controllers, path = line.split(":", 2)
        if not controllers or controller in controllers.split(","):
            top = root / "sys/fs/cgroup" / (controller if controllers else "")
            group = PurePosixPath(path.lstrip("/"))
            # within a container the path may be one of its host, of which only the end is there
            yield from (top / part for part in (group, *group.parents))


def _quota(folder: Path) -> Iterator[float]:
    """Cores that a control group pays for, where it has a limit."""
    pairs = [line.split() for line in _lines(folder / "cpu.max") if not line.startswith("max")]
    pairs.append([line for name in ("quota", "period") for line in _lines(folder / f"cpu.cfs_{name}_us")])
    yield from (int(pair[0]) / int(pair[1]) for pair in pairs if len(pair) == 2 and int(pair[0]) > 0)


def _numbers(path: Path, name: str = "") -> list[int]:
    """The number on the line that begins with `name`; none where there is no such line or file, or the word max."""
    found = [line.removeprefix(name).split()[0] for line in _lines(path) if line.startswith(name)]
    return [int(word) for word in found[:1] if word.lstrip("-").isdigit()]


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except OSError:
        return []


def _all_memory() -> int:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return 4 << 30
