"""What the contracts themselves refuse."""

import math

import pytest

from polystep.contracts import Metric


@pytest.mark.parametrize("direction", ["maximise", "smallest", "", None])
def test_a_metric_has_one_of_two_directions(direction: object) -> None:
    with pytest.raises(ValueError, match=f"must be 'maximize' or 'minimize', got {direction!r}"):
        Metric("accuracy", direction, "fraction")  # type: ignore[arg-type]


def test_what_is_better_follows_the_direction() -> None:
    more, less = Metric("reward", "maximize", ""), Metric("loss", "minimize", "")
    assert more.better(2, 1) and not more.better(1, 2) and less.better(1, 2) and not less.better(2, 1)
    for metric in (more, less):
        assert metric.better(0, metric.worst) and not metric.better(1, 1)
        assert not metric.better(math.nan, 0) and not metric.better(0, math.nan)
