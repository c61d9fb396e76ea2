"""OpenAI-ES against its equations written out, and the shaping of losses."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import rankdata
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from baselines.openai_es import OpenAIES
from baselines.shaping import centred_ranks, centred_ranks_by_position, z_scores
from polystep.layout import ParameterLayout
from polystep.random import derive_seed
from polystep.schedule import LinearOverSteps
from polystep.subspace import RowSubspace
from polystep.update import Adaptive
from polystep.validation import SettingError

LOSSES = st.lists(st.sampled_from([0.0, 0.25, 0.5, 1.0, 3.0, 1e6]), min_size=2, max_size=20)


def reference(start: Tensor, losses: Callable[[Any], Any], noise: Any, rates: Any, shaping: str) -> Any:
    """The rule, with noise (G, N/2, D), in numpy."""
    theta, sigma, decay = start.numpy().copy(), 0.125, 0.25
    for directions, rate in zip(noise, rates, strict=True):
        both = np.concatenate([directions, -directions])
        rewards = -losses(theta + sigma * both)
        utilities = rankdata(rewards, method="average") - 1
        utilities = utilities / (len(both) - 1) - 0.5
        if shaping == "z_score":
            utilities = (rewards - rewards.mean()) / rewards.std()
        gradient = (utilities[:, None] * both).sum(0) / (len(both) * sigma)
        theta = (theta + rate * gradient) * (1 - rate * decay)
    return theta


@pytest.mark.parametrize("shaping", ["ranks", "z_score"])
def test_equals_its_equations(function: Callable[[Tensor], Tensor], objective: Any, shaping: str) -> None:
    start, generations = torch.linspace(-1, 1, 7, dtype=torch.float64), 40
    layout = ParameterLayout({"x": (7,)})
    optimizer = OpenAIES(
        layout,
        start,
        5,
        population=12,
        sigma=0.125,
        learning_rate=LinearOverSteps(0.5, 0.0, generations),
        weight_decay=0.25,
        shaping=shaping,
    )
    noise = []
    for _ in range(generations):
        candidates = optimizer.ask(0.0)
        noise.append(torch.stack([candidates.noise(n) for n in range(0, 12, 2)]).double().numpy())
        optimizer.tell(objective(function).losses(candidates))
    rates = [0.5 * (1 - g / generations) for g in range(1, generations + 1)]
    expected = reference(start, lambda points: function(torch.from_numpy(points)).numpy(), noise, rates, shaping)
    np.testing.assert_allclose(optimizer.solution.numpy(), expected, rtol=1e-9)
    assert float(function(optimizer.solution.unsqueeze(0))) < float(function(start.unsqueeze(0)))


def test_pairs_are_neighbours_and_mirror_each_other() -> None:
    point = torch.linspace(-1, 1, 50)
    candidates = OpenAIES(ParameterLayout({"x": (50,)}), point, 3, population=6, sigma=0.5).ask(0.0)
    moved = candidates.dense(slice(None)) - point
    torch.testing.assert_close(moved[::2], -moved[1::2])
    assert candidates.seeds.tolist() == [derive_seed(3, "openai_es", 0, pair // 2) for pair in range(6)]
    assert len(torch.unique(moved[:, 0])) == 6
    assert (moved / 0.5).std() == pytest.approx(1, abs=0.15)


def test_last_generation_of_the_published_rate_stands_still(objective: Any) -> None:
    optimizer = OpenAIES(ParameterLayout({"x": (5,)}), torch.ones(5), 0, learning_rate=LinearOverSteps(0.01, 0.0, 4))
    reports = [optimizer.step(objective(lambda points: points.square().sum(1)), 0.0) for _ in range(4)]
    moved = [report.diagnostics["movement"] / report.diagnostics["gradient_norm"] for report in reports]
    assert moved == pytest.approx([0.0075, 0.005, 0.0025, 0.0])


def test_noise_is_never_held_for_more_than_one_direction(objective: Any) -> None:
    class LargestTensor(TorchDispatchMode):
        seen = 0

        def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            result = function(*args, **(kwargs or {}))
            if isinstance(result, Tensor):
                self.seen = max(self.seen, result.numel())
            return result

    optimizer = OpenAIES(ParameterLayout({"x": (1000,)}), torch.zeros(1000), 0, population=20)
    losses = objective(lambda points: points.square().sum(1)).losses(optimizer.ask(0.0))
    with LargestTensor() as largest:
        optimizer.tell(losses)
    assert largest.seen == 1000


def test_best_sample_is_reported_where_asked_and_changes_nothing_else(objective: Any) -> None:
    def optimizer(report: Any) -> OpenAIES:
        return OpenAIES(ParameterLayout({"x": (6,)}), torch.ones(6), 4, population=8, sigma=0.5, report=report)

    mean, best = optimizer("mean"), optimizer("best_ever")
    seen = []
    assert torch.equal(best.solution, torch.ones(6))
    for step in range(6):
        if step == 3:
            resumed = optimizer("best_ever")
            resumed.load_state_dict(best.state_dict())
            best = resumed
        for one in (mean, best):
            candidates = one.ask(0.0)
            losses = objective(lambda points: points.square().sum(1)).losses(candidates)
            one.tell(losses)
        seen += list(zip(losses.tolist(), candidates.dense(slice(None)), strict=True))
        assert torch.equal(best.solution, min(seen, key=lambda pair: pair[0])[1])
        assert torch.equal(mean.solution, best._point)
    best.tell(torch.full((len(best.ask(0.0)),), math.inf).index_fill_(0, torch.tensor([0]), 1e9))
    assert torch.equal(best.solution, min(seen, key=lambda pair: pair[0])[1])
    with pytest.raises(ValueError, match="report must be 'mean' or 'best_ever', got 'last'"):
        optimizer("last")


def test_plateau_leaves_the_point_where_it_is(objective: Any) -> None:
    for shaping in ("ranks", "z_score"):
        optimizer = OpenAIES(ParameterLayout({"x": (5,)}), torch.ones(5), 0, shaping=shaping)
        optimizer.step(objective(lambda points: torch.full((len(points),), 0.3)), 0.0)
        assert torch.equal(optimizer.solution, torch.ones(5))


def test_ranks_by_position_move_along_all_noise_on_a_plateau(objective: Any) -> None:
    optimizer = OpenAIES(ParameterLayout({"x": (5,)}), torch.ones(5), 0, population=4, shaping="ranks_by_position")
    noise = torch.stack([(candidate - 1) / 0.02 for candidate in optimizer.ask(0.0).dense(slice(0, 4))[::2]])
    optimizer.tell(torch.full((4,), 0.3))
    # each -e ranks two places of three above its +e
    torch.testing.assert_close(optimizer.solution, 1 - 0.01 * (2 / 3) * noise.sum(0) / (4 * 0.02))


@given(st.lists(st.integers(-1000, 1000), min_size=1, max_size=12, unique=True))
def test_ranks_by_position_differ_only_where_losses_are_equal(losses: list[int]) -> None:
    different = torch.tensor([*losses, *(loss + 5000 for loss in losses)], dtype=torch.float64)
    torch.testing.assert_close(centred_ranks_by_position(different), centred_ranks(different))
    assert centred_ranks_by_position(torch.zeros(6)).tolist() == pytest.approx([-0.5, 0.1, -0.3, 0.3, -0.1, 0.5])


@given(LOSSES)
def test_ranks_are_centred_and_higher_for_lower_losses(losses: list[float]) -> None:
    utilities = centred_ranks(torch.tensor(losses))
    expected = (rankdata([-loss for loss in losses]) - 1) / (len(losses) - 1) - 0.5
    np.testing.assert_allclose(utilities.numpy(), expected, atol=1e-6)
    assert utilities.sum() == pytest.approx(0, abs=1e-5)


@given(LOSSES)
def test_z_scores_have_mean_0_and_variance_1_or_vanish(losses: list[float]) -> None:
    scores = z_scores(torch.tensor(losses, dtype=torch.float64))
    assert scores.mean() == pytest.approx(0, abs=1e-9)
    assert scores.square().mean() == pytest.approx(1.0 if len(set(losses)) > 1 else 0.0)


@pytest.mark.parametrize("shaping", [centred_ranks, z_scores])
def test_losses_that_are_not_finite_are_the_worst(shaping: Callable[[Tensor], Tensor]) -> None:
    utilities = shaping(torch.tensor([math.nan, 1.0, 3.0, math.inf, -math.inf]))
    assert utilities.argmax() == 1
    assert utilities[0] == utilities[3] == utilities[4] == utilities.min()
    assert torch.isfinite(utilities).all()


def test_an_update_moves_by_the_estimate_and_resumes(objective: Any) -> None:
    """Adam written out on the estimates that the plain rule of rate 1 shows."""
    layout, start = ParameterLayout({"x": (6,)}), torch.linspace(-1, 1, 6, dtype=torch.float64)
    rule = {"learning_rate": 0.1, "beta1": 0.5, "beta2": 0.75, "weight_decay": 0.25}

    def build(point: Tensor = start) -> OpenAIES:
        return OpenAIES(layout, point, 3, population=8, sigma=0.5, update=Adaptive(**rule))

    def cost(points: Tensor) -> Tensor:
        return (points - 0.3).square().sum(-1)

    optimizer, theta = build(), start
    first = second = torch.zeros(6, dtype=torch.float64)
    for count in (1, 2, 3):
        plain = OpenAIES(layout, optimizer.solution, 3, population=8, sigma=0.5, learning_rate=1.0)
        plain._step = optimizer._step
        plain.step(objective(cost), 0.0)
        estimate = plain.solution - optimizer.solution
        first, second = (first + estimate) / 2, 0.75 * second + 0.25 * estimate.square()
        scale = (second / (1 - 0.75**count)).sqrt() + 1e-12
        theta = theta + 0.1 * (first / (1 - 0.5**count) / scale - 0.25 * theta)
        optimizer.step(objective(cost), 0.0)
        torch.testing.assert_close(optimizer.solution, theta)
        resumed = build()
        resumed.load_state_dict(optimizer.state_dict())
        optimizer = resumed


@pytest.mark.parametrize("beside", [{"learning_rate": 0.1}, {"weight_decay": 0.1}])
def test_an_update_has_a_rate_and_a_decay_of_its_own(beside: dict[str, float]) -> None:
    layout = ParameterLayout({"x": (6,)})
    with pytest.raises(SettingError, match=r"optimizer\.learning_rate=null and optimizer\.weight_decay=0"):
        OpenAIES(layout, torch.zeros(6), 0, update=Adaptive(0.1), **beside)


def test_an_update_does_not_stay_in_a_subspace() -> None:
    layout = ParameterLayout({"x": (6,)})
    with pytest.raises(SettingError, match=r"optimizer\.subspace=null or optimizer\.update=null"):
        OpenAIES(layout, torch.zeros(6), 0, update=Adaptive(0.1), subspace=RowSubspace)
