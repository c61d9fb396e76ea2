"""Plain, momentum and adaptive updates, and coasting."""

import math
from typing import Any, Literal

import pytest
import torch
from torch import Tensor

from polystep.schedule import CosineOverSteps, LinearOverSteps, Moment
from polystep.update import Adaptive, Coasting, Momentum, Plain, Update


def at(step: int) -> Moment:
    return Moment(step, 0.0)


@pytest.fixture
def displacements() -> Tensor:
    return torch.randn(12, 5, generator=torch.Generator().manual_seed(0))


POINT = torch.zeros(5)


def test_plain_update_moves_by_the_displacement(displacements: Tensor) -> None:
    assert torch.equal(Plain().move(displacements[0], at(0), POINT), displacements[0])


def test_momentum_is_an_undamped_velocity(displacements: Tensor) -> None:
    update = Momentum(start=0.5, end=0.5)
    for t in range(4):
        expected = sum(0.5 ** (t - s) * displacements[s] for s in range(t + 1))
        torch.testing.assert_close(update.move(displacements[t], at(t), POINT), expected)


def test_steady_momentum_is_twenty_raw_steps() -> None:
    update = Momentum(start=0.95, end=0.95)
    for t in range(400):
        movement = update.move(torch.ones(1), at(t), torch.zeros(1))
    assert movement.item() == pytest.approx(20, rel=1e-5)


@pytest.mark.parametrize(("step", "beta"), [(0, 0.5), (1, 0.55), (5, 0.75), (9, 0.95), (10, 0.95), (999, 0.95)])
def test_momentum_warms_up_linearly(step: int, beta: float) -> None:
    update = Momentum(start=0.5, end=0.95, warmup_steps=9)
    update.move(torch.ones(1), at(0), torch.zeros(1))
    assert update.move(torch.zeros(1), at(step), torch.zeros(1)).item() == pytest.approx(beta)


def test_momentum_warms_up_over_49_steps_by_default() -> None:
    update = Momentum()
    update.move(torch.ones(1), at(0), torch.zeros(1))
    assert update.move(torch.zeros(1), at(48), torch.zeros(1)).item() < 0.95
    update.forget()
    update.move(torch.ones(1), at(0), torch.zeros(1))
    assert update.move(torch.zeros(1), at(49), torch.zeros(1)).item() == pytest.approx(0.95)


@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
@pytest.mark.parametrize("betas", [(0.9, 0.999), (0.0, 0.9)])
def test_adaptive_update_is_adam_with_decoupled_decay(
    displacements: Tensor, betas: tuple[float, float], weight_decay: float
) -> None:
    parameter = torch.nn.Parameter(torch.linspace(-1, 1, 5))
    adam = torch.optim.AdamW([parameter], lr=0.03, betas=betas, eps=1e-8, weight_decay=weight_decay)
    update = Adaptive(0.03, beta1=betas[0], beta2=betas[1], epsilon=1e-8, weight_decay=weight_decay)
    point = parameter.detach().clone()
    for t, displacement in enumerate(displacements):
        parameter.grad = -displacement
        adam.step()
        point = point + update.move(displacement, at(t), point)
        torch.testing.assert_close(point, parameter.detach())


def test_adaptive_update_without_decay_is_adam(displacements: Tensor) -> None:
    parameter = torch.nn.Parameter(torch.zeros(5))
    adam = torch.optim.Adam([parameter], lr=0.1, eps=1e-12)
    update = Adaptive(0.1)
    point = torch.zeros(5)
    for t, displacement in enumerate(displacements * 1e-6):
        parameter.grad = -displacement
        adam.step()
        point = point + update.move(displacement, at(t), point)
    torch.testing.assert_close(point, parameter.detach())


def test_adaptive_rate_may_be_a_schedule() -> None:
    update = Adaptive(LinearOverSteps(0.4, 0.0, 4))
    movements = [update.move(torch.ones(1), at(t), torch.zeros(1)).item() for t in range(5)]
    assert movements == pytest.approx([0.4, 0.3, 0.2, 0.1, 0.0], rel=1e-4)


def test_adaptive_update_of_nothing_is_nothing() -> None:
    assert torch.equal(Adaptive(0.1).move(torch.zeros(3), at(0), torch.ones(3)), torch.zeros(3))


UPDATES = pytest.mark.parametrize(
    "build",
    [Plain, Momentum, lambda: Adaptive(CosineOverSteps(0.1, 0.0, 9), weight_decay=0.1)],
    ids=["plain", "momentum", "adaptive"],
)


@UPDATES
@pytest.mark.parametrize("taken_after", [0, 1, 4])
def test_state_round_trip_is_bit_equal(build: Any, taken_after: int, displacements: Tensor) -> None:
    update: Update = build()
    for t in range(taken_after):
        update.move(displacements[t], at(t), POINT)
    state = update.state_dict()
    expected = [update.move(displacements[t], at(t), POINT) for t in range(taken_after, 8)]
    resumed: Update = build()
    resumed.move(torch.ones(5), at(0), POINT)
    resumed.load_state_dict(state)
    for t in range(taken_after, 8):
        assert torch.equal(resumed.move(displacements[t], at(t), POINT), expected[t - taken_after])


@UPDATES
def test_forgetting_equals_a_new_start(build: Any, displacements: Tensor) -> None:
    update: Update = build()
    update.move(displacements[0], at(0), POINT)
    update.forget()
    assert update.state_dict() == {}
    assert torch.equal(update.move(displacements[1], at(1), POINT), build().move(displacements[1], at(1), POINT))


@pytest.mark.parametrize(
    ("rule", "settings"),
    [
        (Momentum, {"start": 1.0}),
        (Momentum, {"end": -0.1}),
        (Momentum, {"warmup_steps": 0}),
        (Adaptive, {"beta1": 1.0}),
        (Adaptive, {"beta2": 1.5}),
        (Adaptive, {"weight_decay": -1.0}),
        (Adaptive, {"weight_decay": math.inf}),
        (Adaptive, {"learning_rate": True}),
        (Adaptive, {"learning_rate": math.nan}),
        (Adaptive, {"learning_rate": -0.1}),
        (Adaptive, {"epsilon": 0.0}),
        (Coasting, {"period": 0}),
        (Coasting, {"decay": 1.0}),
        (Coasting, {"direction": "sideways"}),
    ],
)
def test_invalid_setting_is_named(rule: Any, settings: dict[str, Any]) -> None:
    needed = {"learning_rate": 0.1} if rule is Adaptive else {}
    with pytest.raises(ValueError, match=next(iter(settings))):
        rule(**(needed | settings))


def test_first_step_and_every_period_are_full() -> None:
    coasting = Coasting(period=3)
    assert all(coasting.is_full(t) for t in range(4))
    coasting.record(torch.ones(1), torch.ones(1))
    assert [coasting.is_full(t) for t in range(7)] == [True, False, False, True, False, False, True]


def test_period_one_never_coasts() -> None:
    coasting = Coasting(period=1)
    coasting.record(torch.ones(1), torch.ones(1))
    assert all(coasting.is_full(t) for t in range(5))


@pytest.mark.parametrize(("direction", "moved"), [("transport", 3.0), ("total", 6.0)])
def test_coasting_strength_is_two_thirds_then_one_third(direction: Literal["transport", "total"], moved: float) -> None:
    coasting = Coasting(period=3, direction=direction)
    coasting.record(torch.tensor([3.0]), torch.tensor([6.0]))
    assert coasting.movement(1).item() == pytest.approx(moved * 2 / 3)
    assert coasting.movement(2).item() == pytest.approx(moved / 3)
    assert coasting.movement(4).item() == pytest.approx(moved * 2 / 3)


def test_coasting_direction_is_an_exponential_average() -> None:
    coasting = Coasting(period=2, decay=0.7)
    for displacement in (1.0, 3.0, -2.0):
        coasting.record(torch.tensor([displacement]), torch.zeros(1))
    average = 0.7 * (0.7 * 1.0 + 0.3 * 3.0) + 0.3 * -2.0
    assert coasting.movement(1).item() == pytest.approx(average / 2)


def test_forgetting_makes_the_next_step_full() -> None:
    coasting = Coasting(period=3)
    coasting.record(torch.ones(1), torch.ones(1))
    coasting.forget()
    assert coasting.is_full(1)
    with pytest.raises(RuntimeError, match="no full step has been recorded"):
        coasting.movement(1)


def test_coasting_state_round_trip() -> None:
    coasting, resumed = Coasting(period=3), Coasting(period=3)
    assert coasting.state_dict() == {}
    coasting.record(torch.tensor([3.0]), torch.tensor([6.0]))
    resumed.load_state_dict(coasting.state_dict())
    assert torch.equal(resumed.movement(1), coasting.movement(1))
    resumed.load_state_dict({})
    assert resumed.is_full(1)
