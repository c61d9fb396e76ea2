"""EGGROLL against its update with all directions written out. The author's package: tests/polystep/authors_package."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from baselines.eggroll import EGGROLL
from baselines.shaping import pair_signs
from polystep.layout import ParameterLayout
from polystep.low_rank import LowRankCandidates
from polystep.random import derive_seed
from polystep.validation import SettingError

LAYOUT = ParameterLayout({"fc.weight": (4, 6), "fc.bias": (4,)})
RATES = {"z_score": 0.1, "ranks": 0.3, "signs": 0.1}
START = torch.linspace(-1, 1, LAYOUT.size, dtype=torch.float64)


def bowl(points: Tensor) -> Tensor:
    return (points - 0.5).square().sum(1)


def utilities_by_hand(losses: Tensor, shaping: str) -> Tensor:
    if shaping == "z_score":
        return (losses.mean() - losses) / losses.std(correction=0)
    if shaping == "ranks":
        return losses.argsort(descending=True).argsort() / (len(losses) - 1) - 0.5
    better = losses.reshape(-1, 2).argmin(1)
    return torch.stack([1 - 2 * better, 2 * better - 1], dim=1).flatten()


@pytest.mark.parametrize("rank", [1, 3])
@pytest.mark.parametrize("shaping", ["z_score", "ranks", "signs"])
def test_equals_its_update_by_hand(objective: Any, shaping: Any, rank: int) -> None:
    optimizer = EGGROLL(
        LAYOUT, START, 5, population=8, sigma=0.25, learning_rate=RATES[shaping], rank=rank, shaping=shaping
    )
    theta = START.clone()
    for step in range(30):
        seeds = torch.tensor([derive_seed(5, "eggroll", step, pair) for pair in range(4)])
        directions = LowRankCandidates(torch.zeros_like(START), LAYOUT, seeds, torch.ones(4), rank).dense(slice(0, 4))
        both = torch.stack([directions, -directions], dim=1).flatten(0, 1)
        candidates = optimizer.ask(0.0)
        torch.testing.assert_close(candidates.dense(slice(None)), theta + 0.25 * both)
        losses = objective(bowl).losses(candidates)
        optimizer.tell(losses)
        theta = theta + RATES[shaping] * (utilities_by_hand(losses, shaping)[:, None] * both).mean(0)
        torch.testing.assert_close(optimizer.solution, theta)
    assert float(bowl(theta[None])) < 0.9 * float(bowl(START[None]))


def test_confined_matrices_move_along_the_same_inputs_at_every_step(objective: Any) -> None:
    def moved(seed: int) -> Tensor:
        optimizer = EGGROLL(LAYOUT, START, seed, population=16, sigma=0.25, input_directions=2)
        for _ in range(10):
            optimizer.step(objective(bowl), 0.0)
        return LAYOUT.unflatten(optimizer.solution - START)["fc.weight"]

    assert torch.linalg.matrix_rank(moved(0), rtol=1e-6) == 2
    assert torch.linalg.matrix_rank(torch.cat([moved(0), moved(1)]), rtol=1e-6) == 4


def test_free_matrices_move_in_all_directions(objective: Any) -> None:
    optimizer = EGGROLL(LAYOUT, START, 0, population=16, sigma=0.25)
    optimizer.step(objective(bowl), 0.0)
    assert torch.linalg.matrix_rank(LAYOUT.unflatten(optimizer.solution - START)["fc.weight"]) == 4


def test_signs_of_pairs() -> None:
    losses = torch.tensor([1.0, 2.0, 5.0, 3.0, 4.0, 4.0, torch.nan, 9.0, torch.inf, torch.nan])
    assert pair_signs(losses).tolist() == [1, -1, -1, 1, 0, 0, -1, 1, 0, 0]


@pytest.mark.parametrize("shaping", ["z_score", "ranks", "signs"])
def test_plateau_leaves_the_point_where_it_is(objective: Callable[..., Any], shaping: Any) -> None:
    optimizer = EGGROLL(LAYOUT, START, 0, shaping=shaping)
    optimizer.step(objective(lambda points: torch.full((len(points),), 0.3)), 0.0)
    assert torch.equal(optimizer.solution, START)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"rank": 0}, "rank must be at least 1, got 0"),
        ({"input_directions": 0}, "input_directions must be at least 1, got 0"),
        ({"shaping": "sign"}, "shaping must be 'z_score', 'ranks' or 'signs', got 'sign'"),
        ({"population": 3}, "population must be an even number of at least 2"),
    ],
)
def test_settings_that_cannot_work_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingError, match=message):
        EGGROLL(LAYOUT, START, 0, **settings)
