"""The table of speed on convolutions: every path gives the same losses."""

import pytest

from scripts import convolution_speed


@pytest.mark.slow
def test_the_table_of_speed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(convolution_speed, "SLOW", 4)
    table = convolution_speed.convolution_speed_table(["lenet"], batch_size=4, repeats=1)
    kinds = ["all layers", "convolution 1", "convolution 2"]
    paths = ["functional", "incremental", "fused"]
    assert [(row["rows"], row["path"]) for row in table.rows] == [(kind, path) for kind in kinds for path in paths]
    assert all(row["rate"] > 0 for row in table.rows)
    assert all(row["difference"] < 1e-5 for row in table.rows)
