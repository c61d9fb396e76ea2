"""Profiles and the configurations that they are made of."""

import re
from itertools import chain
from pathlib import Path

import pytest

from polystep.bench import launch
from polystep.bench.launch import build_run
from polystep.bench.profiles import read_profile
from polystep.bench.schema import ConfigError
from polystep.bench.studies import choice_files
from tests.composition import COMPOSER, CONFIGS

BUILT: set[tuple[str, ...]] = set()
"""Overrides of runs that one of the profiles has had built, without numbers."""


def write_profile(folder: Path, text: str) -> Path:
    (folder / "profile").mkdir()
    (folder / "profile" / "mine.yaml").write_text(text)
    return folder


def test_a_profile_is_a_product_seed_by_seed(tmp_path: Path) -> None:
    text = """
seeds: [1, 2]
runs:
  - {task: [a, b], optimizer: o, overrides: {x: [1, true]}}
  - {study: s, task: a, optimizer: [p, q], without_data: d}
"""
    runs = read_profile(write_profile(tmp_path, text), "mine")
    assert [run.title for run in runs[:6]] == [
        "study=default task=a optimizer=o x=1 seed=1",
        "study=default task=a optimizer=o x=true seed=1",
        "study=default task=b optimizer=o x=1 seed=1",
        "study=default task=b optimizer=o x=true seed=1",
        "study=s task=a optimizer=p seed=1",
        "study=s task=a optimizer=q seed=1",
    ]
    assert [run.title.replace("seed=2", "seed=1") for run in runs[6:]] == [run.title for run in runs[:6]]
    assert runs[0].without_data is None
    assert runs[4].without_data == ("study=s", "task=d", "optimizer=p", "seed=1")


def test_without_seeds_runs_have_that_of_their_study(tmp_path: Path) -> None:
    text = "runs: [{task: a, optimizer: o, overrides: {seed: 3}}, {task: a, optimizer: o}]"
    titles = [run.title for run in read_profile(write_profile(tmp_path, text), "mine")]
    assert titles == ["study=default task=a optimizer=o seed=3", "study=default task=a optimizer=o"]


@pytest.mark.parametrize("name", ["unknown", "../profile/quick", ""])
def test_unknown_profiles_are_answered_with_the_valid_ones(name: str) -> None:
    names = ", ".join(choice_files([CONFIGS], "profile"))
    with pytest.raises(ConfigError, match=f"profile {name} does not exist; choose one of {names}"):
        read_profile(CONFIGS, name)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "lacks runs"),
        ("runs: [", "expected the node content"),
        ("- a list", "must be settings"),
        ("runs: null", "runs=None is not valid"),
        ("seeds: [1]", "lacks runs"),
        ("seeds: 1\nruns: []", "seeds=1 is not valid"),
        ("runs: [{optimizer: o}]", "runs.0 lacks task"),
        ("runs: [{task: a}]", "runs.0 lacks optimizer"),
        ("runs: [{task: a, optimizer: o, minutes: 3}]", "unknown setting runs.0.minutes"),
        ("runs: [{task: {b: 1}, optimizer: o}]", "runs.0.task"),
        ("runs: [a=1]", "runs.0 must be settings"),
    ],
)
def test_malformed_profiles_are_named_with_the_fault(tmp_path: Path, text: str, fault: str) -> None:
    with pytest.raises(ConfigError, match=rf"mine\.yaml is not a profile: .*{fault}"):
        read_profile(write_profile(tmp_path, text), "mine")


def test_two_profiles_of_one_name_are_refused(tmp_path: Path) -> None:
    (tmp_path / "profile").mkdir()
    (tmp_path / "profile" / "quick.yaml").write_text("runs: [{task: snn}]\n")
    with pytest.raises(ConfigError, match=r"quick\.yaml have one name, so the second would be ignored; rename it"):
        read_profile(CONFIGS, "quick", tmp_path)


@pytest.mark.parametrize("name", choice_files([CONFIGS], "profile"))
def test_every_run_of_every_profile_can_be_built(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch, "use_threads", lambda threads: None)
    planned = read_profile(CONFIGS, name)
    assert planned
    for overrides in filter(None, chain.from_iterable((run.overrides, run.without_data) for run in planned)):
        # seeds differ in nothing else, and of settings that differ in a number one stands for all
        kind = tuple(re.sub(r"(seed|\..*)=[\d.e-]+$", r"\1", item) for item in overrides)
        if kind not in BUILT:
            chosen = dict(item.split("=", 1) for item in overrides)
            names = build_run(*COMPOSER.compose(overrides)).config["names"]
            assert names == names | {group: chosen[group] for group in names if group in chosen}
            BUILT.add(kind)


@pytest.mark.parametrize("path", sorted(CONFIGS.rglob("*.yaml")), ids=lambda path: str(path.relative_to(CONFIGS)))
def test_every_configuration_opens_with_a_comment(path: Path) -> None:
    assert path.read_text(encoding="utf-8").startswith("# ")
