"""Quasi-Newton steps."""

import math

import pytest
import torch

from polystep.quasi_newton import QuasiNewton
from polystep.schedule import Moment

NOW = Moment(0, 0.0)


def test_curvature_is_learnt() -> None:
    """Gradient descent with the best fixed step would still have (1 - 2e-4)^60 = 0.99 of its start left."""
    curvature = torch.logspace(0, 4, 8, dtype=torch.float64)
    point, update = torch.ones(8, dtype=torch.float64), QuasiNewton(radius=1.0)
    for _ in range(60):
        point = point + update.move(-curvature * point, NOW, point)
    assert point.norm() < 1e-6


def test_the_factor_of_the_displacement_does_not_matter() -> None:
    curvature = torch.logspace(0, 3, 5, dtype=torch.float64)
    ends = []
    for factor in (1.0, 1e-9):
        point, update = torch.ones(5, dtype=torch.float64), QuasiNewton()
        for _ in range(9):
            point = point + update.move(-factor * curvature * point, NOW, point)
        ends.append(point)
    torch.testing.assert_close(*ends)


def test_the_trust_radius_grows_along_and_shrinks_back_and_under_caution() -> None:
    along, across = torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0])
    for second, caution, exponent in ((along, 0.0, 0.2), (-along, 0.0, -0.2), (across, 0.5, -0.1)):
        update = QuasiNewton(radius=2.0, gain=0.2, caution=caution)
        torch.testing.assert_close(update.move(3 * along, NOW, torch.zeros(2)), 2 * along)
        # at the same point again, so that no curvature is learnt
        movement = update.move(second, NOW, torch.zeros(2))
        torch.testing.assert_close(movement, 2 * math.exp(exponent) * second)


def test_a_displacement_of_zero_moves_nothing() -> None:
    update = QuasiNewton()
    for _ in range(3):
        assert torch.equal(update.move(torch.zeros(3), NOW, torch.zeros(3)), torch.zeros(3))


@pytest.mark.parametrize("setting", [{"radius": 0.0}, {"gain": -1.0}, {"caution": -0.1}, {"memory": 0}])
def test_useless_settings_are_refused(setting: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(setting))):
        QuasiNewton(**setting)  # type: ignore[arg-type]
