"""Refusing what the memory cannot hold before it is filled."""

from pathlib import Path

BYTES_PER_VARIABLE = 200
"""What a task and an optimiser need for each variable."""


class TooLarge(ValueError):
    """An instance does not fit into the memory that is free; the message says how much it needs."""


def require_memory(what: str, needed: int) -> None:
    """Raise TooLarge where `what` needs more bytes than are free."""
    available = available_memory()
    if needed > available:
        raise TooLarge(
            f"{what} needs about {needed / 1e9:.1f} GB of memory, but {available / 1e9:.1f} GB are free; use a larger "
            "machine or a smaller instance"
        )


def available_memory() -> int:
    """Bytes that can still be had, by the kernel's estimate; where it gives none, 4 GB."""
    try:
        for row in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if row.startswith("MemAvailable:"):
                return int(row.split()[1]) * 1024
    except OSError:
        pass
    return 4 << 30
