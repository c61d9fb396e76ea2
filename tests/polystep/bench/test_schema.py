"""Signatures are the schema of settings."""

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Protocol, TypeVar

import pytest

from polystep.bench.schema import ConfigError, check_node, check_settings, describe, fits, locate


class Part:
    def __init__(self, size: int = 1):
        self.size = size

    @classmethod
    def wide(cls, size: int) -> "Part":
        return cls(size)


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
        (
            {"_target_": "builtins.dict"},
            "builtins.dict does not tell its settings; name a class or function written in",
        ),
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


class Proto(Protocol):
    def __call__(self, used: float) -> float: ...


@pytest.mark.parametrize(
    ("hint", "accepted", "refused"),
    [
        (int, [3], [[3], {"start": 1}, None, "3"]),
        (float | Proto, [0.5, {"_target_": f"{HERE}.Part"}], [[0.5], {"start": 1.0}, None, "x"]),
        (str, ["x"], [["x"], {"x": 1}, None, 3]),
        (bool, [True], [[True], {}, None, 1]),
        (Literal["a", 1], ["a", 1], [["a"], {}, None, True]),
        (Sequence[int], [[], [1, 2]], [3, ["a"], {"a": 1}, "ab"]),
        (tuple[float, float], [[0.5, 1]], [0.5, {}]),
        (tuple[Part, ...] | None, [None, [PART]], [[3], 3, "x"]),
        (Mapping[str, Any], [{}, {"a": [1]}], [[], 3, "x"]),
        (dict | None, [None, {"a": 1}], [3, []]),
        (Path | None, ["x.log", None], [3, ["x.log"], {}]),
        (os.PathLike, ["x.log"], [3]),
        (Annotated[int, "positive"], [3], ["x"]),
        (Proto, [PART], [3, "x", [], {}]),
        (object, [3, "x", [1], {"a": 1}], []),
        (TypeVar("T"), [3, [1]], []),
    ],
)
def test_lists_and_settings_stand_only_where_they_belong(hint: Any, accepted: list[Any], refused: list[Any]) -> None:
    assert [value for value in accepted if not fits(value, hint)] == []
    assert [value for value in refused if fits(value, hint)] == []


def only_for_a_type_checker(size: "Tensor", count: "int", name: str) -> None:  # type: ignore[name-defined] # noqa: F821
    pass


def test_hints_that_cannot_be_resolved_check_nothing() -> None:
    assert check_settings(only_for_a_type_checker, {"size": [1], "count": 2, "name": "x"}) == []
    with pytest.raises(ConfigError, match=r"count='x' is not valid; expected a whole number"):
        check_settings(only_for_a_type_checker, {"count": "x"})


def test_a_method_of_a_class_and_open_arguments_are_targets() -> None:
    check_node({"_target_": f"{HERE}.Part.wide", "size": 3}, "top")
    with pytest.raises(ConfigError, match=r"unknown setting top.sizes \(did you mean size\?\)"):
        check_node({"_target_": f"{HERE}.Part.wide", "sizes": 3}, "top")
    check_node({"_target_": f"{HERE}.open_ended", "anything": [1]}, "top")


@pytest.mark.parametrize(
    ("name", "text", "fault"),
    [
        ("own_a", "def build(:", r"cannot be imported: SyntaxError in .*own_a\.py, line 1: invalid syntax"),
        ("own_b", "1 / 0", r"cannot be imported: ZeroDivisionError in .*own_b\.py, line 1: division by zero"),
        ("own_c", "import nothing_like_it", r"cannot be imported \(No module named 'nothing_like_it'\)"),
        ("nothing_like_it_too", "import nothing_like_it", r"cannot be imported \(No module named 'nothing_like_it'\)"),
        ("own_d", "from math import sinn", r"cannot be imported \(cannot import name 'sinn' from 'math'"),
    ],
)
def test_modules_that_fail_while_they_are_imported_are_told_with_the_cause(
    name: str, text: str, fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ConfigError, match=rf"optimizer\._target_={name}\.build {fault}"):
        locate(f"{name}.build", "optimizer")
