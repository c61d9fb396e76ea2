"""Exponents of times: known ones are found, told with the target, and a small network is measured."""

from typing import Any

import pytest

from polystep.contracts import ExpectedError
from scripts.theory.step_seconds import StepSeconds

SMALL: dict[str, Any] = {
    "widths": {"snn_digits": [3, 6, 12]}, "batch_size": 16, "repetitions": 2, "piece_seconds": 0.0, "target": 1.1,
    "published": [[10, 1.0], [1000, 10.0]], "draws": 20, "data_dir": "data", "seed": 0,
}  # fmt: skip


def rows(exponent: float) -> list[dict[str, Any]]:
    return [
        {
            "task": "snn_digits",
            "width": width,
            "parameters": 100 * width,
            "candidates": 10 * width,
            # an outlier that medians do not see
            "seconds": [2e-3 * width**exponent * noise for noise in (0.99, 1, 1.01, 50)],
        }
        for width in SMALL["widths"]["snn_digits"]
    ]


@pytest.mark.parametrize(
    ("exponent", "width", "told"),
    [(1.0, 0.0, ", at most 1.1"), (1.5, 0.0, ", above 1.1"), (1.1, 0.1, ", not surely at most 1.1")],
)
def test_exponents(exponent: float, width: float, told: str) -> None:
    study = StepSeconds(**SMALL)
    measured = rows(exponent)
    fit = study.fit("snn_digits", measured)
    assert fit["exponent"] == pytest.approx(exponent, abs=0.02)
    section = study.section(
        {"step_seconds": measured, "exponents": [fit | {"low": exponent - width, "high": exponent + width}]}
    )
    shown = section.tables[0].rows
    assert shown[0]["local"] is None and shown[1]["local"] == pytest.approx(exponent)
    assert shown[2]["microseconds"] == pytest.approx(1e6 * shown[2]["seconds"] / 120)
    assert told in section.answer[0]
    assert "exponent of 0.50" in section.answer[2]


@pytest.mark.slow
def test_a_network_is_measured() -> None:
    (row,) = StepSeconds(**(SMALL | {"widths": {"snn_digits": [128]}})).measure("snn_digits")
    assert len(row["seconds"]) == 2 and min(row["seconds"]) > 0
    # 16 directions, both ways, for every unit
    assert row["candidates"] == 32 * (128 + 10)
    assert row["parameters"] == 64 * 128 + 128 + 10 * 128 + 10


def test_an_exponent_needs_three_widths() -> None:
    with pytest.raises(ExpectedError, match="at least three widths"):
        StepSeconds(**(SMALL | {"widths": {"snn_digits": [3, 3, 6]}})).run()
