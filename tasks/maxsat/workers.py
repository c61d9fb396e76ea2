"""Threads that share the range of a compiled loop."""

from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import pairwise
from typing import Any

import numba

from polystep.evaluation.compilation import CompilationClock

SMALLEST_PART = 1 << 14
"""Loops below this length are not worth a second thread."""


class Workers:
    """Calls kernels that release the lock on the interpreter."""

    def __init__(self) -> None:
        self.clock = CompilationClock()

    def parts(self, length: int) -> int:
        """Into how many parts a loop of this length is cut: no more than numba may use threads."""
        return max(1, min(numba.get_num_threads(), length // SMALLEST_PART))

    def share(self, kernel: Any, length: int, *arguments: Any, each: Any = None) -> list[Any]:
        """The results of kernel(begin, end, *arguments) for consecutive parts of range(length), in order.

        `each`: one further argument per part, such as a table of its own.
        """
        parts = self.parts(length)
        bounds = [length * part // parts for part in range(parts + 1)]
        calls = [
            (begin, end, *arguments, *(() if each is None else (each[part],)))
            for part, (begin, end) in enumerate(pairwise(bounds))
        ]
        self.clock.compile(kernel, *calls[0])
        if parts == 1:
            return [kernel(*calls[0])]
        return list(_pool(parts).map(lambda call: kernel(*call), calls))


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="clauses")
