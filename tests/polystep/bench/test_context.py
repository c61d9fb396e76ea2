"""Where a run was computed."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import torch

from polystep.bench import context
from polystep.bench.context import describe_context, machine_load


def test_facts_are_complete_and_can_be_written_as_json() -> None:
    facts = describe_context("cpu")
    assert set(facts) == {
        *("python", "packages", "platform", "processor", "cores", "threads", "device"),
        *("commit", "modified", "untracked", "sources"),
    }
    assert facts["device"] == "cpu" and facts["threads"] == torch.get_num_threads()
    assert facts["packages"]["torch"] == torch.__version__ and "pytest" in facts["packages"]
    assert machine_load() >= 0
    assert facts["processor"] and json.dumps(facts)


def git(folder: Path, *arguments: str) -> None:
    identity = ("-c", "user.name=name", "-c", "user.email=name@example.org")
    subprocess.run(["git", "-C", str(folder), *identity, *arguments], check=True, capture_output=True)


def test_files_that_differ_from_the_commit_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(context, "__file__", str(tmp_path / "module.py"))
    git(tmp_path, "init")
    (tmp_path / "module.py").write_text("1")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-m", "first")
    facts = describe_context("cpu")
    assert len(facts["commit"]) == 40 and facts["modified"] == facts["untracked"] == []
    (tmp_path / "untracked.py").write_text("may be imported")
    (tmp_path / "module.py").write_text("2")
    facts = describe_context("cpu")
    assert facts["modified"] == ["module.py"] and facts["untracked"] == ["untracked.py"]


def fail(*arguments: Any, **settings: Any) -> Any:
    raise subprocess.TimeoutExpired("git", 10)


@pytest.mark.parametrize("question", ["diff", "ls-files"])
def test_half_an_answer_of_git_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, question: str) -> None:
    ask = context._git
    monkeypatch.setattr(context, "_git", lambda *asked: None if question in asked else ask(*asked))
    facts = describe_context("cpu")
    assert facts["commit"] is not None and facts["modified"] is facts["untracked"] is None


@pytest.mark.parametrize("reason", ["no repository", "no git", "git hangs"])
def test_without_a_repository_the_commit_is_unknown(
    tmp_path: Path, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(context, "__file__", str(tmp_path / "module.py"))
    if reason == "no git":
        monkeypatch.setenv("PATH", str(tmp_path))
    elif reason == "git hangs":
        monkeypatch.setattr(subprocess, "run", fail)
    facts = describe_context("cpu")
    assert facts["commit"] is facts["modified"] is facts["untracked"] is None


def test_a_processor_is_named_where_proc_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(context, "Path", lambda name: tmp_path / "missing" if "proc" in str(name) else Path(name))
    monkeypatch.setattr("platform.processor", lambda: "some processor")
    assert describe_context("cpu")["processor"] == "some processor"
