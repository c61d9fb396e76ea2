"""njit for functions that round in one way, whichever of their callers is compiled first."""

from collections.abc import Collection
from typing import Any

import numba


def njit(function: Any = None, *, fastmath: bool | Collection[str] = False, parallel: bool = False) -> Any:
    """numba.njit that always says what `fastmath` allows: where it is left out, a function takes it over from the one that
    happens to call it first, so that its numbers would depend on what else this process has compiled.
    """
    return _compiler(function, fastmath, parallel=parallel)


def njit_inner(function: Any = None, *, fastmath: bool | Collection[str] = False) -> Any:
    """As `njit`, for what only compiled functions call: Python must not, as the form that it would call is left out. That form
    unpacks every array, which is a quarter of the time that kernels take to compile.
    """
    return _compiler(function, fastmath, no_cpython_wrapper=True)


def _compiler(function: Any, fastmath: bool | Collection[str], **options: Any) -> Any:
    allowed = fastmath if isinstance(fastmath, bool) else set(fastmath)
    compiler = numba.njit(fastmath=allowed, **options)
    return compiler if function is None else compiler(function)
