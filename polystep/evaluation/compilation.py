"""Calling numba kernels, with their compilation on a clock of its own."""

import time
from typing import Any


class CompilationClock:
    """Compiles kernels before their first call with arguments of new types, and counts the seconds that this takes."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def call(self, kernel: Any, *arguments: Any) -> Any:
        """The result of kernel(*arguments)."""
        self.compile(kernel, *arguments)
        return kernel(*arguments)

    def compile(self, kernel: Any, *arguments: Any) -> None:
        """Make kernel(*arguments) ready to run."""
        from numba import typeof

        types = tuple(typeof(argument) for argument in arguments)
        if types not in kernel.overloads:
            started = time.perf_counter()
            kernel.compile(types)
            self.seconds += time.perf_counter() - started
