"""Noise of low rank and of rows: mirrored pairs, what they move, and sums over their directions."""

import pytest
import torch
from torch import Tensor

from baselines.openai_es import OpenAIES
from polystep.layout import ParameterLayout
from polystep.noise import LowRankNoise, MirroredCandidates, Noise, RowNoise
from polystep.subspace import FullSpace
from polystep.validation import SettingError
from tests.function_objective import FunctionObjective

LAYOUT = ParameterLayout({"one.weight": (6, 9), "one.bias": (6,), "two.weight": (4, 6), "two.bias": (4,)})
BASE = torch.linspace(-1, 1, LAYOUT.size)
SIGMA = 0.25
NOISES = {"low rank": LowRankNoise(2), "rows": RowNoise(3)}


@pytest.fixture(params=NOISES)
def noise(request: pytest.FixtureRequest) -> Noise:
    return NOISES[request.param]


def directions(candidates: MirroredCandidates) -> Tensor:
    """e_n of the first of each pair, (N/2, D)."""
    return ((candidates.dense(slice(None)) - BASE) / SIGMA)[::2]


def test_pairs_are_neighbours_and_mirror_each_other(noise: Noise) -> None:
    candidates = noise.mirrored(LAYOUT, BASE, torch.arange(7), SIGMA)
    moved = candidates.dense(slice(None)) - BASE
    torch.testing.assert_close(moved[::2], -moved[1::2])
    assert len(candidates) == 14
    assert len(torch.unique(directions(candidates), dim=0)) == 7


def test_combination_is_the_weighted_sum_of_directions(noise: Noise) -> None:
    candidates = noise.mirrored(LAYOUT, BASE, torch.arange(7), SIGMA)
    weights = torch.linspace(-1, 1, 14, dtype=torch.float64)
    weights[1::2] = 0
    expected = weights[::2].float() @ directions(candidates)
    torch.testing.assert_close(candidates.combine(weights), expected, rtol=1e-5, atol=1e-5)


def test_seeds_decide(noise: Noise) -> None:
    one, same, other = (
        noise.mirrored(LAYOUT, BASE, torch.arange(5) + first, SIGMA).dense(slice(None)) for first in (0, 0, 9)
    )
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


@pytest.mark.parametrize("kind", [RowNoise, LowRankNoise])
def test_ranks_below_1_are_refused(kind: type) -> None:
    with pytest.raises(ValueError, match=r"noise\.rank must be at least 1, got 0"):
        kind(rank=0)


def test_rows_take_turns() -> None:
    moved = directions(RowNoise(3).mirrored(LAYOUT, BASE, torch.arange(10), SIGMA)) != 0
    tensors = LAYOUT.unflatten(moved)
    rows = torch.cat([tensors["one.weight"].any(2), tensors["two.weight"].any(2)], dim=1)
    biases = torch.cat([tensors["one.bias"], tensors["two.bias"]], dim=1)
    assert torch.equal(rows, biases)
    assert rows.sum(0).tolist() == [1] * 10
    assert rows.sum(1).tolist() == [1] * 10


@pytest.mark.parametrize("rank", [2, 16])
def test_elements_of_a_row_have_variance_1(rank: int) -> None:
    layout = ParameterLayout({"weight": (30, 50), "bias": (30,)})
    base = torch.zeros(layout.size)
    draws = [RowNoise(rank).mirrored(layout, base, torch.arange(30) + 50 * i, 1.0).dense(slice(None)) for i in range(8)]
    moved = torch.cat([draw[::2] for draw in draws])
    assert moved[moved != 0].square().mean() == pytest.approx(1, abs=0.15)


def test_openai_es_descends_with_it(noise: Noise) -> None:
    objective = FunctionObjective(lambda points: (points - 0.5).square().sum(1))
    optimizer = OpenAIES(LAYOUT, BASE, 0, population=20, sigma=0.1, learning_rate=0.2, noise=noise)
    before = float(objective.function(BASE[None]))
    for _ in range(60):
        optimizer.step(objective, 0.0)
    assert float(objective.function(optimizer.solution[None])) < 0.8 * before


def test_subspace_and_noise_exclude_each_other(noise: Noise) -> None:
    with pytest.raises(SettingError, match=r"give one of optimizer\.subspace and optimizer\.noise"):
        OpenAIES(LAYOUT, BASE, 0, subspace=FullSpace, noise=noise)
