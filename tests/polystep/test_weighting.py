"""Softmax and Sinkhorn weights."""

import math
from collections.abc import Callable
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from polystep.geometry import haar_rotations, polytope_vertices
from polystep.weighting import Cheapest, ExponentialRank, LinearWeighting, PartlyDrawn, Sinkhorn, Softmax, Weighting

TEMPERATURE = 0.5
PENALTIES = [0.0, 0.01, 0.1, 1.0, 10.0]
CONVERGED = 500


@pytest.fixture
def costs() -> Tensor:
    return torch.rand(6, 8, generator=torch.Generator().manual_seed(0)) * 2


def converged_sinkhorn(**settings: float) -> Sinkhorn:
    return Sinkhorn(iterations=CONVERGED, tolerance=0.0, **settings)


def plan_by_scaling(costs: Tensor, temperature: float, column_penalty: float) -> Tensor:
    """Alternating scaling of the kernel matrix in float64."""
    kernel = torch.exp(-costs.double() / temperature)
    rows, columns = costs.shape
    power = 1.0 if math.isinf(column_penalty) else column_penalty / (column_penalty + temperature)
    v = torch.full((columns,), 1 / columns, dtype=torch.float64)
    if power == 0:
        v = torch.ones_like(v)
    for _ in range(CONVERGED):
        u = (1 / rows) / (kernel @ v)
        v = ((1 / columns) / (kernel.T @ u)) ** power
    u = (1 / rows) / (kernel @ v)
    return (u.unsqueeze(1) * kernel * v).float()


def column_divergence(plan: Tensor) -> float:
    """KL(T^T 1 || b) with uniform b."""
    columns = plan.double().sum(0)
    return float((columns * (columns * len(columns)).log()).sum())


def column_violation(plan: Tensor) -> float:
    return float((plan.sum(0) - 1 / plan.shape[1]).abs().max())


WEIGHTINGS = pytest.mark.parametrize(
    "build", [Softmax, Sinkhorn, lambda: Sinkhorn(column_penalty=1.0)], ids=["softmax", "sinkhorn", "penalised"]
)


def test_softmax_formula(costs: Tensor) -> None:
    exponentials = (-costs.double() / TEMPERATURE).exp()
    expected = (exponentials / exponentials.sum(1, keepdim=True)).float()
    torch.testing.assert_close(Softmax().weights(costs, TEMPERATURE), expected)


@WEIGHTINGS
def test_translation_leaves_weights_unchanged(build: Callable[[], Weighting], costs: Tensor) -> None:
    # multiples of 1/64 can be shifted by 2^16 without rounding
    costs = (costs * 64).round() / 64
    assert torch.equal(build().weights(costs + 2**16, TEMPERATURE), build().weights(costs, TEMPERATURE))


@WEIGHTINGS
@pytest.mark.parametrize("level", [0.0, 2.5, -1e6])
def test_plateau_gives_uniform_weights(build: Callable[[], Weighting], level: float) -> None:
    weights = build().weights(torch.full((5, 4), level), TEMPERATURE)
    torch.testing.assert_close(weights, torch.full((5, 4), 0.25))


@WEIGHTINGS
@settings(derandomize=True, deadline=None, max_examples=30)
@given(
    seed=st.integers(0, 2**32 - 1),
    scale=st.sampled_from([1e-30, 1e-3, 1.0, 1e3, 1e6]),
    temperature=st.sampled_from([1e-2, 0.5, 50.0]),
    repelled=st.booleans(),
)
def test_weights_are_finite_and_rows_sum_to_one_at_extreme_costs(
    build: Callable[[], Weighting], seed: int, scale: float, temperature: float, repelled: bool
) -> None:
    costs = torch.randn(5, 6, generator=torch.Generator().manual_seed(seed)) * scale
    if repelled:
        costs[1, 2] = costs[3] = 1e6
    weighting = build()
    for _ in range(3):
        weights = weighting.weights(costs, temperature)
        assert torch.isfinite(weights).all()
        assert weights.min() >= 0
        torch.testing.assert_close(weights.sum(1), torch.ones(5))


def test_rows_at_very_different_levels_keep_their_differences() -> None:
    costs = torch.tensor([[0.0, 0.0], [1e6, 1e6 + 0.125]])
    expected = torch.softmax(-(costs - costs[:, :1]).double() / 0.06, dim=1).float()
    torch.testing.assert_close(Softmax().weights(costs, 0.06), expected)
    # a cold softmax has no NaN
    assert torch.equal(Softmax().weights(costs, 1e-37), torch.tensor([[0.5, 0.5], [1.0, 0.0]]))


def test_softmax_picks_the_cheapest_vertex_as_the_temperature_falls(costs: Tensor) -> None:
    weights = Softmax().weights(costs, 1e-4)
    assert torch.equal(weights.argmax(1), costs.argmin(1))
    assert weights.amax(1).min() > 0.99


@pytest.mark.parametrize("relaxation", [0.5, 1.0, 1.5])
def test_sinkhorn_plan_has_uniform_marginals(costs: Tensor, relaxation: float) -> None:
    plan = converged_sinkhorn(relaxation=relaxation).plan(costs, TEMPERATURE)
    torch.testing.assert_close(plan.sum(1), torch.full((6,), 1 / 6), rtol=0, atol=1e-6)
    torch.testing.assert_close(plan.sum(0), torch.full((8,), 1 / 8), rtol=0, atol=1e-6)


@pytest.mark.parametrize("column_penalty", [*PENALTIES, math.inf])
def test_plan_equals_matrix_scaling(costs: Tensor, column_penalty: float) -> None:
    plan = converged_sinkhorn(column_penalty=column_penalty).plan(costs, TEMPERATURE)
    expected = plan_by_scaling(costs, TEMPERATURE, column_penalty)
    torch.testing.assert_close(plan, expected, rtol=1e-4, atol=1e-6)


def test_without_column_penalty_sinkhorn_is_softmax(costs: Tensor) -> None:
    weights = Sinkhorn(column_penalty=0.0).weights(costs, TEMPERATURE)
    torch.testing.assert_close(weights, Softmax().weights(costs, TEMPERATURE))


def test_column_divergence_falls_with_the_penalty(costs: Tensor) -> None:
    plans = [converged_sinkhorn(column_penalty=p).plan(costs, TEMPERATURE) for p in [*PENALTIES, math.inf]]
    divergences = [column_divergence(plan) for plan in plans]
    assert all(following < divergence for divergence, following in pairwise(divergences))
    assert divergences[-1] == pytest.approx(0, abs=1e-6)


def test_large_penalty_approaches_sinkhorn(costs: Tensor) -> None:
    plan = converged_sinkhorn(column_penalty=1e5).plan(costs, TEMPERATURE)
    torch.testing.assert_close(plan, converged_sinkhorn().plan(costs, TEMPERATURE), rtol=1e-3, atol=1e-5)


def test_single_particle_cannot_choose_under_enforced_columns() -> None:
    weights = Sinkhorn().weights(torch.tensor([[0.0, 1, 2, 3]]), TEMPERATURE)
    torch.testing.assert_close(weights, torch.full((1, 4), 0.25))


def test_warm_start_continues_where_the_last_solve_stopped(costs: Tensor) -> None:
    solver = Sinkhorn(iterations=1)
    violations = [column_violation(solver.plan(costs, TEMPERATURE)) for _ in range(6)]
    at_once = Sinkhorn(iterations=6, tolerance=0.0).plan(costs, TEMPERATURE)
    assert violations == sorted(violations, reverse=True)
    assert violations[-1] < violations[0] / 10
    assert violations[-1] == pytest.approx(column_violation(at_once), rel=0.05)
    solver.forget()
    assert column_violation(solver.plan(costs, TEMPERATURE)) == pytest.approx(violations[0])


def test_warm_start_scales_duals_with_the_temperature(costs: Tensor) -> None:
    solver = converged_sinkhorn()
    solver.plan(costs, TEMPERATURE)
    solver.iterations = 1
    # costs and temperature doubled: the same plan, with doubled duals
    assert column_violation(solver.plan(2 * costs, 2 * TEMPERATURE)) < 1e-6


def test_other_shape_starts_cold(costs: Tensor) -> None:
    solver = Sinkhorn()
    solver.weights(costs, TEMPERATURE)
    torch.testing.assert_close(solver.weights(costs[:3], TEMPERATURE), Sinkhorn().weights(costs[:3], TEMPERATURE))


def test_solve_stops_once_converged(costs: Tensor) -> None:
    early, late = Sinkhorn(iterations=CONVERGED, tolerance=1e-2), Sinkhorn(iterations=10, tolerance=0.0)
    assert torch.equal(early.plan(costs, TEMPERATURE), late.plan(costs, TEMPERATURE))


def test_state_round_trip_is_bit_equal(costs: Tensor) -> None:
    solver = Sinkhorn(iterations=3)
    assert solver.state_dict() == {}
    solver.weights(costs, TEMPERATURE)
    other = Sinkhorn(iterations=3)
    other.load_state_dict(solver.state_dict())
    following = costs.flip(0)
    assert torch.equal(other.weights(following, 0.3), solver.weights(following, 0.3))
    other.load_state_dict({})
    assert torch.equal(other.weights(costs, TEMPERATURE), Sinkhorn(iterations=3).weights(costs, TEMPERATURE))


@pytest.mark.parametrize(
    "settings",
    [
        {"iterations": 0},
        {"relaxation": 0.4},
        {"relaxation": 2.0},
        {"column_penalty": -1.0},
        {"column_penalty": math.nan},
    ],
)
def test_invalid_setting_is_named(settings: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(settings))):
        Sinkhorn(**settings)  # type: ignore[arg-type]


MEMORYLESS = pytest.mark.parametrize(
    "build",
    [LinearWeighting, ExponentialRank, Cheapest, lambda: Cheapest(3)],
    ids=["linear", "exponential_rank", "greedy", "top_3"],
)


@MEMORYLESS
def test_rows_sum_to_one_and_translation_changes_nothing(build: Callable[[], Weighting], costs: Tensor) -> None:
    costs = (costs * 64).round() / 64
    weights = build().weights(costs, TEMPERATURE)
    torch.testing.assert_close(weights.sum(1), torch.ones(6))
    torch.testing.assert_close(build().weights(costs + 1024, TEMPERATURE), weights)


@MEMORYLESS
def test_row_of_equal_costs_is_weighed_evenly(build: Callable[[], Weighting]) -> None:
    weights = build().weights(torch.full((2, 5), 3.0), TEMPERATURE)
    torch.testing.assert_close(weights, torch.full((2, 5), 0.2))


def test_linear_weights_are_the_softmax_to_first_order(costs: Tensor) -> None:
    expected = (1 - (costs - costs.mean(1, keepdim=True)) / 100) / 8
    found = LinearWeighting().weights(costs, 100.0)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(found, Softmax().weights(costs, 100.0), rtol=0, atol=1e-4)
    assert LinearWeighting().weights(costs, 0.01).min() < 0


def test_ranks_replace_costs_and_ties_share_their_mean_rank() -> None:
    costs = torch.tensor([[5.0, -1e6, 7.0, 5.0, 1e9]])
    ranks = torch.tensor([[1.5, 0.0, 3.0, 1.5, 4.0]]) / 4
    expected = torch.softmax(-ranks / 0.2, dim=1)
    torch.testing.assert_close(ExponentialRank().weights(costs, 0.2), expected)
    torch.testing.assert_close(ExponentialRank().weights(torch.ones(3, 1), 0.2), torch.ones(3, 1))


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        (1, [0.0, 1.0, 0.0, 0.0]),
        (2, [0.25, 0.5, 0.0, 0.25]),
        (3, [1 / 3, 1 / 3, 0.0, 1 / 3]),
        (4, [0.25, 0.25, 0.25, 0.25]),
        (9, [0.25, 0.25, 0.25, 0.25]),
    ],
)
def test_the_cheapest_share_the_weight_and_ties_share_the_last_place(count: int, expected: list[float]) -> None:
    weights = Cheapest(count).weights(torch.tensor([[2.0, 1.0, 3.0, 2.0]]), TEMPERATURE)
    torch.testing.assert_close(weights, torch.tensor([expected]))


def test_count_must_be_positive() -> None:
    with pytest.raises(ValueError, match="count must be at least 1, got 0"):
        Cheapest(0)


class TestPartlyDrawn:
    def test_draws_have_the_mean_of_the_softmax(self):
        costs = torch.tensor([[0.0, 1.0, 2.0, 0.5]]).repeat(40, 1)
        weighting = PartlyDrawn(seed=1, drawn=1000)
        total = sum(weighting.weights(costs, 0.7) for _ in range(500)) / 500
        expected = Softmax().weights(costs, 0.7)
        torch.testing.assert_close(total.mean(0), expected[0], atol=0.01, rtol=0)

    def test_at_most_a_few_rows_and_at_most_half_are_drawn(self):
        for rows, most in ((1, 1), (7, 4), (1000, 16)):
            costs = torch.rand(rows, 4, generator=torch.Generator().manual_seed(0))
            plain = Softmax().weights(costs, 1.0)
            found = PartlyDrawn(seed=1).weights(costs, 1.0)
            drawn = (found != plain).any(1)
            assert 1 <= drawn.sum() <= most
            assert (found[drawn].amax(1) == 1).all() and (found.sum(1) - 1).abs().max() < 1e-6

    def test_continues_its_draws(self):
        costs = torch.rand(20, 4, generator=torch.Generator().manual_seed(0))
        one, other = PartlyDrawn(seed=1), PartlyDrawn(seed=2)
        one.weights(costs, 1.0)
        other.load_state_dict(one.state_dict())
        assert torch.equal(one.weights(costs, 1.0), other.weights(costs, 1.0))

    def test_settings(self):
        with pytest.raises(ValueError, match="drawn must be at least 1, got 0"):
            PartlyDrawn(seed=0, drawn=0)


@pytest.mark.parametrize("height", [0.01, 1.0, 100.0])
def test_at_a_jump_the_step_is_a_hyperbolic_tangent_of_its_height(height: float) -> None:
    """METHOD.md, the linear regime."""
    dimension, temperature = 8, 0.7
    generator = torch.Generator().manual_seed(3)
    rotations = haar_rotations(50, dimension, generator).double()
    vertices = torch.einsum("pij,vj->pvi", rotations, polytope_vertices("orthoplex", dimension).double())
    normal = torch.nn.functional.normalize(torch.randn(dimension, generator=generator, dtype=torch.float64), dim=0)
    costs = height * ((vertices @ normal) > 0).double()
    drift = torch.einsum("pv,pvi->pi", Softmax().weights(costs, temperature), vertices) @ normal
    lengths = (rotations.mT @ normal).abs().sum(1)
    torch.testing.assert_close(drift, -math.tanh(height / (2 * temperature)) * lengths / dimension)
