"""Candidates of low rank against directions written out."""

import math

import pytest
import torch
from torch import Tensor

from polystep.layout import ParameterLayout
from polystep.low_rank import COMBINED, LowRankCandidates

LAYOUT = ParameterLayout({"fc.weight": (3, 5), "fc.bias": (3,), "conv.weight": (4, 2, 3)}, {"tied.weight": "fc.weight"})
SEEDS, SCALE = torch.tensor([7, 7, 8, 2**62, 7]), torch.tensor([0.5, -0.5, 0.25, 2.0, 1.0])


def candidates(rank: int = 1, **settings: object) -> LowRankCandidates:
    base = torch.linspace(-1, 1, LAYOUT.size)
    return LowRankCandidates(base, LAYOUT, SEEDS, SCALE, rank, **settings)


def directions(rank: int = 1, **settings: object) -> Tensor:
    """Those of the five candidates, unscaled, (5, D)."""
    some = candidates(rank, **settings)
    return LowRankCandidates(torch.zeros(LAYOUT.size), LAYOUT, SEEDS, torch.ones(5), rank, **settings).dense(
        slice(0, len(some))
    )


@pytest.mark.parametrize("rank", [1, 2])
@pytest.mark.parametrize("part", [slice(None), slice(1, 3), slice(2, 100), slice(0, 0)])
def test_parts_are_slices_of_all(rank: int, part: slice) -> None:
    some = candidates(rank)
    assert torch.equal(some.dense(part), some.dense(slice(None))[part])
    assert torch.equal(some.part(part).dense(slice(None)), some.dense(part))
    assert some.part(part).places.tolist() == list(range(5))[part]


@pytest.mark.parametrize("rank", [1, 2])
def test_images_do_not_depend_on_how_many_directions_there_are(rank: int) -> None:
    layout = ParameterLayout({"weight": (6, 784)})
    inputs = torch.randn(70, 784, generator=torch.Generator().manual_seed(0))
    some = LowRankCandidates(torch.zeros(layout.size), layout, torch.arange(9), torch.ones(9), rank)
    whole = some.moves(slice(None)).images("weight", inputs)
    for part in (slice(0, 1), slice(3, 5), slice(2, 9)):
        assert torch.equal(some.moves(part).images("weight", inputs), whole[part])


def test_points_are_the_base_and_scaled_directions() -> None:
    some = candidates(2)
    expected = some.base + SCALE.unsqueeze(1) * directions(2)
    torch.testing.assert_close(some.dense(slice(None)), expected)
    assert not torch.allclose(directions(2)[1], directions(2)[2])


@pytest.mark.parametrize("rank", [1, 2])
def test_every_matrix_moves_by_one_of_the_rank(rank: int) -> None:
    tensors = LAYOUT.unflatten(directions(rank))
    for name in ("fc.weight", "conv.weight"):
        assert torch.linalg.matrix_rank(tensors[name].flatten(2)).tolist() == [rank] * 5
    assert torch.equal(tensors["tied.weight"], tensors["fc.weight"])


@pytest.mark.parametrize("rank", [1, 4])
def test_elements_have_mean_0_and_variance_1(rank: int) -> None:
    layout = ParameterLayout({"weight": (100, 150), "bias": (2000,)})
    some = LowRankCandidates(torch.zeros(layout.size), layout, torch.arange(60), torch.ones(60), rank)
    for numbers in layout.unflatten(some.dense(slice(None))).values():
        assert numbers.mean() == pytest.approx(0, abs=0.03)
        assert numbers.std() == pytest.approx(1, abs=0.05)


def test_right_factors_stay_within_the_given_inputs() -> None:
    basis = torch.linalg.qr(torch.randn(5, 2, generator=torch.Generator().manual_seed(0))).Q.T
    tensors = LAYOUT.unflatten(directions(1, input_bases={"fc.weight": basis}))
    rows = tensors["fc.weight"]
    torch.testing.assert_close(rows @ basis.T @ basis, rows)
    assert torch.linalg.matrix_rank(rows.flatten(0, 1)) == 2
    assert torch.linalg.matrix_rank(tensors["conv.weight"].flatten(2).flatten(0, 1)) > 2


@pytest.mark.parametrize("rank", [1, 3])
def test_combination_is_the_weighted_sum_of_directions(rank: int) -> None:
    weights = torch.tensor([1.0, -2.0, 0.5, 0.0, 3.0], dtype=torch.float64)
    expected = weights.float() @ directions(rank)
    torch.testing.assert_close(candidates(rank).combine(weights), expected)


def test_combination_of_many_and_in_another_precision() -> None:
    count = COMBINED + 7
    base = torch.zeros(LAYOUT.size, dtype=torch.float64)
    some = LowRankCandidates(base, LAYOUT, torch.arange(count) // 2, torch.ones(count))
    weights = torch.linspace(-1, 1, count, dtype=torch.float64)
    torch.testing.assert_close(some.combine(weights), weights @ some.dense(slice(None)))


def test_drawing_leaves_the_global_random_state_alone() -> None:
    before = torch.get_rng_state()
    candidates().dense(slice(None))
    assert torch.equal(torch.get_rng_state(), before)


def test_settings_that_cannot_work_are_refused() -> None:
    with pytest.raises(ValueError, match="rank must be at least 1, got 0"):
        candidates(0)
    with pytest.raises(ValueError, match="seeds and scale must both have shape"):
        LowRankCandidates(torch.zeros(LAYOUT.size), LAYOUT, SEEDS, SCALE[:2])


def test_no_more_numbers_are_drawn_than_the_factors_have() -> None:
    some = candidates(2)
    factors = some.moves(slice(0, 1))
    counts = [math.prod(tensor.shape[1:]) for tensor in (*factors.left.values(), *factors.right.values())]
    # the tied weight is another name for the same factors
    assert sum(counts) == 2 * (2 * (3 + 5) + (4 + 6))
