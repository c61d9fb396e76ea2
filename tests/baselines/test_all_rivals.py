"""What holds for every ask/tell rival: resuming, private randomness, non-finite losses, settings that are refused."""

import copy
import math
import random
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from baselines.cma_es import CMAES
from baselines.cr_fm_nes import CRFMNES
from baselines.deep_zero import DeepZero
from baselines.eggroll import EGGROLL
from baselines.finite_differences import FiniteDifferences
from baselines.fzoo import FZOO
from baselines.mezo import MeZO
from baselines.openai_es import OpenAIES
from baselines.random_search import RandomSearch
from baselines.spsa import SPSA
from polystep.ask_tell import PointOptimizer
from polystep.bench.checkpoint import load_checkpoint, save_checkpoint
from polystep.layout import ParameterLayout
from polystep.schedule import Constant, CosineOverSteps, LinearOverSteps
from polystep.subspace import FullSpace, HybridSubspace
from polystep.update import Momentum
from polystep.validation import SettingError
from tests.function_objective import check_useless_losses_change_nothing

LAYOUT = ParameterLayout({"fc1.weight": (3, 5), "fc1.bias": (3,), "fc2.weight": (2, 3), "fc2.bias": (2,)})
RIVALS: dict[str, Callable[..., PointOptimizer]] = {
    "openai_es": partial(
        OpenAIES, population=8, sigma=0.1, learning_rate=LinearOverSteps(0.1, 0.0, 40), weight_decay=0.1
    ),
    "openai_es z_score": partial(OpenAIES, population=8, sigma=CosineOverSteps(0.1, 0.01, 40), shaping="z_score"),
    "eggroll": partial(EGGROLL, population=8, sigma=CosineOverSteps(0.1, 0.01, 40), rank=2),
    "eggroll confined": partial(
        EGGROLL, population=8, sigma=0.1, learning_rate=0.05, shaping="signs", input_directions=2
    ),
    "spsa": partial(SPSA, a=0.01, c=0.1, A=4),
    "mezo": partial(MeZO, learning_rate=0.001, epsilon=0.1),
    "random_search": partial(RandomSearch, population=8, sigma=CosineOverSteps(0.3, 0.01, 40)),
    "finite_differences": partial(FiniteDifferences, subspace=FullSpace, particle_dimension=4, redraw_every=2),
    "finite_differences hybrid": lambda *arguments: FiniteDifferences(
        *arguments, subspace=HybridSubspace, update=Momentum(), step_size=0.01
    ),
    "fzoo": partial(FZOO, learning_rate=0.01, epsilon=0.1),
    "deep_zero": partial(DeepZero, share=0.5, radius=0.1, learning_rate=0.05, redraw_every=2),
    "cr_fm_nes": partial(CRFMNES, sigma=0.3),
    "cma_es": CMAES,
    "cma_es diagonal": partial(CMAES, covariance="diagonal", population=4, report="best_ever"),
    **{
        f"{rival.__name__} in a subspace": partial(rival, subspace=partial(HybridSubspace, rank=2), **settings)
        for rival, settings in (
            (OpenAIES, {"population": 8, "sigma": 0.1, "learning_rate": 0.2}),
            (SPSA, {"a": 0.02, "c": 0.1, "A": 4}),
            (MeZO, {"learning_rate": 0.005, "epsilon": 0.1}),
            (RandomSearch, {"population": 2, "sigma": 0.2}),
            (CMAES, {}),
        )
    },
}
MOVING = sorted(set(RIVALS) - {"random_search", "RandomSearch in a subspace", "cma_es diagonal"})


@pytest.fixture(params=RIVALS)
def build(request: pytest.FixtureRequest) -> Callable[..., PointOptimizer]:
    def rival(seed: int = 0) -> PointOptimizer:
        return RIVALS[request.param](LAYOUT, torch.linspace(-1, 1, LAYOUT.size), seed)

    return rival


@pytest.fixture
def bowl(objective: Callable[..., Any]) -> Any:
    return objective(lambda points: (points - 0.5).square().sum(1))


@pytest.mark.parametrize("taken_after", [0, 1, 7])
def test_run_from_a_checkpoint_file_is_bit_equal(
    build: Callable[..., PointOptimizer], bowl: Any, taken_after: int, tmp_path: Path
) -> None:
    optimizer, resumed = build(), build()
    for _ in range(taken_after):
        optimizer.step(bowl, 0.0)
    save_checkpoint(tmp_path / "state", optimizer.state_dict())
    resumed.step(bowl, 0.0)
    resumed.ask(0.0)
    resumed.load_state_dict(load_checkpoint(tmp_path / "state"))
    for _ in range(25):
        report, again = optimizer.step(bowl, 0.0), resumed.step(bowl, 0.0)
        assert torch.equal(optimizer.solution, resumed.solution)
        assert (report.loss, report.diagnostics) == (again.loss, again.diagnostics)


def test_state_does_not_change_with_later_steps(build: Callable[..., PointOptimizer], bowl: Any) -> None:
    optimizer = build()
    optimizer.step(bowl, 0.0)
    state = optimizer.state_dict()
    stored = copy.deepcopy(state)
    for _ in range(3):
        optimizer.step(bowl, 0.0)
    for (path, value), (stored_path, stored_value) in zip(leaves(state), leaves(stored), strict=True):
        assert path == stored_path
        assert torch.equal(torch.as_tensor(value), torch.as_tensor(stored_value)), path


def leaves(state: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """The tensors and numbers of a nested state."""
    if isinstance(state, dict | list):
        for key, value in state.items() if isinstance(state, dict) else enumerate(state):
            yield from leaves(value, f"{path}/{key}")
    elif state is not None:
        yield path, state


def test_global_random_states_are_left_alone(build: Callable[..., PointOptimizer], bowl: Any) -> None:
    before = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()
    optimizer = build()
    for _ in range(8):
        optimizer.step(bowl, 0.0)
    assert torch.equal(torch.get_rng_state(), before[0])
    np.testing.assert_array_equal(np.random.get_state()[1], before[1])
    assert random.getstate() == before[2]


def test_seed_determines_the_candidates(build: Callable[..., PointOptimizer]) -> None:
    one, same, other = (build(seed).ask(0.0).dense(slice(None)) for seed in (3, 3, 4))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_loss_goes_down(build: Callable[..., PointOptimizer], bowl: Any) -> None:
    optimizer = build()
    start = float(bowl.function(optimizer.solution.unsqueeze(0)))
    for _ in range(40):
        optimizer.step(bowl, 0.0)
    assert float(bowl.function(optimizer.solution.unsqueeze(0))) < 0.9 * start


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_candidate_without_a_finite_loss_moves_the_point_no_further_than_a_bad_one(
    build: Callable[..., PointOptimizer], bowl: Any, bad: float
) -> None:
    optimizer, with_bad_loss = build(), build()
    start = optimizer.solution.clone()
    for _ in range(3):
        losses = bowl.losses(optimizer.ask(0.0))
        losses[1] = bad
        report = optimizer.tell(losses)
        assert report.diagnostics["non_finite"] == 1
        assert report.loss == pytest.approx(losses[torch.isfinite(losses)].mean().item())
        assert all(math.isfinite(value) for value in report.diagnostics.values())
        losses = bowl.losses(with_bad_loss.ask(0.0))
        losses[1] = 2 * losses.abs().max() + 1
        with_bad_loss.tell(losses)
    moved, usual = (float((each.solution - start).norm()) for each in (optimizer, with_bad_loss))
    assert moved <= 1.5 * usual


def test_losses_that_are_not_finite_are_all_alike(build: Callable[..., PointOptimizer], bowl: Any) -> None:
    """What stands for them is up to the method, but not to their kind: minus infinity is no gain."""
    ends = []
    for bad in (math.nan, math.inf, -math.inf):
        optimizer = build()
        losses = bowl.losses(optimizer.ask(0.0))
        losses[1] = bad
        optimizer.tell(losses)
        optimizer.step(bowl, 0.0)
        ends.append(optimizer.solution)
    assert torch.equal(ends[0], ends[1]) and torch.equal(ends[0], ends[2])


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_step_without_any_finite_loss_changes_nothing(
    build: Callable[..., PointOptimizer], bowl: Any, bad: float
) -> None:
    check_useless_losses_change_nothing(build, bowl, bad)


@pytest.mark.parametrize("name", MOVING)
def test_order_of_candidates_and_losses_agrees(name: str, bowl: Any) -> None:
    """A method that mixed up its candidates would not go downhill; one step each from many seeds is mostly downhill."""
    improved = 0
    for seed in range(20):
        optimizer = RIVALS[name](LAYOUT, torch.linspace(-1, 1, LAYOUT.size), seed)
        start = float(bowl.function(optimizer.solution.unsqueeze(0)))
        for _ in range(5):
            optimizer.step(bowl, 0.0)
        improved += float(bowl.function(optimizer.solution.unsqueeze(0))) < start
    assert improved >= 15


@pytest.mark.parametrize(
    ("rival", "settings", "message"),
    [
        (OpenAIES, {"population": 7}, "population must be an even number of at least 2, .* got 7"),
        (OpenAIES, {"population": 1}, "population must be an even number of at least 2, .* got 1"),
        (OpenAIES, {"population": 0}, "population must be an even number of at least 2, .* got 0"),
        (OpenAIES, {"shaping": "rank"}, "shaping must be 'ranks', 'ranks_by_position' or 'z_score', got 'rank'"),
        (OpenAIES, {"weight_decay": -0.1}, "weight_decay must be a number of at least 0, got -0.1"),
        (RandomSearch, {"population": 1}, "population must be at least 2, .* got 1"),
        (CMAES, {"population": 3}, "population must be at least 4, .* got 3"),
        (CMAES, {"covariance": "sparse"}, "covariance must be 'auto', 'full' or 'diagonal', got 'sparse'"),
        (CMAES, {"report": "last"}, "report must be 'mean' or 'best_ever', got 'last'"),
        (FZOO, {"directions": 1}, "directions must be at least 2, .* got 1"),
        (FZOO, {"directions": 0}, "directions must be at least 2, .* got 0"),
        (DeepZero, {"share": 0.0}, "share must be above 0 and at most 1, which is all parameters, got 0.0"),
        (DeepZero, {"share": 1.01}, "share must be above 0 and at most 1, which is all parameters, got 1.01"),
        (DeepZero, {"momentum": 1.0}, r"momentum must lie in \[0, 1\), got 1.0"),
        (DeepZero, {"redraw_every": 0}, "redraw_every must be at least 1, got 0"),
        (DeepZero, {"weight_decay": -1.0}, "weight_decay must be a number of at least 0, got -1.0"),
        *(
            (
                CRFMNES,
                {"population": population},
                f"population must be an even number of at least 4, .* got {population}",
            )
            for population in (0, 2, 7)
        ),
        (CRFMNES, {"population": 10**12}, "a population of 1000000000000 with 26 parameters needs about .* GB"),
        (SPSA, {"A": -1.0}, "A must be a number of at least 0, got -1"),
        (SPSA, {"A": 1.0, "alpha": math.nan}, "alpha must be a number of at least 0, got nan"),
        (SPSA, {"A": 1.0, "gamma": -0.1}, "gamma must be a number of at least 0, got -0.1"),
        *(
            (rival, {setting: value, **others}, f"{setting} must be a number above 0, got {value}")
            for rival, others, settings in (
                (OpenAIES, {}, ("sigma", "learning_rate")),
                (SPSA, {"A": 1.0}, ("a", "c")),
                (MeZO, {}, ("learning_rate", "epsilon")),
                (RandomSearch, {}, ("sigma",)),
                (CMAES, {}, ("sigma",)),
                (CRFMNES, {}, ("sigma",)),
                (FZOO, {}, ("learning_rate", "epsilon")),
                (DeepZero, {}, ("radius", "learning_rate")),
                (FiniteDifferences, {}, ("probe_radius", "step_size")),
            )
            for setting in settings
            for value in (0.0, -1.0, math.nan, math.inf)
        ),
        *(
            (rival, {"sigma": Constant(0.0)}, "sigma must be above 0 at every step, got 0.0 at step 0")
            for rival in (OpenAIES, RandomSearch)
        ),
        (MeZO, {"learning_rate": Constant(-1.0)}, "learning_rate must be at least 0 at every step, got -1.0 at step 0"),
    ],
)
def test_setting_that_cannot_work_is_refused(rival: Callable[..., Any], settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        rival(LAYOUT, torch.zeros(LAYOUT.size), 0, **settings)


@pytest.mark.parametrize(
    "rival", [OpenAIES, partial(SPSA, A=1.0), MeZO, RandomSearch, FiniteDifferences, CMAES, CRFMNES, FZOO, DeepZero]
)
def test_point_that_does_not_fit_the_layout_is_refused(rival: Callable[..., Any]) -> None:
    with pytest.raises(ValueError, match=rf"point must have shape \({LAYOUT.size},\)"):
        rival(LAYOUT, torch.zeros(3), 0)


@pytest.mark.parametrize("rival", [OpenAIES, RandomSearch])
def test_schedule_that_leaves_its_range_stops_with_an_explanation(rival: Callable[..., Any], bowl: Any) -> None:
    optimizer = rival(LAYOUT, torch.zeros(LAYOUT.size), 0, sigma=LinearOverSteps(0.1, 0.0, 2))
    with pytest.raises(SettingError, match=r"sigma must be above 0 at every step, got 0\.0 at step 2"):
        for _ in range(3):
            optimizer.step(bowl, 0.0)
