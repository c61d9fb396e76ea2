"""Settings of one method are told apart by what differs."""

import copy
from typing import Any

import pytest

from polystep.bench.groups import group_runs
from polystep.bench.labels import setting_labels, settings_identity

CONFIG: dict[str, Any] = {
    "seed": 1,
    "optimizer": {
        "_target_": "polystep.PolyStep",
        "temperature": 0.5,
        "subspace": {"_target_": "polystep.subspace.Hybrid", "rank": 4},
        "update": {"rate": {"steps": 7000}},
    },
    "budget": {"steps": 7000, "seconds": None},
    "device": "cpu",
}


def changed(**values: Any) -> dict[str, Any]:
    """The configuration with values at paths, dots written as two underscores; None leaves the key out."""
    config = copy.deepcopy(CONFIG)
    for path, value in values.items():
        *folders, last = path.split("__")
        node = config
        for folder in folders:
            node = node[folder]
        node[last] = value
    return config


@pytest.fixture
def labels(add_run):
    def of(*configs: dict[str, Any], **changes: Any) -> list[str]:
        return setting_labels([add_run(seed=i, config=config, **changes) for i, config in enumerate(configs)])

    return of


def test_two_settings_name_what_differs(labels) -> None:
    assert labels(CONFIG, changed(optimizer__temperature=0.1)) == ["temperature=0.5", "temperature=0.1"]
    assert labels(CONFIG, changed(budget__seconds=60)) == ["", "budget.seconds=60"]


def test_a_key_that_repeats_another_one_is_left_out(labels) -> None:
    shorter = changed(budget__steps=1500, optimizer__update__rate__steps=1500)
    assert labels(CONFIG, shorter) == ["budget.steps=7000", "budget.steps=1500"]


def test_of_many_settings_the_usual_values_go_without_saying(labels) -> None:
    variants = [changed(optimizer__temperature=0.1), changed(budget__steps=1500), changed(optimizer__biased=True)]
    assert labels(CONFIG, *variants) == ["", "temperature=0.1", "budget.steps=1500", "biased=true"]


def test_another_component_goes_by_its_class_and_hides_its_details(labels) -> None:
    other = changed(optimizer__subspace={"_target_": "polystep.subspace.Row", "redraw": 20})
    assert labels(CONFIG, other) == ["subspace=Hybrid", "subspace=Row"]
    # but not where the details tell apart
    wider = changed(optimizer__subspace__rank=8)
    assert labels(CONFIG, wider, other) == ["subspace.rank=4", "subspace.rank=8", "subspace=Row"]


def test_the_hash_stands_for_what_is_too_long_or_not_visible(labels, add_run) -> None:
    lengthy = changed(**{f"optimizer__setting_number_{i}": i for i in range(5)})
    runs = [add_run(seed=1, config=CONFIG), add_run(seed=2, config=lengthy)]
    assert setting_labels(runs) == ["", settings_identity(runs[1])[:6]]
    # truth and its name are written alike
    alike = labels(changed(optimizer__new=True), changed(optimizer__new="true"))
    assert len(set(alike)) == 2 and all(len(label) == 6 for label in alike)


def test_seeds_and_devices_tell_nothing_apart(labels) -> None:
    assert labels(CONFIG, changed(seed=5, device="cuda", optimizer__temperature=1.0)) == [
        "temperature=0.5",
        "temperature=1.0",
    ]


def test_other_data_are_named(add_run) -> None:
    runs = [add_run(seed=1, config=CONFIG), add_run(seed=2, config=CONFIG, data_fingerprint="0123456789")]
    assert setting_labels(runs) == ["data=data", "data=012345"]


def test_groups_carry_the_labels(add_run) -> None:
    runs = [add_run(seed=1, config=CONFIG), add_run(seed=2, config=changed(budget__steps=1500)), add_run("spsa")]
    assert [group.method for group in group_runs(runs)] == [
        "polystep (budget.steps=1500)",
        "polystep (budget.steps=7000)",
        "spsa",
    ]
