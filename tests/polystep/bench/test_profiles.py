"""Profiles and the configurations that they are made of."""

from pathlib import Path

import pytest

from polystep.bench import launch
from polystep.bench.composition import compose_config
from polystep.bench.launch import build_run
from polystep.bench.profiles import PlannedRun, profile_names, read_profile
from polystep.bench.schema import ConfigError

CONFIGS = Path(__file__).resolve().parents[3] / "configs"


def write_profile(folder: Path, text: str) -> Path:
    (folder / "profile").mkdir()
    (folder / "profile" / "mine.yaml").write_text(text)
    return folder


def test_runs_go_seed_by_seed(tmp_path: Path) -> None:
    text = (
        "seeds: [1, 2]\nruns:\n- {overrides: [a=1], minutes: 2}\n- {overrides: [], minutes: 0.5, without_data: [b=2]}\n"
    )
    assert read_profile(write_profile(tmp_path, text), "mine") == [
        PlannedRun(("a=1", "seed=1"), 2.0),
        PlannedRun(("seed=1",), 0.5, ("b=2", "seed=1")),
        PlannedRun(("a=1", "seed=2"), 2.0),
        PlannedRun(("seed=2",), 0.5, ("b=2", "seed=2")),
    ]
    assert read_profile(tmp_path, "mine")[0].title == "a=1 seed=1"


def test_without_seeds_runs_are_as_written(tmp_path: Path) -> None:
    text = "runs: [{overrides: [a=1, seed=3], minutes: 1}]"
    assert read_profile(write_profile(tmp_path, text), "mine") == [PlannedRun(("a=1", "seed=3"), 1.0)]


@pytest.mark.parametrize("name", ["unknown", "../profile/quick", ""])
def test_unknown_profiles_are_answered_with_the_valid_ones(name: str) -> None:
    names = ", ".join(profile_names(CONFIGS))
    with pytest.raises(ConfigError, match=f"profile {name} does not exist; choose one of {names}"):
        read_profile(CONFIGS, name)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "runs: [",
        "- a list",
        "runs: null",
        "seeds: [1]",
        "seeds: 1\nruns: []",
        "runs: [{minutes: 1}]",
        "runs: [{overrides: [a=1]}]",
        "runs: [{overrides: [a=1], minutes: long}]",
        "runs: [{overrides: a=1, minutes: 1}]",
        "runs: [{overrides: [{a: 1}], minutes: 1}]",
        "runs: [{overrides: [a=1], minutes: 1, without_data: a=1}]",
        "runs: [a=1]",
    ],
)
def test_malformed_profiles_are_named(tmp_path: Path, text: str) -> None:
    with pytest.raises(
        ConfigError, match=r"mine\.yaml is not a profile .*it needs runs, each with overrides and minutes"
    ):
        read_profile(write_profile(tmp_path, text), "mine")


@pytest.mark.parametrize("name", profile_names(CONFIGS))
def test_every_run_of_every_profile_can_be_built(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch, "use_threads", lambda threads: None)
    planned = read_profile(CONFIGS, name)
    assert planned and all(run.minutes > 0 for run in planned)
    # seeds differ in nothing else
    distinct = {tuple(item for item in run.overrides if not item.startswith("seed=")): run for run in planned}
    for run in distinct.values():
        for overrides in filter(None, (run.overrides, run.without_data)):
            assert build_run(*compose_config(CONFIGS, overrides)).config["seed"] >= 0


@pytest.mark.parametrize("path", sorted(CONFIGS.rglob("*.yaml")), ids=lambda path: str(path.relative_to(CONFIGS)))
def test_every_configuration_opens_with_a_comment(path: Path) -> None:
    assert path.read_text(encoding="utf-8").startswith("# ")
