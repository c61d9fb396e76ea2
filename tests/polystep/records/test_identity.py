import math

import pytest

from polystep.records import cell_id, run_id, settings_id
from polystep.records.identity import canonical_number
from tests.polystep.conftest import CONTEXT, SPECIFICATION

SECONDS = SPECIFICATION | {"budget": {"seconds": 60}}


def test_the_order_of_keys_says_nothing() -> None:
    assert settings_id(dict(reversed(SPECIFICATION.items()))) == settings_id(SPECIFICATION)


@pytest.mark.parametrize("change", [{"seed": 7}, {"protocol": "tuning"}, {"budget": {"steps": 99}}])
def test_every_setting_tells_runs_apart(change: dict[str, object]) -> None:
    assert settings_id(SPECIFICATION | change) != settings_id(SPECIFICATION)


def test_runs_of_one_cell_differ_in_their_seed() -> None:
    assert cell_id(SPECIFICATION | {"seed": 7}) == cell_id(SPECIFICATION)
    assert cell_id(SPECIFICATION | {"edition": "first"}) != cell_id(SPECIFICATION)


@pytest.mark.parametrize("name", ["threads", "device", "processor"])
def test_the_machine_identifies_runs_of_some_seconds_alone(name: str) -> None:
    other = CONTEXT | {name: "another"}
    assert run_id(SECONDS, "data", other) != run_id(SECONDS, "data", CONTEXT)
    assert run_id(SPECIFICATION, "data", other) == run_id(SPECIFICATION, "data", CONTEXT)


def test_other_data_are_another_run() -> None:
    assert run_id(SPECIFICATION, "other", CONTEXT) != run_id(SPECIFICATION, "data", CONTEXT)


def test_numbers_are_written_in_one_way() -> None:
    found = [canonical_number(value) for value in (300, 300.0, 0.5, -0.0, math.inf, math.nan)]
    assert found == [300, 300, 0.5, 0, "inf", "nan"] and isinstance(found[1], int)
