"""Compiled kernels kept on disk, so that only the first process that needs one waits for the compiler.

numba's own cache misses for kernels built from other kernels: its key holds random ids of the inner ones, and no source but
that of the outermost. Here a kernel is known by what it is made of, however deep: byte code, constants, options, and all
kernels and numbers that it closes over or finds among the globals of its module.
"""

import hashlib
import logging
import os
import pickle
import stat
import sys
from contextlib import suppress
from functools import cache
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

import llvmlite
import numba
import numpy as np
from llvmlite import ir
from numba.core import bytecode, serialize
from numba.core.caching import _Cache
from numba.core.compiler import CompileResult
from numba.core.dispatcher import Dispatcher
from numba.core.extending import _Intrinsic

FOLDER_VARIABLE = "POLYSTEP_KERNELS"
"""Environment variable: the folder that compiled kernels are kept in; where it is empty, none are kept."""
MOST_FILES = 500
"""Those that were not used for longest are removed beyond this number; one takes 50 to 500 KB."""
_COUNTER = bytecode.FunctionIdentity._unique_ids
"""Numbers the names of compiled functions; an AttributeError here tells that this numba has no such thing."""
PLAIN = (bool, int, float, complex, str, bytes, type(None), type(Ellipsis), np.generic)

_logger = logging.getLogger(__name__)


class UnknownMaterial(TypeError):
    """A kernel uses something whose value cannot be told from another's, so it is not kept."""


def kernel_folder() -> Path | None:
    """Where compiled kernels are kept: in the user's cache folder unless FOLDER_VARIABLE names another; None: nowhere."""
    chosen = os.environ.get(FOLDER_VARIABLE)
    if chosen is not None:
        return Path(chosen) if chosen else None
    try:
        caches = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    except RuntimeError:  # a user without a home
        return None
    return Path(caches) / "polystep" / "kernels"


def keep(kernel: Any) -> None:
    """Let a kernel be read from disk, or written there, when it is compiled next."""
    if not isinstance(kernel._cache, KernelCache):
        kernel._cache = KernelCache(kernel)


class KernelCache(_Cache):
    """What numba asks for compiled versions of one kernel. Whatever goes wrong with files costs only the time to compile."""

    def __init__(self, kernel: Any):
        self._kernel = kernel
        self._material: str | None = None

    @property
    def cache_path(self) -> str:
        """The folder."""
        return str(kernel_folder())

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """The compiled version for argument types `sig`, None where none is kept."""
        target_context.refresh()
        path = self._path(sig, target_context.codegen())
        try:
            if path is not None and (content := path.read_bytes()):
                checksum, data = content[:32], content[32:]
                if hashlib.sha256(data).digest() == checksum:
                    found = CompileResult._rebuild(target_context, *pickle.loads(data))
                    with suppress(OSError):
                        os.utime(path)
                    return found
        except FileNotFoundError:
            pass
        except Exception as error:  # whatever a damaged or foreign file makes of itself
            _logger.warning("a kept kernel cannot be used (%s: %s); it is compiled anew", type(error).__name__, error)
        # kept kernels of several processes meet in one, where functions of one name are taken for each other
        bytecode.FunctionIdentity._unique_ids = type(_COUNTER)(int.from_bytes(os.urandom(7), "big"))
        return None

    def save_overload(self, sig: Any, data: Any) -> None:
        """Keep a compiled version, unless it holds addresses of this process."""
        path = self._path(sig, data.codegen)
        if path is None or data.library.has_dynamic_globals or any(not lifted.can_cache for lifted in data.lifted):
            return
        # removed with other old files if this process is killed
        part = path.with_name(f"{path.stem}.{os.urandom(4).hex()}.kernel")
        try:
            content = serialize.dumps(data._reduce())
            # code is read from here: nobody else may write it
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            try:
                part.write_bytes(hashlib.sha256(content).digest() + content)
                part.replace(path)
            finally:
                part.unlink(missing_ok=True)
            _remove_oldest(path.parent)
        except Exception as error:  # a full disk, a folder that is not ours, a result that cannot be written
            _logger.info("a kernel cannot be kept in %s (%s: %s)", path.parent, type(error).__name__, error)

    def enable(self) -> None:
        """It always is."""

    def disable(self) -> None:
        """It never is."""

    def flush(self) -> None:
        """Files of other versions are removed as they grow old."""

    def _path(self, signature: Any, codegen: Any) -> Path | None:
        try:
            folder = kernel_folder()
            if folder is None or _is_open_to_others(folder):
                return None
            if self._material is None:
                self._material = material_of(self._kernel)
            # threads do not change the code, other settings of numba may
            settings = sorted(
                item for item in os.environ.items() if item[0].startswith("NUMBA_") and "THREAD" not in item[0]
            )
            versions = (sys.version, numba.__version__, llvmlite.__version__, np.__version__)
            made_by = (versions, codegen.magic_tuple(), settings)
        except Exception as error:  # UnknownMaterial, and what another numba or a strange kernel may raise
            _logger.info(
                "the kernel %s is not kept (%s: %s)", self._kernel.py_func.__qualname__, type(error).__name__, error
            )
            return None
        key = hashlib.sha256(f"{self._material} {signature} {made_by}".encode()).hexdigest()
        return folder / f"{key[:40]}.kernel"


def material_of(kernel: Any) -> str:
    """Hash of all that decides what a kernel computes. Raises UnknownMaterial."""
    digest = hashlib.sha256()
    _describe(kernel, digest, {}, ())
    return digest.hexdigest()


def _describe(value: Any, digest: Any, seen: dict[int, int], within: tuple[int, ...]) -> None:
    """Feed `digest` with `value`, of kernels and functions that were seen before only their number.

    `within`: the kernels that are being described.
    """

    def add(*parts: Any) -> None:
        digest.update(("\0".join(map(str, parts)) + "\1").encode())

    def add_all(kind: str, values: Any) -> None:
        add(kind, len(values))
        for each in values:
            _describe(each, digest, seen, within)

    if isinstance(value, PLAIN):
        add(type(value).__name__, repr(value))
    elif isinstance(value, tuple | list):
        add_all("sequence", value)
    elif isinstance(value, set | frozenset):
        add_all("set", sorted(value, key=repr))
    elif isinstance(value, dict):
        add_all("dict", sorted(value.items()))
    elif id(value) in within:
        # read from disk, numba's calls of a function to itself lead nowhere
        raise UnknownMaterial("it calls itself")
    elif id(value) in seen:
        add("seen", seen[id(value)])
    elif isinstance(value, Dispatcher):
        seen[id(value)] = len(seen)
        within = (*within, id(value))
        add_all("kernel", [value.targetoptions, value.py_func])
    elif isinstance(value, FunctionType) and not _is_versioned(str(value.__module__)):
        seen[id(value)] = len(seen)
        add("function", value.__qualname__)
        add_all("parts", [value.__code__, value.__defaults__, [cell.cell_contents for cell in value.__closure__ or ()]])
        names = sorted(_names(value.__code__))
        for name in names:
            if name in value.__globals__:
                used = value.__globals__[name]
                add_all(f"global {name}", [used])
                if isinstance(used, ModuleType) and not _is_versioned(used.__name__):
                    add_all("attributes", [getattr(used, each) for each in names if hasattr(used, each)])
    elif isinstance(value, CodeType):
        add("code", value.co_code.hex(), value.co_names, value.co_varnames, value.co_freevars, value.co_argcount)
        add_all("constants", value.co_consts)
    elif isinstance(value, np.ndarray) and value.dtype != object:
        add("array", value.dtype, value.shape, hashlib.sha256(np.ascontiguousarray(value).data).hexdigest())
    elif isinstance(value, _Intrinsic):
        add_all("intrinsic", [value._defn])
    elif isinstance(value, ModuleType):
        add("module", value.__name__)
    elif isinstance(value, numba.types.Type | ir.Type):
        add("type", value)
    elif hasattr(value, "__name__") and _is_versioned(str(getattr(value, "__module__", ""))):
        add("named", value.__module__, value.__name__)
    else:
        raise UnknownMaterial(f"it uses {value!r}")


@cache
def _is_open_to_others(folder: Path) -> bool:
    """Whether somebody else could put code into a folder that is there already."""
    try:
        found = folder.stat()
    except OSError:
        return False
    if hasattr(os, "getuid") and (found.st_uid != os.getuid() or found.st_mode & stat.S_IWOTH):
        _logger.warning(
            "kernels are not kept in %s, which others can write; take that right from them, or name a folder of your own in %s",
            folder,
            FOLDER_VARIABLE,
        )
        return True
    return False


def _is_versioned(module: str) -> bool:
    """Whether the versions that are part of the key decide what a module does."""
    return module.partition(".")[0] in {"builtins", "math", "operator", "numpy", "numba", "llvmlite", "typing"}


def _names(code: CodeType) -> set[str]:
    inner = (_names(constant) for constant in code.co_consts if isinstance(constant, CodeType))
    return set(code.co_names).union(*inner)


def _remove_oldest(folder: Path) -> None:
    with suppress(OSError):
        files = sorted(folder.glob("*.kernel"), key=lambda path: path.stat().st_mtime)
        for path in files[:-MOST_FILES]:
            path.unlink(missing_ok=True)
