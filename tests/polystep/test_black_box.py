"""Black boxes: minimize finds minima of many kinds of functions without settings, and says in a sentence what is wrong."""

import math
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from baselines.openai_es import OpenAIES
from polystep import minimize
from polystep.conformance import check_optimizer
from polystep.domain import BlackBoxError
from polystep.factories import for_black_boxes
from polystep.validation import SettingError

Array = NDArray[np.float64]


def sphere(x: Array) -> Any:
    return (x**2).sum(-1)


def rosenbrock(x: Array) -> Any:
    return (100 * (x[..., 1:] - x[..., :-1] ** 2) ** 2 + (1 - x[..., :-1]) ** 2).sum(-1)


def rotated_ellipsoid(x: Array) -> Any:
    size = x.shape[-1]
    basis = np.linalg.qr(np.random.default_rng(7).normal(size=(size, size)))[0]
    return (10 ** (6 * np.arange(size) / (size - 1)) * (x @ basis) ** 2).sum(-1)


def rastrigin(x: Array) -> Any:
    return (x**2 - 10 * np.cos(2 * np.pi * x) + 10).sum(-1)


def stairs(x: Array) -> Any:
    return (np.floor(x + 0.5) ** 2).sum(-1)


def far(x: Array) -> Any:
    return ((x - 300) ** 2).sum(-1)


def tiny(x: Array) -> Any:
    return 1e-8 * ((x - 1e-3) ** 2).sum(-1)


@pytest.mark.parametrize(
    ("function", "size", "reached"),
    [
        (sphere, 2, 1e-12),
        (rosenbrock, 2, 1e-9),
        (rosenbrock, 5, 1e-9),
        (rotated_ellipsoid, 5, 1e-9),
        (stairs, 4, 0.0),
        # the median local minimum of random starts is at about 130
        (rastrigin, 4, 30.0),
        (far, 3, 1e-12),
        (tiny, 3, 1e-20),
    ],
)
def test_minima_are_found_without_settings(function: Any, size: int, reached: float) -> None:
    start = np.random.default_rng(0).uniform(-2, 2, size)
    found = minimize(function, start, budget=600 * size, batch=True)
    assert found.fun <= reached
    assert found.fun == function(found.x)
    assert found.success


@pytest.mark.parametrize(("size", "budget"), [(2, 800), (20, 4000)])
def test_the_end_is_near_the_minimum_of_a_noisy_function(size: int, budget: int) -> None:
    noise = np.random.default_rng(0)
    found = minimize(lambda x: sphere(x - 1) + noise.normal(size=len(x)), np.full(size, 3.0), budget=budget, batch=True)
    assert sphere(found.x - 1) < 0.4
    # the value of the end itself, not the luckiest of all
    assert abs(found.fun) < 3.5


def test_points_are_of_the_type_of_the_start() -> None:
    kinds = set()

    def function(x: Any) -> Any:
        kinds.add((type(x), x.dtype, x.shape))
        return (x**2).sum()

    assert isinstance(minimize(function, [1, 2], budget=50).x, np.ndarray)
    assert kinds == {(np.ndarray, np.dtype("float64"), (2,))}
    kinds.clear()
    assert isinstance(minimize(function, torch.ones(2), budget=50).x, Tensor)
    assert kinds == {(Tensor, torch.float32, torch.Size([2]))}


@pytest.mark.parametrize(
    "value", [float, np.float32, lambda v: np.array(v), lambda v: int(v * 1e6), lambda v: torch.tensor(v)]
)
def test_a_number_may_have_any_type(value: Any) -> None:
    assert sphere(minimize(lambda x: value(float(sphere(x))), [1.0, 2.0], budget=400).x) < 1e-3


def test_one_point_at_a_time_equals_a_batch() -> None:
    one = minimize(lambda x: float(abs(x - 1).max()), [0.0] * 3, budget=300, seed=4)
    batch = minimize(lambda x: abs(x - 1).max(-1), [0.0] * 3, budget=300, seed=4, batch=True)
    np.testing.assert_array_equal(one.x, batch.x)
    assert (one.fun, one.nfev, one.message, one.history) == (batch.fun, batch.nfev, batch.message, batch.history)


def test_the_seed_decides() -> None:
    first, second, other = (minimize(rosenbrock, [0.0] * 3, budget=300, seed=seed, batch=True) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.x, second.x)
    assert not np.array_equal(first.x, other.x)


@pytest.mark.parametrize("budget", [11, 12, 50, 333])
def test_the_budget_is_kept(budget: int) -> None:
    calls = []
    found = minimize(lambda x: calls.append(1) or float(sphere(x)), [1.0] * 4, budget=budget)
    assert budget - 8 <= found.nfev == len(calls) <= budget
    evaluations = [count for count, _ in found.history]
    assert evaluations == sorted(evaluations)
    lowest = [value for _, value in found.history]
    assert lowest == sorted(lowest, reverse=True) and found.fun <= lowest[-1]


def test_a_changed_argument_changes_nothing() -> None:
    def careless(x: Array) -> float:
        value = float(sphere(x))
        x += 5
        return value

    assert minimize(careless, [1.0, 2.0], budget=400).fun < 1e-6


def test_infinite_values_repel() -> None:
    found = minimize(lambda x: sphere(x) if x[0] > -1 else math.inf, [2.0, 2.0], budget=600)
    assert found.fun < 1e-6


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_step_without_any_value_ends_the_search(value: float) -> None:
    calls = []
    found = minimize(lambda x: calls.append(1) or (1.0 if len(calls) <= 2 else value), [1.0, 2.0], budget=100)
    assert not found.success and "no point of the last step has a finite value" in found.message
    np.testing.assert_array_equal(found.x, [1.0, 2.0])
    assert found.fun == 1.0 and found.nfev == len(calls) == 7


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ((1.0, 2.0), r"one real number for a point.*shape \(2, 2\)"),
        (np.zeros(3), r"one real number for a point.*shape \(2, 3\)"),
        (None, "one real number for a point"),
        ("low", "one real number for a point"),
        (1j, "complex numbers have no order"),
        (math.nan, "is nan at the start; choose a start where it is finite"),
    ],
)
def test_useless_values_are_refused(value: Any, message: str) -> None:
    with pytest.raises(BlackBoxError, match=message):
        minimize(lambda x: value, [0.0, 0.0])


def test_a_batch_needs_a_vector() -> None:
    with pytest.raises(BlackBoxError, match=r"with batch=True a vector.*got shape \(\) for 2 points"):
        minimize(lambda x: float((x**2).sum()), [0.0, 0.0], batch=True)


@pytest.mark.parametrize(
    ("budget", "message"),
    [
        (0, "at least 2.*got 0"),
        (1, "at least 2.*got 1"),
        (2, "give at least 7"),
        (-3, "got -3"),
        (2.5, "got 2.5"),
        (True, "got True"),
        (6, "give at least 7"),
    ],
)
def test_useless_budgets_are_refused(budget: Any, message: str) -> None:
    with pytest.raises(BlackBoxError, match=message):
        minimize(sphere, [1.0, 1.0], budget=budget)


@pytest.mark.parametrize("error", [ZeroDivisionError, KeyboardInterrupt])
def test_what_the_function_raises_passes_through(error: type[BaseException]) -> None:
    raised = error("from the function")

    def function(x: Array) -> float:
        raise raised

    with pytest.raises(error) as caught:
        minimize(function, [0.0, 0.0])
    assert caught.value is raised


def test_more_coordinates_than_one_polytope_has() -> None:
    found = minimize(sphere, np.ones(130), budget=8000, batch=True)
    assert found.fun < 1e-3


@pytest.mark.parametrize("seed", [None, 1.5, "a", True, np.array(3.0), np.array([1, 2]), torch.tensor(1.5)])
def test_useless_seeds_are_refused(seed: Any) -> None:
    with pytest.raises(SettingError, match="seed must be a whole number, got"):
        minimize(sphere, [1.0], seed=seed)


def test_what_is_no_function_is_refused() -> None:
    with pytest.raises(BlackBoxError, match="function must be a function of a point, got 3"):
        minimize(3, [1.0])  # type: ignore[arg-type]


SMALL_STEPS = partial(OpenAIES, sigma=1e-3, learning_rate=1e-3)


@pytest.mark.parametrize("integrality", [True, [True, False]])
def test_whole_numbers_that_never_changed_are_no_success(integrality: Any) -> None:
    """Small steps are rounded away; what other coordinates do does not matter."""
    found = minimize(sphere, [3.0, 4.0], SMALL_STEPS, budget=200, integrality=integrality)
    assert not found.success and found.x[0] == 3.0
    assert found.message.startswith("the whole-number coordinates of all points asked for were those of the start")
    assert minimize(sphere, [3.0, 4.0], SMALL_STEPS, budget=200).success


def test_another_reason_to_end_is_told_first() -> None:
    values = iter([1.0, 1.0])
    found = minimize(lambda x: next(values, math.nan), [3.0, 4.0], SMALL_STEPS, budget=200, integrality=True)
    assert not found.success and "has a finite value" in found.message


@pytest.mark.parametrize("size", [1, 2, 4, 8])
def test_zeros_and_ones_are_found(size: int) -> None:
    target = np.random.default_rng(size).integers(0, 2, size).astype(float)
    found = minimize(lambda x: sphere(x - target), [1.0] * size, bounds=(0, 1), integrality=True)
    assert found.fun == 0 and found.success


def test_points_that_are_not_finite_are_never_the_best() -> None:
    class Lost(OpenAIES):
        def _learn(self, losses: Tensor) -> dict[str, float]:
            self._point = self._point * math.nan
            return {}

    # NaN compares as false, so a count of what is large calls it perfect
    found = minimize(lambda x: float(sum(value > -1e9 for value in x)), [3.0, 4.0], Lost, budget=200)
    assert np.isfinite(found.x).all() and found.fun == 2.0 and not found.success


def test_the_random_state_is_left_alone() -> None:
    torch_state, numpy_state = torch.get_rng_state(), np.random.get_state()[1].copy()  # type: ignore[union-attr, index]
    minimize(sphere, [1.0, 1.0], budget=50)
    assert torch.equal(torch.get_rng_state(), torch_state)
    np.testing.assert_array_equal(np.random.get_state()[1], numpy_state)  # type: ignore[index]


@pytest.mark.parametrize("noisy", [False, True])
def test_the_preset_obeys_the_contract(noisy: bool) -> None:
    check_optimizer(partial(for_black_boxes, noisy=noisy))
