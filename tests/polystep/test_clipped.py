"""The rule that keeps a point in a box."""

import pytest
import torch

from polystep.schedule import Moment
from polystep.update import Clipped, Momentum, Plain


def test_point_ends_in_the_box_and_moves_freely_inside() -> None:
    rule = Clipped(2.0)
    point = torch.tensor([0.0, 1.5, -1.5, 1.0])
    movement = rule.move(torch.tensor([0.5, 3.0, -3.0, -9.0]), Moment(0, 0.0), point)
    assert torch.equal(point + movement, torch.tensor([0.5, 2.0, -2.0, -2.0]))
    assert torch.equal(point, torch.tensor([0.0, 1.5, -1.5, 1.0]))


def test_point_outside_comes_back() -> None:
    point = torch.tensor([5.0])
    assert torch.equal(point + Clipped(1.0).move(torch.zeros(1), Moment(0, 0.0), point), torch.ones(1))


def test_inner_rule_keeps_its_memory_through_states() -> None:
    displacement, point = torch.tensor([0.25, 0.5]), torch.zeros(2)
    one, plain = Clipped(1.0, Momentum(0.5, 0.5, 1)), Momentum(0.5, 0.5, 1)
    assert torch.equal(one.move(displacement, Moment(0, 0.0), point), plain.move(displacement, Moment(0, 0.0), point))
    other = Clipped(1.0, Momentum(0.5, 0.5, 1))
    other.load_state_dict(one.state_dict())
    assert torch.equal(other.move(displacement, Moment(1, 0.0), point), torch.tensor([0.375, 0.75]))
    other.forget()
    assert torch.equal(other.move(displacement, Moment(2, 0.0), point), displacement)
    assert Clipped(1.0).state_dict() == Plain().state_dict()


@pytest.mark.parametrize("bound", [0.0, -1.0, float("nan")])
def test_bound_must_be_positive(bound: float) -> None:
    with pytest.raises(ValueError, match="bound must be a number above 0"):
        Clipped(bound)
