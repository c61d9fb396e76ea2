"""Where a run was computed."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import torch

from polystep.bench import environment
from polystep.bench.environment import PACKAGES, describe_environment


def test_facts_are_complete_and_can_be_written_as_json() -> None:
    facts = describe_environment("cpu")
    assert set(facts) == {
        *("python", "packages", "platform", "processor", "cores", "threads", "device", "git_commit", "git_dirty"),
    }
    assert facts["device"] == "cpu" and facts["threads"] == torch.get_num_threads()
    assert set(facts["packages"]) == set(PACKAGES) and facts["packages"]["torch"] == torch.__version__
    assert facts["processor"] and json.dumps(facts)


def git(folder: Path, *arguments: str) -> None:
    identity = ("-c", "user.name=name", "-c", "user.email=name@example.org")
    subprocess.run(["git", "-C", str(folder), *identity, *arguments], check=True, capture_output=True)


def test_a_changed_repository_is_dirty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "__file__", str(tmp_path / "module.py"))
    git(tmp_path, "init")
    (tmp_path / "module.py").write_text("1")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-m", "first")
    facts = describe_environment("cpu")
    assert len(facts["git_commit"]) == 40 and facts["git_dirty"] is False
    (tmp_path / "untracked").write_text("records do not count")
    assert describe_environment("cpu")["git_dirty"] is False
    (tmp_path / "module.py").write_text("2")
    assert describe_environment("cpu")["git_dirty"] is True


def fail(*arguments: Any, **settings: Any) -> Any:
    raise subprocess.TimeoutExpired("git", 10)


@pytest.mark.parametrize("reason", ["no repository", "no git", "git hangs"])
def test_without_a_repository_the_commit_is_unknown(
    tmp_path: Path, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(environment, "__file__", str(tmp_path / "module.py"))
    if reason == "no git":
        monkeypatch.setenv("PATH", str(tmp_path))
    elif reason == "git hangs":
        monkeypatch.setattr(subprocess, "run", fail)
    facts = describe_environment("cpu")
    assert facts["git_commit"] is None and facts["git_dirty"] is None


def test_a_processor_is_named_where_proc_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "Path", lambda name: tmp_path / "missing" if "proc" in str(name) else Path(name))
    monkeypatch.setattr("platform.processor", lambda: "some processor")
    assert describe_environment("cpu")["processor"] == "some processor"
