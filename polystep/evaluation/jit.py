"""njit for functions that round in one way, whichever of their callers is compiled first."""

from collections.abc import Collection
from typing import Any

import numba


def njit(function: Any = None, *, fastmath: bool | Collection[str] = False, parallel: bool = False) -> Any:
    """numba.njit that always says what `fastmath` allows: where it is left out, a function takes it over from the one that
    happens to call it first, so that its numbers would depend on what else this process has compiled.
    """
    allowed = fastmath if isinstance(fastmath, bool) else set(fastmath)
    compiler = numba.njit(fastmath=allowed, parallel=parallel)
    return compiler if function is None else compiler(function)
