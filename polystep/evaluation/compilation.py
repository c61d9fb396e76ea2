"""Calling numba kernels: compiled once or read from disk, with that on a clock of its own."""

import time
from contextlib import suppress
from typing import Any

from polystep.contracts import ExpectedError
from polystep.validation import one_line


class CompilationClock:
    """Makes kernels ready before their first call with arguments of new types, and counts the seconds that this takes."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def call(self, kernel: Any, *arguments: Any) -> Any:
        """The result of kernel(*arguments)."""
        self.compile(kernel, *arguments)
        return kernel(*arguments)

    def compile(self, kernel: Any, *arguments: Any) -> None:
        """Make kernel(*arguments) ready to run: read it from disk, or compile it and keep it there."""
        from numba import typeof

        types = tuple(typeof(argument) for argument in arguments)
        if types not in kernel.overloads:
            started = time.perf_counter()
            # the cache uses parts of numba that other versions may not have; then every process compiles
            with suppress(ImportError, AttributeError, TypeError):
                from polystep.evaluation.kernel_cache import keep

                keep(kernel)
            kernel.compile(types)
            self.seconds += time.perf_counter() - started


def require_numba() -> None:
    """Start numba and its threads; raises ExpectedError where variables of the environment keep it from working."""
    try:
        import numba

        disabled = bool(numba.config.DISABLE_JIT)  # type: ignore[attr-defined]
        numba.get_num_threads()
    except (ValueError, RuntimeError, ImportError) as error:
        raise ExpectedError(
            f"numba cannot start ({one_line(error)}); correct NUMBA_NUM_THREADS (at least 1) and "
            "NUMBA_THREADING_LAYER (workqueue is always there), or unset them"
        ) from None
    if disabled:
        raise ExpectedError("NUMBA_DISABLE_JIT is set, so that kernels would take thousands of times as long; unset it")
