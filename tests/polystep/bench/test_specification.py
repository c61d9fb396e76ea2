import sys
import types
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from polystep.bench.schema import ConfigError
from polystep.bench.specification import specification
from polystep.component import component
from polystep.records import settings_id


@component("task", version=1, inert=("data_dir",))
class SomeTask:
    def __init__(self, data_dir: str, seed: int, size: float = 300, threads: int = 1) -> None: ...


@component("inner", version=3)
@dataclass(frozen=True)
class Inner:
    rate: float = 0.5


@component("method", version=2)
class Method:
    def __init__(
        self, layout: Any, point: Any, seed: int, inner: Any = Inner, other: Inner = Inner(0.25), rates: Any = (1, 2.0)
    ) -> None: ...


class ThirdParty:
    version = "1.4"

    def __init__(self, sigma: float = 0.1) -> None: ...


HERE = __name__


def config(**changes: Any) -> dict[str, Any]:
    """A composed configuration, with changes by dotted path written with two underscores."""
    found: dict[str, Any] = {
        "task": {"_target_": f"{HERE}.SomeTask", "data_dir": "data", "seed": 42},
        "optimizer": {"_target_": f"{HERE}.Method", "seed": 42},
        "budget": {"_target_": "polystep.bench.ledger.Budget", "steps": 100, "seconds": None},
        "evaluation": {"_target_": "polystep.bench.evaluation.Evaluation", "validate_every": 20},
        "study": {"name": "default", "edition": None, "protocol": "default"},
        "seed": 42,
        "threads": 2,
    }
    for path, value in changes.items():
        place, _, key = path.rpartition("__")
        (found[place] if place else found)[key] = value
    return found


def test_every_parameter_is_there_by_stable_names() -> None:
    assert specification(config()) == {
        "task": {"component": "task", "version": 1, "seed": "run", "size": 300, "threads": 1},
        "optimizer": {
            "component": "method",
            "version": 2,
            "seed": "run",
            "inner": {"component": "inner", "version": 3, "rate": 0.5},
            "other": {"component": "inner", "version": 3, "rate": 0.25},
            "rates": [1, 2],
        },
        "budget": {"steps": 100},
        "evaluation": {"validate_every": 20},
        "protocol": "default",
        "edition": None,
        "seed": 42,
    }


SAME: dict[str, dict[str, Any]] = {
    "a default that is written out": {"task__size": 300},
    "a number in another form": {"task__size": 300.0},
    "another folder of data": {"task__data_dir": "elsewhere"},
    "threads and device": {"threads": 8, "device": "cuda"},
    "a component that is written out": {"optimizer__inner": {"_target_": f"{HERE}.Inner", "_partial_": True}},
}
DIFFERENT: dict[str, dict[str, Any]] = {
    "a parameter": {"task__size": 301},
    "a parameter called like a setting of the harness": {"task__threads": 2},
    "a parameter inside": {"optimizer__inner": {"_target_": f"{HERE}.Inner", "rate": 0.1}},
    "a seed of its own": {"task__seed": 7},
    "the protocol": {"study__protocol": "tuning"},
    "the edition": {"study__edition": "first"},
    "the budget": {"budget__seconds": 5},
}


@pytest.mark.parametrize("changes", SAME.values(), ids=SAME)
def test_what_changes_no_number_is_the_same_run(changes: dict[str, Any]) -> None:
    assert settings_id(specification(config(**changes))) == settings_id(specification(config()))


@component("grown", version=1, added=("young",))
class Grown:
    def __init__(self, old: float = 1.0, young: float = 0.5) -> None: ...


def test_a_parameter_that_is_younger_than_the_version_shows_where_it_is_set() -> None:
    """So that records from before it stay the same runs."""
    target = {"_target_": f"{HERE}.Grown"}
    without = {"component": "grown", "version": 1, "old": 1}
    for node in (target, target | {"young": 0.5}):
        assert specification(config(optimizer=node))["optimizer"] == without
    changed = specification(config(optimizer=target | {"young": 0.25}))["optimizer"]
    assert changed == without | {"young": 0.25}


@pytest.mark.parametrize("changes", DIFFERENT.values(), ids=DIFFERENT)
def test_what_changes_numbers_is_another_run(changes: dict[str, Any]) -> None:
    assert settings_id(specification(config(**changes))) != settings_id(specification(config()))


@pytest.fixture
def define(monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Defines a component in a module of a new name; returns its dotted path."""

    def define(module_name: str, class_name: str, version: int = 1, default: float = 1.0) -> str:
        module = types.ModuleType(module_name)

        def build(size: float = default) -> None: ...

        build.__module__, build.__qualname__ = module_name, class_name
        setattr(module, class_name, component("stable", version=version)(build))
        monkeypatch.setitem(sys.modules, module_name, module)
        return f"{module_name}.{class_name}"

    return define


def identity(target: str) -> str:
    return settings_id(specification(config(task={"_target_": target})))


def test_moving_and_renaming_keep_a_run(define: Callable[..., str]) -> None:
    assert identity(define("before", "Old")) == identity(define("after", "New"))


def test_a_version_and_a_default_tell_runs_apart(define: Callable[..., str]) -> None:
    usual = identity(define("module", "Class"))
    assert identity(define("module", "Class", version=2)) != usual
    assert identity(define("module", "Class", default=2.0)) != usual


def test_other_peoples_classes_go_by_their_path_and_their_version() -> None:
    node = specification(config(optimizer={"_target_": f"{HERE}.ThirdParty"}))["optimizer"]
    assert node == {"component": f"{HERE}.ThirdParty", "version": "1.4", "sigma": 0.1}


def test_a_changed_signature_without_a_version_is_another_run(monkeypatch: pytest.MonkeyPatch) -> None:
    before = identity(f"{HERE}.ThirdParty")
    monkeypatch.setattr(ThirdParty, "__init__", lambda self, sigma=0.1, mirrored=True: None)
    assert identity(f"{HERE}.ThirdParty") != before


def test_a_default_without_a_stable_form_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ThirdParty, "__init__", lambda self, sigma=object(): None)  # noqa: B008
    with pytest.raises(ConfigError, match=r"task\.sigma is <object .*no stable form"):
        identity(f"{HERE}.ThirdParty")


def test_components_of_this_project_have_names_of_their_own() -> None:
    """Two components of one name would be one in records."""
    root = Path(__file__).parents[3]
    found: dict[str, str] = {}
    for path in sorted(
        file for package in ("polystep", "tasks", "baselines") for file in (root / package).rglob("*.py")
    ):
        for line in path.read_text(encoding="utf-8").split("@component(")[1:]:
            name = line.split('"')[1] if line.lstrip().startswith('"') else ""
            if name:
                assert name not in found, f"{name} is declared in {found.get(name)} and {path}"
                found[name] = str(path)
    assert len(found) > 30
