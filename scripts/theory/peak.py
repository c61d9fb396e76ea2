"""How much memory a call needs at its peak, and processes that have done nothing before."""

import ctypes
import gc
import re
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import TypeVar

import torch

from polystep.contracts import ExpectedError

Item = TypeVar("Item")
Result = TypeVar("Result")
PROCESS = Path("/proc/self")


def peak_above(action: Callable[[], object], device: str) -> int:
    """Bytes that the process (cpu), or torch on the GPU (cuda), holds at the peak of a call above those before it.

    Linux alone tells and forgets the peak of a process (proc(5), VmHWM and clear_refs); ExpectedError elsewhere.
    """
    gc.collect()
    if device == "cuda":
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        action()
        torch.cuda.synchronize()
        return torch.cuda.max_memory_allocated() - before
    try:
        # what was freed but kept by malloc would be used again, unseen
        ctypes.CDLL(None).malloc_trim(0)
        # 5: the peak so far is forgotten, or what was held for a moment while data were read would hide the call
        (PROCESS / "clear_refs").write_text("5")
    except (OSError, AttributeError):
        raise ExpectedError(
            f"the peak memory of a process cannot be reset without malloc_trim and {PROCESS / 'clear_refs'}; measure it on "
            "Linux with glibc"
        ) from None
    before = _kilobytes("VmRSS")
    action()
    return 1024 * (_kilobytes("VmHWM") - before)


def map_in_fresh_processes(function: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
    """The function of every item, one after another, each in a new interpreter that has inherited no memory."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn"), max_tasks_per_child=1) as pool:
        return list(pool.map(function, items))


def _kilobytes(name: str) -> int:
    found = re.search(rf"^{name}:\s+(\d+) kB$", (PROCESS / "status").read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1])
