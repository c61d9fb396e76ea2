"""States: resuming is bit equal, and seeds determine runs."""

import copy
import random
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from polystep.algorithm import PolyStep
from polystep.schedule import Cosine, LinearOverSteps
from polystep.update import Adaptive, Coasting, Momentum, Plain
from polystep.weighting import Sinkhorn, Softmax
from tests.function_objective import FunctionObjective
from tests.polystep.algorithm.conftest import SUBSPACES

RESUMED = {
    "coasting total": {"coasting": partial(Coasting, period=3, direction="total"), "update": Momentum},
    "coasting transport": {"coasting": partial(Coasting, period=2), "update": partial(Adaptive, 0.05)},
    "biased": {"biased_rotation": True, "redraw_every": 3},
    "forgetting": {"update": Momentum, "forget_every": 3, "redraw_every": 2},
    "scheduled": {
        "temperature": Cosine(2.0, 0.1),
        "step_radius": LinearOverSteps(1.0, 0.1, 6),
        "probes": 2,
    },
    "simplex": {"polytope": "simplex", "redraw_every": 0},
} | {
    f"{update.__name__} {weighting.__name__}": {
        "update": partial(update, **rate),
        "weighting": partial(weighting, **penalty),
        "redraw_every": 2,
    }
    for update, rate in ((Plain, {}), (Momentum, {}), (Adaptive, {"learning_rate": 0.05, "weight_decay": 0.1}))
    for weighting, penalty in ((Softmax, {}), (Sinkhorn, {"column_penalty": 1.0}))
}
CALLED = ("update", "weighting", "coasting")


@pytest.fixture(params=SUBSPACES)
def configured(request: pytest.FixtureRequest, build: Callable[..., PolyStep]) -> Callable[[str], PolyStep]:
    def polystep(name: str) -> PolyStep:
        settings = {key: value() if key in CALLED else value for key, value in RESUMED[name].items()}
        return build(subspace=SUBSPACES[request.param], **settings)

    return polystep


@pytest.mark.parametrize("name", RESUMED)
@pytest.mark.parametrize("taken_after", [0, 1, 4])
def test_resuming_is_bit_equal(
    configured: Callable[[str], PolyStep], name: str, taken_after: int, quadratic: FunctionObjective
) -> None:
    optimizer = configured(name)
    for step in range(taken_after):
        optimizer.step(quadratic, step / 9)
    state = optimizer.state_dict()
    stored = copy.deepcopy(state)
    shares = [step / 9 for step in range(taken_after, taken_after + 5)]
    points = [optimizer.solution.clone() for used in shares if optimizer.step(quadratic, used)]
    assert_equal_states(state, stored)
    resumed = configured(name)
    resumed.step(quadratic, 0.0)
    resumed.load_state_dict(stored)
    assert_equal_states(resumed.state_dict(), stored)
    for point, used in zip(points, shares, strict=True):
        resumed.step(quadratic, used)
        assert torch.equal(resumed.solution, point)


def assert_equal_states(state: Any, other: Any) -> None:
    """Equality of nested dictionaries of tensors and JSON values."""
    assert type(state) is type(other)
    if isinstance(state, dict):
        assert set(state) == set(other)
        for key in state:
            assert isinstance(key, str)
            assert_equal_states(state[key], other[key])
    elif isinstance(state, Tensor):
        assert torch.equal(state, other)
    else:
        assert isinstance(state, int | float | str | bool | None)
        assert state == other


def test_state_cannot_be_taken_within_a_step(build: Callable[..., PolyStep]) -> None:
    optimizer = build()
    optimizer.ask(0.0)
    with pytest.raises(RuntimeError, match=r"between ask\(\) and tell\(\)"):
        optimizer.state_dict()


def test_loading_a_state_abandons_the_step_begun(build: Callable[..., PolyStep]) -> None:
    optimizer = build()
    state = optimizer.state_dict()
    first = optimizer.ask(0.0).offset
    optimizer.load_state_dict(state)
    assert torch.equal(optimizer.ask(0.0).offset, first)


def test_seed_determines_the_run(build: Callable[..., PolyStep], quadratic: FunctionObjective) -> None:
    points = []
    for seed in (3, 3, 4):
        optimizer = build(seed=seed)
        for _ in range(3):
            optimizer.step(quadratic, 0.0)
        points.append(optimizer.solution)
    assert torch.equal(points[0], points[1])
    assert not torch.equal(points[0], points[2])


def test_global_random_state_is_left_alone(configured: Callable[[str], PolyStep], quadratic: FunctionObjective) -> None:
    before = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()
    optimizer = configured("biased")
    for _ in range(3):
        optimizer.step(quadratic, 0.0)
    assert torch.equal(torch.get_rng_state(), before[0])
    np.testing.assert_array_equal(np.random.get_state()[1], before[1])
    assert random.getstate() == before[2]
