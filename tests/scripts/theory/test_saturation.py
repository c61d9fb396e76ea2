"""Rows of the softmax: what is counted, and which regime it means."""

import pytest
import torch

from polystep.contracts import ExpectedError
from scripts.theory.saturation import REGIMES, Saturation, regime, row_statistics


def test_ranges_and_weights() -> None:
    costs = torch.tensor([[0.0, 0.0, 0.0, 0.0], [0.0, 100.0, 100.0, 100.0]])
    found = row_statistics(costs, 0.5)
    assert found["flat"] == 0.5 and found["saturated"] == 0.5
    assert found["median_range"] == pytest.approx(100.0)
    # one row uses all vertices, the other a quarter of them
    assert found["effective"] == pytest.approx((1 + 0.25) / 2)


@pytest.mark.parametrize(("scale", "expected"), [(0.01, REGIMES[0]), (1.5, REGIMES[1]), (50.0, REGIMES[2])])
def test_regimes(scale: float, expected: str) -> None:
    costs = scale * torch.rand(100, 16, generator=torch.Generator().manual_seed(0))
    assert regime(row_statistics(costs, 1.0)) == expected


def test_rows_along_a_training() -> None:
    study = Saturation(tasks=["snn_digits"], studies=["default"], steps=[0, 2], data_dir="data", seed=0)
    found = study.run()
    assert [(row["point"], row["settings"]) for row in found["saturation"]] == [
        (0, "first step"),
        (0, "last step"),
        (2, "first step"),
        (2, "last step"),
    ]
    assert all(row["rows"] > 10 and row["median_range"] > 0 for row in found["saturation"])
    assert len(study.section(found).tables[0].rows) == 4


def test_points_need_steps() -> None:
    with pytest.raises(ExpectedError, match="steps of at least 0"):
        Saturation(tasks=["snn_digits"], studies=["default"], steps=[-1], data_dir="data", seed=0).run()
