"""Work that is done side by side, in as many processes as there are cores."""

import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any, TypeVar

from polystep.machine import available_cores

Item = TypeVar("Item")
Result = TypeVar("Result")

_inherited: tuple[Callable[[Any], Any], Sequence[Any]] | None = None


def map_in_processes(
    function: Callable[[Item], Result], items: Sequence[Item], worth_a_process: int, together: int = 1
) -> list[Result]:
    """The function of every item, in their order; what it raises first, in that order, is raised here.

    `worth_a_process`: so many items take longer than a process takes to start. With fewer than two processes' worth of them,
    one core, or another system than Linux, all is done in this process. `together`: so many neighbours go to one process, for
    what they share. Results are sent by pickle. A process that is killed raises BrokenProcessPool.
    """
    global _inherited
    processes = min(available_cores(), len(items) // worth_a_process)
    # elsewhere there is no forking, or not beside the threads of torch
    if processes < 2 or sys.platform != "linux":
        return [function(item) for item in items]
    # Forked children have function and items already, whatever they refer to; through a pipe they would take long.
    _inherited = (function, items)
    try:
        with ProcessPoolExecutor(processes, mp_context=get_context("fork")) as pool:
            return list(pool.map(_call_inherited, range(len(items)), chunksize=together))
    finally:
        _inherited = None


def _call_inherited(place: int) -> Any:
    assert _inherited is not None
    function, items = _inherited
    return function(items[place])
