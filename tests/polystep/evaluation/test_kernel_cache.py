"""Compiled kernels from disk compute what was asked for, whoever compiled them, and files never stand in the way."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numba import njit

from polystep.evaluation import kernel_cache
from polystep.evaluation.compilation import CompilationClock
from polystep.evaluation.kernel_cache import UnknownMaterial, material_of
from tests.exactness import NETWORKS, kernels_of

ROOT = Path(__file__).resolve().parents[3]
PROGRAM = """
import sys
import numpy as np
from numba import njit, prange
from polystep.evaluation.compilation import CompilationClock
from parts import build_inner

def build(size):
    inner = build_inner(size)

    @njit(parallel=True)
    def outer(values):
        found = np.empty(len(values))
        for i in prange(len(values)):
            found[i] = inner(values[i]) + inner(2 * values[i]) + inner(3 * values[i])
        return found

    return outer

for size in map(int, sys.argv[1:]):
    kernel = build(size)
    found = CompilationClock().call(kernel, np.arange(3.0))
    print(size, found.tolist(), "read" if kernel.stats.cache_hits else "compiled")
"""
# so long, and called so often, that it stays a function of its own: then only its name tells it from others
INNER = """
from numba import njit

FACTOR = {factor}

def build_inner(size):
    @njit
    def inner(value):
        total = 0.0
"""
for _place in range(40):
    INNER += f"        total += FACTOR * size * (value + {_place}) ** {_place / 20}\n"
    INNER += f"        total = -total if total > {1000 * _place} else total\n"
INNER += "        return total\n\n    return inner\n"


def inner(value, size, factor):
    total = 0.0
    for place in range(40):
        total += factor * size * (value + place) ** (place / 20)
        total = -total if total > 1000 * place else total
    return total


def expected(size, factor=1.0):
    return [
        pytest.approx(sum(inner(value * times, size, factor) for times in (1, 2, 3)), rel=1e-9) for value in range(3)
    ]


@pytest.fixture
def processes(tmp_path):
    """Starts the program with some sizes in a process of its own; its lines as (numbers, how)."""
    (tmp_path / "program.py").write_text(PROGRAM)
    (tmp_path / "parts.py").write_text(INNER.replace("{factor}", "1.0"))

    def start(*sizes):
        variables = {"PYTHONPATH": f"{tmp_path}:{ROOT}", "PYTHONDONTWRITEBYTECODE": "1"}
        return subprocess.Popen(
            [sys.executable, "program.py", *map(str, sizes)],
            cwd=tmp_path,
            env=os.environ | variables | {kernel_cache.FOLDER_VARIABLE: str(tmp_path / "kernels")},
            stdout=subprocess.PIPE,
            text=True,
        )

    return start


def lines_of(process):
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 0
    lines = []
    for line in output.splitlines():
        _, numbers = line.split("[")
        values, how = numbers.split("]")
        lines.append(([float(value) for value in values.split(",")], how.strip()))
    return lines


def test_the_next_process_reads_and_tells_sizes_and_sources_apart(tmp_path, processes):
    # two processes that compile at the same time give equal names to different functions; then both write the same kernel
    started = processes(7, 6), processes(4, 6)
    for process, size in zip(started, (7, 4), strict=True):
        own, (shared, _) = lines_of(process)
        assert own == (expected(size), "compiled") and shared == expected(6)
    assert [path.suffix for path in (tmp_path / "kernels").iterdir()] == 3 * [".kernel"]
    *kept, new = lines_of(processes(4, 7, 6, 5))
    assert kept == [(expected(size), "read") for size in (4, 7, 6)] and new == (expected(5), "compiled")
    # a number in another file than the kernel's
    (tmp_path / "parts.py").write_text(INNER.replace("{factor}", "2.0"))
    assert lines_of(processes(4)) == [(expected(4, 2.0), "compiled")]


def build(size):
    @njit
    def kernel(value):
        return value + size

    return kernel


def call(kernel, value=1):
    assert CompilationClock().call(kernel, value) == kernel.py_func(value)
    return "read" if kernel.stats.cache_hits else "compiled"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv(kernel_cache.FOLDER_VARIABLE, str(tmp_path / "kernels"))
    return tmp_path / "kernels"


def test_damaged_files_are_made_anew(folder):
    assert call(build(3)) == "compiled" and call(build(3)) == "read"
    (path,) = folder.iterdir()
    whole = path.read_bytes()
    for damaged in (b"", whole[:-9], whole[:40], whole[:32] + b"x" + whole[33:]):
        path.write_bytes(damaged)
        assert call(build(3)) == "compiled"
        assert path.read_bytes() != damaged and call(build(3)) == "read"


def test_folders_that_cannot_be_used_cost_only_time(folder, monkeypatch):
    folder.write_text("in the way")
    assert call(build(4)) == call(build(4)) == "compiled"
    monkeypatch.setenv(kernel_cache.FOLDER_VARIABLE, "")
    assert call(build(4)) == call(build(4)) == "compiled"


def test_a_folder_that_cannot_be_written_costs_only_time(folder, monkeypatch):
    assert call(build(6)) == "compiled"

    def refuse(path, content):
        raise OSError(errno.EROFS, "Read-only file system", str(path))

    monkeypatch.setattr(Path, "write_bytes", refuse)
    assert call(build(6)) == "read" and call(build(7)) == call(build(7)) == "compiled"
    assert len(list(folder.iterdir())) == 1


@pytest.mark.parametrize("part", ["material_of", "_is_open_to_others"])
def test_what_another_numba_or_a_strange_kernel_raises_costs_only_time(folder, monkeypatch, part):
    def fail(*arguments):
        raise AttributeError("no such part")

    monkeypatch.setattr(kernel_cache, part, fail)
    assert call(build(6)) == call(build(6)) == "compiled"


def test_a_folder_that_others_can_write_is_left_alone(folder, caplog):
    folder.mkdir()
    folder.chmod(0o777)
    assert call(build(5)) == call(build(5)) == "compiled"
    assert not list(folder.iterdir()) and "which others can write" in caplog.text


def test_kernels_are_kept_in_the_cache_folder_of_the_user(folder, monkeypatch):
    monkeypatch.delenv(kernel_cache.FOLDER_VARIABLE)
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder))
    assert call(build(4)) == "compiled" and call(build(4)) == "read"
    assert [path.suffix for path in (folder / "polystep" / "kernels").iterdir()] == [".kernel"]
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/home/someone")
    assert kernel_cache.kernel_folder() == Path("/home/someone/.cache/polystep/kernels")


def test_files_that_are_not_used_are_removed(folder, monkeypatch):
    monkeypatch.setattr(kernel_cache, "MOST_FILES", 2)
    for size in (1, 2):
        call(build(size))
    for age, path in enumerate(sorted(folder.iterdir(), key=lambda path: path.stat().st_mtime_ns)):
        os.utime(path, (1000 + age, 1000 + age))
    assert call(build(1)) == "read"
    call(build(3))
    assert [call(build(size)) for size in (1, 3)] == ["read", "read"]
    assert len(list(folder.iterdir())) == 2


def test_types_and_settings_of_numba_are_told_apart(folder, monkeypatch):
    assert call(build(5), 1) == call(build(5), 1.0) == "compiled"
    monkeypatch.setenv("NUMBA_BOUNDSCHECK", "1")
    assert call(build(5), 1) == "compiled"
    monkeypatch.setenv("NUMBA_NUM_THREADS", "3")
    assert call(build(5), 1) == "read"


def test_what_a_kernel_is_made_of():
    def number(value, fast=False):
        @njit(fastmath=fast)
        def inner(x):
            return x * value

        @njit
        def outer(x):
            return inner(x) + 1

        return outer

    same = material_of(number(2.0))
    assert material_of(number(2.0)) == same
    others = [number(3.0), number(2), number(np.float32(2)), number(2.0, fast={"contract"}), number((2.0, 1.0))]
    assert len({same, *map(material_of, others)}) == 6
    assert material_of(number(np.arange(3))) != material_of(number(np.arange(1, 4)))


def test_what_cannot_be_told_apart_is_not_kept(folder):
    strange = object()

    @njit
    def kernel(x):
        return x

    @njit
    def refers(x):
        return strange

    @njit
    def repeats(x):
        return 0 if x == 0 else 1 + repeats(x - 1)

    for unknown in (refers, repeats):
        with pytest.raises(UnknownMaterial):
            material_of(unknown)
    assert call(repeats) == "compiled"
    assert call(kernel) == "compiled"
    assert len(list(folder.iterdir())) == 1


@pytest.mark.parametrize("name", NETWORKS)
def test_every_kernel_of_a_network_can_be_kept(name):
    for kernel in kernels_of(NETWORKS[name].fused):
        assert material_of(kernel)


def test_without_the_parts_of_numba_kernels_are_compiled(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "polystep.evaluation.kernel_cache", None)
    assert call(build(8)) == "compiled" and not folder.exists()
