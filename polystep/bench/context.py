"""Where a run is computed: code, versions, processor, threads, load."""

import importlib.metadata
import os
import platform
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import torch

from polystep.bench.sources import PACKAGES, hash_of, suite_hash


def describe_context(device: str, **components: Sequence[Path]) -> dict[str, Any]:
    """What explains differences in speed or in the last digits between two runs, and with which code they were made.

    packages: versions of all that is imported by now. modified, untracked: files of the repository; None outside of one.
    sources: hashes of the suite's own files, and of those of each of the `components`, by its name.
    """
    found = distributions()
    packages = {name for module in tuple(sys.modules) for name in found.get(module, ())}
    return {
        **_repository(),
        "sources": {"suite": suite_hash()} | {name: hash_of(files) for name, files in components.items()},
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in sorted(packages)},
        "platform": platform.platform(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "device": torch.cuda.get_device_name(device) if device.startswith("cuda") else "cpu",
    }


CODE = ("commit", "sources", "modified", "untracked")
"""What a context says of the code."""


def code_of_both(earlier: Mapping[str, Any], later: Mapping[str, Any]) -> dict[str, Any]:
    """The code of a run that two processes made: files that differed from the commit in either of them, and neither commit
    nor sources where the sources are two. Commits with the same sources are as good as one.
    """
    files = {
        name: None if None in (earlier[name], later[name]) else sorted({*earlier[name], *later[name]})
        for name in ("modified", "untracked")
    }
    same = earlier.get("sources") == later["sources"]
    commit = later["commit"] if same and earlier["commit"] else None
    return {"commit": commit, "sources": later["sources"] if same else None, **files}


def uncommitted_sources(context: Mapping[str, Any]) -> list[str]:
    """The Python files that decide numbers and that no commit holds as they were."""
    files = [*(context["modified"] or ()), *(context["untracked"] or ())]
    return [file for file in files if file.endswith(".py") and file.partition("/")[0] in PACKAGES]


distributions = cache(importlib.metadata.packages_distributions)
"""The installed packages by module: reading them takes a third of a second, and they stay while a process works."""
_version = cache(importlib.metadata.version)


def machine_load() -> float | None:
    """Processes that wanted to run in the last minute, on average; None where the system does not say."""
    try:
        return os.getloadavg()[0]
    except (OSError, AttributeError):
        return None


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def _repository() -> dict[str, Any]:
    """Commit of the code, and which files differ from it."""
    folder = Path(__file__).parent
    top = _git(folder, "rev-parse", "--show-toplevel")
    commit = _git(folder, "rev-parse", "HEAD")
    if top is None or commit is None:
        return {"commit": None, "modified": None, "untracked": None}
    modified = _git(Path(top), "diff", "--name-only", "HEAD")
    untracked = _git(Path(top), "ls-files", "--others", "--exclude-standard")
    if modified is None or untracked is None:
        # half an answer could pass for a clean one
        return {"commit": commit, "modified": None, "untracked": None}
    return {"commit": commit, "modified": modified.splitlines(), "untracked": untracked.splitlines()}


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, text=True, timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
