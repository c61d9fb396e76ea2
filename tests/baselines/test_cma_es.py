"""CMA-ES: pycma's own numbers, exact resumption without pickle, silence, memory."""

import copy
import math
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import cma
import numpy as np
import pytest
import torch
from torch import Tensor

from baselines.cma_es import CMAES
from polystep import machine
from polystep.conformance.objectives import FailingObjective
from polystep.layout import ParameterLayout
from polystep.random import named_generator


def build(dimension: int, seed: int = 0, **settings: Any) -> CMAES:
    return CMAES(ParameterLayout({"x": (dimension,)}), torch.linspace(-1, 1, dimension), seed, **settings)


def ill_conditioned(points: Tensor) -> Tensor:
    """sum_j 10^(8 j/D) (x_j - 1)^2 after a rotation of neighbours."""
    moved = points.double() - 1
    moved = (moved + moved.roll(1, dims=1)) / math.sqrt(2)
    return (moved.square() * torch.logspace(0, 8, points.shape[1], dtype=torch.float64)).sum(1)


def slope(points: Tensor) -> Tensor:
    return points.sum(1).double()


@pytest.fixture
def numpy_state_restored() -> Any:
    state = np.random.get_state()
    yield
    np.random.set_state(state)


@pytest.mark.parametrize(
    ("dimension", "settings", "options"),
    [
        (7, {"population": 12}, {"popsize": 12}),
        (7, {}, {}),
        (7, {"covariance": "diagonal"}, {"CMA_diagonal": True}),
        (1000, {"population": 8}, {"popsize": 8, "CMA_diagonal": True}),
    ],
)
def test_equals_plain_pycma_with_the_same_normal_numbers(
    dimension: int,
    settings: Any,
    options: Any,
    function: Callable[[Tensor], Tensor],
    objective: Any,
    numpy_state_restored: None,
) -> None:
    optimizer = build(dimension, seed=4, sigma=0.3, **settings)
    generator = named_generator(4, "cma_es")
    options = options | {
        "randn": lambda *shape: torch.randn(shape, generator=generator, dtype=torch.float64).numpy(),
        "verbose": -9,
    }
    plain = cma.CMAEvolutionStrategy(torch.linspace(-1, 1, dimension).double().numpy(), 0.3, options)
    for _ in range(30):
        optimizer.step(objective(function), 0.0)
        samples = plain.ask(0.0)
        plain.tell(samples, function(torch.tensor(np.stack(samples), dtype=torch.float32)).tolist())
        np.testing.assert_array_equal(optimizer.solution.numpy(), plain.mean.astype(np.float32))


@pytest.mark.parametrize(
    ("dimension", "settings", "function"),
    [
        (6, {}, slope),
        (6, {"population": 4, "covariance": "diagonal"}, ill_conditioned),
        (6, {"population": 5}, ill_conditioned),
        (20, {"population": 16}, ill_conditioned),
        # from here on the covariance is decomposed every few generations only
        (200, {"population": 6}, ill_conditioned),
        (400, {"covariance": "diagonal"}, ill_conditioned),
        (1500, {"population": 5}, ill_conditioned),
    ],
)
def test_resuming_is_bit_equal_over_many_generations(
    dimension: int, settings: Any, function: Callable[[Tensor], Tensor], objective: Any
) -> None:
    optimizer = build(dimension, **settings)
    resumed = build(dimension, **settings)
    for generation in range(30):
        optimizer.step(objective(function), 0.0)
        if generation % 7 == 3:
            resumed.load_state_dict(copy.deepcopy(optimizer.state_dict()))
        elif generation > 3:
            resumed.step(objective(function), 0.0)
            assert_equal(optimizer, resumed)
    for _ in range(15 if dimension > 100 else 300):
        optimizer.step(objective(function), 0.0)
        resumed.step(objective(function), 0.0)
        assert_equal(optimizer, resumed)


def assert_equal(one: CMAES, other: CMAES) -> None:
    assert torch.equal(one.solution, other.solution)
    assert one._strategy.sigma == other._strategy.sigma


def test_resuming_carries_what_pycma_does_against_ill_conditioning(objective: Any) -> None:
    """Rescaled coordinates, and a linear map in place of the covariance."""
    for condition, relieve in (
        (1.1, "alleviate_conditioning_in_coordinates"),
        (1.1, "alleviate_conditioning"),
    ):
        optimizer = build(8)
        for _ in range(20):
            optimizer.step(objective(ill_conditioned), 0.0)
        getattr(optimizer._strategy, relieve)(condition)
        optimizer.step(objective(ill_conditioned), 0.0)
        resumed = build(8)
        resumed.load_state_dict(copy.deepcopy(optimizer.state_dict()))
        assert optimizer._strategy.gp.isidentity == (relieve != "alleviate_conditioning")
        for _ in range(200):
            optimizer.step(objective(ill_conditioned), 0.0)
            resumed.step(objective(ill_conditioned), 0.0)
            assert_equal(optimizer, resumed)
        assert float(ill_conditioned(optimizer.solution.unsqueeze(0))) < 1.0


def test_resuming_carries_a_redistributed_step_size(objective: Any) -> None:
    optimizer = build(20, covariance="diagonal", sigma=1e-6)
    while not hasattr(optimizer._strategy.sm, "standard_deviations"):
        optimizer.step(objective(slope), 0.0)
    resumed = build(20, covariance="diagonal", sigma=1e-6)
    resumed.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    for _ in range(20):
        optimizer.step(objective(slope), 0.0)
        resumed.step(objective(slope), 0.0)
        assert_equal(optimizer, resumed)


@pytest.mark.parametrize("covariance", ["full", "diagonal"])
def test_nothing_else_of_the_strategy_matters(covariance: Any, objective: Any) -> None:
    """After one more generation each, every array and number of the original and of the resumed strategy is equal, but
    for what is kept for stopping, logging and display.
    """
    optimizer, resumed = build(320, covariance=covariance), build(320, covariance=covariance)
    for _ in range(25):
        optimizer.step(objective(ill_conditioned), 0.0)
    resumed.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    for one in (optimizer, resumed):
        one.step(objective(ill_conditioned), 0.0)
    display = {"countevals", "mean_old_old", "itereigenupdated", "_last_multiplier"}
    for part in ("", "sm", "sigma_vec", "adapt_sigma", "gp"):
        original, copied = (getattr(es, part) if part else es for es in (optimizer._strategy, resumed._strategy))
        for name in {name for name, value in vars(original).items() if isinstance(value, np.ndarray | int | float)}:
            if name not in display:
                np.testing.assert_array_equal(getattr(original, name), getattr(copied, name), err_msg=f"{part}.{name}")


def test_solves_rosenbrock(objective: Any) -> None:
    def rosenbrock(points: Tensor) -> Tensor:
        first, second = points.double()[:, :-1], points.double()[:, 1:]
        return (100 * (second - first.square()).square() + (1 - first).square()).sum(1)

    optimizer = build(6)
    for _ in range(400):
        optimizer.step(objective(rosenbrock), 0.0)
    torch.testing.assert_close(optimizer.solution, torch.ones(6), rtol=0, atol=1e-3)


def test_run_goes_on_where_pycma_would_stop(objective: Any) -> None:
    for function in (lambda points: points.square().sum(1), lambda points: torch.zeros(len(points))):
        optimizer = build(5)
        for _ in range(500):
            optimizer.step(objective(function), 0.0)
        assert optimizer._strategy.stop()
        assert torch.isfinite(optimizer.solution).all()


def test_best_ever_is_the_candidate_with_the_lowest_loss_so_far(objective: Any) -> None:
    optimizer, mean = build(5, report="best_ever"), build(5)
    assert torch.equal(optimizer.solution, torch.linspace(-1, 1, 5))
    lowest, best = math.inf, optimizer.solution
    for step in range(20):
        candidates, _ = optimizer.ask(0.0), mean.ask(0.0)
        losses = candidates.dense(slice(None)).square().sum(1) + 10 * (step % 3)
        if losses.min() < lowest:
            lowest, best = float(losses.min()), candidates.points[losses.argmin()]
        optimizer.tell(losses)
        mean.tell(losses)
        assert torch.equal(optimizer.solution, best)
        assert not torch.equal(mean.solution, best)


def test_covariance_is_diagonal_from_1000_parameters_on() -> None:
    assert build(999)._strategy.opts["CMA_diagonal"] is False
    assert build(1000)._strategy.opts["CMA_diagonal"] is True
    assert build(999, covariance="diagonal")._strategy.opts["CMA_diagonal"] is True
    assert build(12)._population == 4 + int(3 * math.log(12))


def test_candidate_without_a_finite_loss_ranks_last(objective: Any) -> None:
    strange, high = build(6), build(6)
    losses = [torch.arange(len(optimizer.ask(0.0)), dtype=torch.float32) for optimizer in (strange, high)]
    losses[0][2], losses[1][2] = math.nan, 1e5
    strange.tell(losses[0])
    high.tell(losses[1])
    assert torch.equal(strange.solution, high.solution)


@pytest.mark.parametrize("dimension", [8, 400])
def test_nothing_is_printed_and_warning_filters_stay(
    dimension: int, objective: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    before = list(warnings.filters)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        optimizer = build(dimension, covariance="diagonal")
        for _ in range(15):
            candidates = optimizer.ask(0.0)
            losses = slope(candidates.dense(slice(None)))
            losses[0] = math.nan
            optimizer.tell(losses)
    assert caught == []
    assert capfd.readouterr() == ("", "")
    assert warnings.filters == before


@pytest.mark.parametrize(("dimension", "settings"), [(20, {"population": 5}), (400, {}), (1200, {})])
def test_a_step_that_fails_can_be_repeated(dimension: int, settings: dict[str, Any], objective: Any) -> None:
    """Asking uses up random numbers and, with selective mirroring or two-point adaptation, directions that pycma keeps."""
    one, other = build(dimension, **settings), build(dimension, **settings)
    for _ in range(5):
        report = one.step(objective(slope), 0.0)
        with pytest.raises(ConnectionError):
            other.step(FailingObjective(), 0.0)
        assert other.step(objective(slope), 0.0).loss == report.loss
        assert_equal(one, other)


def test_what_cannot_fit_is_refused_before_it_is_allocated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "available_memory", lambda: 2e9)
    full = partial(build, 101770, population=16, covariance="full")
    with pytest.raises(ValueError, match=r"needs about 746 GB of memory, but 2 GB are available; covariance=diagonal"):
        full()
    monkeypatch.setattr(machine, "available_memory", lambda: 1e8)
    with pytest.raises(ValueError, match=r"needs about 0.117 GB .* use a smaller population or a smaller model"):
        build(101770, population=16)
    monkeypatch.undo()
    assert 1e8 < machine.available_memory() < 1e14
