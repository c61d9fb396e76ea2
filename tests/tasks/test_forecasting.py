"""ForecastingTask on a series that needs no file: windows, scores, the floor, and wrong settings."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from polystep.candidates import DenseCandidates
from tasks.data.errors import UnknownDataset
from tasks.data.series import make_sines
from tasks.forecasting import ForecastingTask
from tasks.networks.long_short_term_memory import LongShortTermMemory

HISTORY, HORIZON = 8, 4
TRAIN, VALIDATION, TEST = (torch.from_numpy(part) for part in make_sines(Path(), print).parts())


def build(**settings: Any) -> ForecastingTask:
    network = partial(LongShortTermMemory, hidden=3)
    defaults = {"network": network, "seed": 0, "history": HISTORY, "horizon": HORIZON, "batch_size": 300}
    return ForecastingTask("a name", series="sines", data_dir="absent folder", **(defaults | settings))


def windows(part: torch.Tensor) -> set[tuple[float, ...]]:
    length = HISTORY + HORIZON
    return {tuple(part[first : first + length].tolist()) for first in range(len(part) - length + 1)}


def test_an_epoch_is_every_window_of_the_training_part_once() -> None:
    task = build()
    assert task.steps_per_epoch == 3
    seen = []
    for size in (300, 300, len(TRAIN) - HISTORY - HORIZON + 1 - 600):
        batch = task.next_objective()
        assert batch.inputs.shape == (size, HISTORY) and batch.targets.shape == (size, HORIZON)
        seen += [tuple(row) for row in torch.cat([batch.inputs, batch.targets], 1).tolist()]
    assert len(seen) == len(set(seen)) and set(seen) == windows(TRAIN)


def test_seed_decides_the_order_alone() -> None:
    first, again, other = (build(seed=seed).next_objective().inputs for seed in (0, 0, 1))
    assert torch.equal(first, again) and not torch.equal(first, other)
    assert build(seed=0).fingerprint == build(seed=1).fingerprint


def test_scores_are_errors_over_all_windows_of_their_part() -> None:
    task = build()
    point = task.initial_point(4)
    network = LongShortTermMemory(HORIZON, hidden=3)
    task.layout.write(point, network)
    for part, score in ((VALIDATION, task.validate(point)), (TEST, task.test(point))):
        rows = part.unfold(0, HISTORY + HORIZON, 1)
        with torch.no_grad():
            expected = (network(rows[:, :HISTORY]) - rows[:, HISTORY:]).square().mean()
        assert score == pytest.approx(float(expected), rel=1e-5)


def test_the_floor_repeats_the_last_number() -> None:
    for part, score in zip((VALIDATION, TEST), build().persistence(), strict=True):
        errors = [
            float((part[last + ahead] - part[last]) ** 2)
            for last in range(HISTORY - 1, len(part) - HORIZON)
            for ahead in range(1, HORIZON + 1)
        ]
        assert score == pytest.approx(sum(errors) / len(errors), rel=1e-5)


def test_both_paths_give_the_same_losses() -> None:
    fast, whole = (build(evaluation=path) for path in ("incremental", "functional"))
    noise = torch.randn(5, fast.layout.size, generator=torch.Generator().manual_seed(0))
    candidates = DenseCandidates(fast.initial_point(0) + 0.3 * noise)
    losses = [task.next_objective().losses(candidates) for task in (fast, whole)]
    torch.testing.assert_close(*losses, rtol=1e-5, atol=1e-6)


def test_an_error_is_better_the_smaller_it_is() -> None:
    metric = ForecastingTask.metric
    assert metric.better(0.1, 0.2) and not metric.better(0.2, 0.1)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"history": 200, "horizon": 41}, r"together at most 240.*got 200 and 41"),
        ({"horizon": 0}, "must be at least 1"),
        ({"batch_size": 710}, r"task\.batch_size must lie in 1\.\.709, got 710"),
        ({"evaluation": "fused"}, "task.evaluation must be 'incremental' or 'functional', got 'fused'"),
    ],
)
def test_wrong_settings_are_named(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build(**settings)


def test_unknown_series_are_answered_with_those_that_there_are() -> None:
    with pytest.raises(UnknownDataset, match=r"'eth1' is unknown .*choose one of: etth1, sines"):
        ForecastingTask("a name", LongShortTermMemory, "eth1", "absent folder", 0)
