"""What fits into the memory of this machine."""

import os
from pathlib import Path


def require_memory(needed: float, what: str, remedy: str) -> None:
    """Raise ValueError where `needed` bytes for `what` are not available; `remedy` says what to do."""
    available = available_memory()
    if needed > available:
        raise ValueError(
            f"{what} needs about {needed / 1e9:.3g} GB of memory, but {available / 1e9:.3g} GB are available; {remedy}"
        )


def available_memory() -> float:
    """Bytes that can be had without swapping; all of the machine's where the system does not say."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        return next(float(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))
    except (OSError, StopIteration):
        return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
