"""Cores and memory of this machine, of containers and of systems without Linux's files; made up below a folder."""

import os
from pathlib import Path

import pytest

from polystep import machine
from polystep.machine import TooLarge, available_cores, available_memory, require_memory


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


@pytest.fixture(autouse=True)
def eight_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)


SECOND = {"proc/self/cgroup": "0::/slice/job\n"}
FIRST = {"proc/self/cgroup": "5:cpu,cpuacct:/docker/abc\n4:memory:/docker/abc\n"}
QUOTAS = [
    ({}, 8),
    (SECOND | {"sys/fs/cgroup/slice/job/cpu.max": "max 100000\n"}, 8),
    (SECOND | {"sys/fs/cgroup/slice/job/cpu.max": "150000 100000\n"}, 2),
    (SECOND | {"sys/fs/cgroup/slice/cpu.max": "100000 100000\n"}, 1),
    (SECOND | {"sys/fs/cgroup/cpu.max": "30000 100000\n"}, 1),
    (SECOND | {"sys/fs/cgroup/cpu.max": "9900000 100000\n"}, 8),
    (FIRST | {"sys/fs/cgroup/cpu/cpu.cfs_quota_us": "300000\n", "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n"}, 3),
    (FIRST | {"sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n", "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n"}, 8),
]


@pytest.mark.parametrize(("files", "cores"), QUOTAS)
def test_a_quota_of_a_container_bounds_the_cores(tmp_path: Path, files: dict[str, str], cores: int) -> None:
    assert available_cores(write(tmp_path, files)) == cores


def test_systems_that_do_not_tell_a_process_its_cores_have_them_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 5)
    assert available_cores(tmp_path) == 5


FREE = {"proc/meminfo": "MemTotal: 9 kB\nMemAvailable:    8000 kB\n"}
LIMITS = [
    (FREE, 8_192_000),
    (FREE | SECOND | {"sys/fs/cgroup/slice/job/memory.max": "max\n"}, 8_192_000),
    (
        FREE
        | SECOND
        | {
            "sys/fs/cgroup/slice/memory.max": "3000000\n",
            "sys/fs/cgroup/slice/memory.current": "2500000\n",
            "sys/fs/cgroup/slice/memory.stat": "anon 5\ninactive_file 400000\n",
        },
        900_000,
    ),
    (
        FREE
        | FIRST
        | {
            "sys/fs/cgroup/memory/docker/abc/memory.limit_in_bytes": "1000\n",
            "sys/fs/cgroup/memory/docker/abc/memory.usage_in_bytes": "1200\n",
        },
        0,
    ),
]


@pytest.mark.parametrize(("files", "memory"), LIMITS)
def test_a_limit_of_a_container_bounds_the_memory(tmp_path: Path, files: dict[str, str], memory: int) -> None:
    assert available_memory(write(tmp_path, files)) == memory


def test_systems_that_do_not_say_what_is_free_have_all_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert available_memory(tmp_path) == os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    monkeypatch.delattr(os, "sysconf")
    assert available_memory(tmp_path) == 4 << 30


def test_what_does_not_fit_is_refused_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "available_memory", lambda: 10**9)
    require_memory(10**9, "it", "make it smaller")
    with pytest.raises(TooLarge, match=r"it needs about 2 GB of memory, but 1 GB are available; make it smaller"):
        require_memory(2 * 10**9, "it", "make it smaller")
