"""Equal identities mean equal numbers, and only that."""

import copy
from typing import Any

import pytest

from polystep.bench import identity
from polystep.bench.identity import NOT_IDENTIFYING, run_identity, run_name

CONFIG: dict[str, Any] = {
    "names": {"task": "snn", "optimizer": "polystep", "study": "default"},
    "seed": 42,
    "task": {"_target_": "tasks.Task", "batch_size": 512, "data_dir": "data", "device": "cpu"},
    "optimizer": {"update": {"rates": [0.1, 0.2]}, "relaxation": 1.0},
    "records": "results/records",
    "data_dir": "data",
    "device": "cpu",
    "threads": None,
    "logger": {},
    "checkpoint_seconds": 30,
}


def changed(path: str, value: Any) -> dict[str, Any]:
    config = copy.deepcopy(CONFIG)
    *folders, last = path.split(".")
    node = config
    for folder in folders:
        node = node[folder]
    node[last] = value
    return config


def test_the_same_settings_have_the_same_identity_in_any_order() -> None:
    expected = run_identity(CONFIG, "data")
    assert run_identity(dict(reversed(CONFIG.items())), "data") == expected
    assert len(expected) == 16 and int(expected, 16) >= 0
    assert run_name(CONFIG, expected) == f"snn-polystep-default-seed42-{expected}"


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("seed", 43),
        ("task.batch_size", 256),
        ("task._target_", "tasks.Other"),
        ("optimizer.update.rates", [0.2, 0.1]),
        ("optimizer.relaxation", "inf"),
        ("optimizer.new", 0),
        ("names.study", "paper"),
    ],
)
def test_what_decides_the_numbers_changes_the_identity(path: str, value: Any) -> None:
    assert run_identity(changed(path, value), "data") != run_identity(CONFIG, "data")


def test_data_and_record_version_change_the_identity(monkeypatch: pytest.MonkeyPatch) -> None:
    before = run_identity(CONFIG, "data")
    assert run_identity(CONFIG, "other data") != before
    monkeypatch.setattr(identity, "RECORD_VERSION", 2**20)
    assert run_identity(CONFIG, "data") != before


@pytest.mark.parametrize("path", [*NOT_IDENTIFYING, "task.data_dir", "task.device"])
def test_where_and_how_a_run_is_computed_does_not(path: str) -> None:
    assert run_identity(changed(path, "elsewhere"), "data") == run_identity(CONFIG, "data")


def test_a_setting_that_is_null_does_not() -> None:
    assert run_identity(changed("optimizer.new", None), "data") == run_identity(CONFIG, "data")


def test_the_settings_that_do_not_identify_are_these() -> None:
    assert set(NOT_IDENTIFYING) == {"records", "data_dir", "device", "threads", "logger", "checkpoint_seconds"}
