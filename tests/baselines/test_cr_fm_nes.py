"""CR-FM-NES: first step by hand, what it adapts to, degenerate losses (its authors' numbers: `test_other_implementations`)."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from baselines.cr_fm_nes import CRFMNES, Constants
from polystep.layout import ParameterLayout


def build(size: int = 12, **settings: Any) -> CRFMNES:
    start = torch.linspace(-1, 1, size, dtype=torch.float64)
    return CRFMNES(ParameterLayout({"x": (size,)}), start, 4, **({"population": 6, "sigma": 0.5} | settings))


def test_first_mean_and_step_size_equal_their_equations() -> None:
    """The first path is short, so weights are those of the ranks, and sigma follows the lengths of z."""
    optimizer = build(population=4)
    points = optimizer.ask(0.0).dense(slice(None)).numpy()
    z = optimizer._z.numpy().copy()
    losses = np.array([3.0, 1.0, 2.0, 4.0])
    optimizer.tell(torch.from_numpy(losses))
    # log(3), log(3/2) and nothing, shares less a quarter
    raw = np.array([math.log(3), math.log(1.5), 0.0, 0.0])
    weights = (raw / raw.sum() - 0.25)[[2, 0, 1, 3]]
    start = np.linspace(-1, 1, 12)
    np.testing.assert_allclose(optimizer.solution.numpy(), start + weights @ (points - start), rtol=1e-6)
    mu = 1 / ((raw / raw.sum()) ** 2).sum()
    c = (mu + 2) / (12 + mu + 5)
    stride = math.sqrt(c * (2 - c) * mu) * np.linalg.norm(weights @ z)
    assert 0.1 * math.sqrt(12) < stride < 0.9 * math.sqrt(12)
    rate = math.tanh((0.024 * 4 + 0.7 * 12 + 20) / (12 + 12))
    growth = weights @ ((z**2).sum(1) - 12) / 12
    assert optimizer._sigma == pytest.approx(0.5 * math.exp(rate / 2 * growth))


def test_candidates_mirror_each_other_and_have_the_covariance() -> None:
    optimizer = build(size=3, population=40_000, sigma=0.5)
    optimizer._d = torch.tensor([2.0, 1.0, 0.5], dtype=torch.float64)
    optimizer._v = torch.tensor([1.0, 2.0, 0.0], dtype=torch.float64)
    moved = (optimizer.ask(0.0).dense(slice(None)) - optimizer.solution) / 0.5
    torch.testing.assert_close(moved[:20_000], -moved[20_000:])
    expected = (
        torch.diag(optimizer._d) @ (torch.eye(3) + torch.outer(optimizer._v, optimizer._v)) @ torch.diag(optimizer._d)
    )
    torch.testing.assert_close(moved.T @ moved / 40_000, expected.double(), rtol=0.05, atol=0.05)


def test_scales_of_the_parameters_are_learnt(objective: Any) -> None:
    """On sum_j w_j x_j^2 the deviations become 1/sqrt(w_j), up to a factor."""
    weights = torch.tensor([1.0, 1.0, 1.0, 1.0, 100.0, 100.0, 100.0, 100.0], dtype=torch.float64)

    def ellipsoid(points: Tensor) -> Tensor:
        return (weights * points.square()).sum(1)

    optimizer = build(size=8, population=12)
    start = float(ellipsoid(optimizer.solution[None]))
    for _ in range(250):
        optimizer.step(objective(ellipsoid), 0.0)
    assert float(ellipsoid(optimizer.solution[None])) < 1e-8 * start
    ratio = optimizer._d[:4].log().mean() - optimizer._d[4:].log().mean()
    assert float(ratio.exp()) == pytest.approx(10, rel=0.5)


def test_a_ridge_is_climbed_along_the_direction(objective: Any) -> None:
    """Losses that fall along (1, ..., 1) and rise steeply beside it: v turns that way, and sigma grows."""

    def ridge(points: Tensor) -> Tensor:
        along = points.mean(1)
        return -along + 100 * (points - along.unsqueeze(1)).square().mean(1).sqrt()

    optimizer = build(size=8, population=12, sigma=0.1)
    for _ in range(300):
        optimizer.step(objective(ridge), 0.0)
    cosine = (optimizer._d * optimizer._v).sum() / ((optimizer._d * optimizer._v).norm() * math.sqrt(8))
    assert abs(float(cosine)) > 0.95
    assert float(optimizer._v.norm()) > 3


def test_default_population_is_even_and_grows_with_the_logarithm() -> None:
    sizes = [2, 26, 1000, 101_770]
    populations = [len(CRFMNES(ParameterLayout({"x": (size,)}), torch.zeros(size), 0).ask(0.0)) for size in sizes]
    assert populations == [2 * round((4 + 3 * math.log(size)) / 2) for size in sizes]


def test_weights_of_long_strides_do_not_overflow() -> None:
    constants = Constants(100_000, 4096)
    ranks = constants.weights
    weights = constants.with_distances(ranks, torch.linspace(310, 320, 4096, dtype=torch.float64), 4096)
    assert torch.isfinite(weights).all()
    assert float(weights.sum()) == pytest.approx(0, abs=1e-12)


def test_farthest_of_the_candidates_without_a_finite_loss_is_last(objective: Any) -> None:
    """Their order decides how far the mean moves away from them."""

    def solution(losses: list[float]) -> Tensor:
        optimizer = build(population=4)
        optimizer.ask(0.0)
        optimizer.tell(torch.tensor(losses, dtype=torch.float64))
        return optimizer.solution

    # both of a pair are as far; the other pair is farther or nearer whatever their values are
    torch.testing.assert_close(
        solution([1.0, math.inf, math.nan, math.inf]), solution([1.0, -math.inf, math.inf, math.nan])
    )
