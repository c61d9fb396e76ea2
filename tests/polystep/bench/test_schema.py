"""Signatures are the schema of settings."""

from collections.abc import Callable
from typing import Any, Literal

import pytest

from polystep.bench.schema import ConfigError, check_node, describe, fits


class Part:
    def __init__(self, size: int = 1):
        self.size = size


class Whole:
    def __init__(
        self,
        rate: float,
        count: int,
        kind: Literal["a", "b"] = "a",
        name: str = "",
        on: bool = True,
        limit: int | None = None,
        part: Part | None = None,
        factory: Callable[..., Part] = Part,
        anything: Any = None,
        parts: tuple[Part, ...] = (),
    ):
        pass


def open_ended(**settings: Any) -> None:
    pass


NOT_CALLABLE = 3
HERE = __name__


def node(**settings: Any) -> dict[str, Any]:
    return {"_target_": f"{HERE}.Whole", "rate": 0.1, "count": 2, **settings}


PART = {"_target_": f"{HERE}.Part", "size": 3}


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    """The targets above can be imported by name, however the tests are collected."""
    import sys
    from types import ModuleType

    module = ModuleType(HERE)
    vars(module).update(Part=Part, Whole=Whole, open_ended=open_ended, NOT_CALLABLE=NOT_CALLABLE)
    monkeypatch.setitem(sys.modules, HERE, module)


@pytest.mark.parametrize(
    "valid",
    [
        node(),
        node(rate=1, kind="b", name="x", on=False, limit=3, anything=[1, "x"]),
        node(limit=None, part=PART, factory=PART | {"_partial_": True}, parts=[PART, PART]),
        node(rate=float("inf")),
        {"_target_": f"{HERE}.Whole", "_partial_": True},
        {"_target_": f"{HERE}.open_ended"},
        {"no": "target"},
        3,
    ],
)
def test_valid_settings_pass(valid: Any) -> None:
    check_node(valid, "top")


@pytest.mark.parametrize(
    ("invalid", "message"),
    [
        (node(rat=1), r"unknown setting top.rat \(did you mean rate\?\); valid settings there: anything, count"),
        (node(xyz=1), "unknown setting top.xyz; valid settings there"),
        (node(rate="0.1"), "top.rate='0.1' is not valid; expected a number"),
        (node(rate=True), "top.rate=True is not valid"),
        (node(rate=float("nan")), "top.rate=nan is not valid; expected a number"),
        (node(rate=None), "top.rate=None is not valid"),
        (node(count=1.0), "top.count=1.0 is not valid; expected a whole number"),
        (node(count=True), "top.count=True is not valid"),
        (node(kind="c"), "top.kind='c' is not valid; expected one of a, b"),
        (node(name=3), "top.name=3 is not valid; expected a text"),
        (node(on="yes"), "top.on='yes' is not valid; expected true or false"),
        (node(limit="x"), "top.limit='x' is not valid; expected a whole number or null"),
        (node(part=3), "top.part=3 is not valid; expected Part or null"),
        (node(part=PART | {"siz": 1}), r"unknown setting top.part.siz \(did you mean size\?\)"),
        (node(parts=[PART, PART | {"size": "x"}]), "top.parts.1.size='x' is not valid"),
        ({"_target_": f"{HERE}.Whole", "rate": 1.0}, f"top lacks count, which {HERE}.Whole needs; .*top.count=VALUE"),
        ({"_target_": f"{HERE}.Missing"}, "cannot be imported .*dotted path of a class or function"),
        ({"_target_": f"{HERE}.NOT_CALLABLE"}, r"cannot be imported \(it is a int\)"),
        ({"_target_": "nowhere.Whole"}, "cannot be imported"),
        ({"_target_": "Whole"}, "cannot be imported"),
        ({"_target_": 5}, "top._target_=5 cannot be imported"),
        ({"_target_": None}, "top._target_=None cannot be imported"),
    ],
)
def test_invalid_settings_are_named_with_the_valid_ones(invalid: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        check_node(invalid, "top")


def test_what_the_harness_passes_is_neither_required_nor_allowed() -> None:
    check_node({"_target_": f"{HERE}.Whole", "rate": 0.1}, "top", supplied=["count"])
    with pytest.raises(ConfigError, match=r"unknown setting top\.count"):
        check_node(node(), "top", supplied=["count"])


def test_types_are_described_in_words() -> None:
    assert describe(Literal["a", "b"] | None) == "one of a, b or null"
    assert describe(float | int | str | bool) == "a number or a whole number or a text or true or false"


def test_a_component_cannot_be_a_plain_value() -> None:
    assert fits("x", Any) and not fits("x", Part) and not fits("x", Callable[..., Part])
