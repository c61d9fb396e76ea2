"""Random search: the incumbent defends itself on every batch anew."""

import math
from typing import Any

import pytest
import torch

from baselines.random_search import RandomSearch
from polystep.layout import ParameterLayout

LAYOUT = ParameterLayout({"x": (6,)})


def search(**settings: Any) -> RandomSearch:
    return RandomSearch(LAYOUT, torch.zeros(6), 0, **({"population": 10, "sigma": 0.25} | settings))


def test_incumbent_is_the_first_of_the_candidates_and_the_others_surround_it() -> None:
    points = search(population=2000).ask(0.0).dense(slice(None))
    assert points.shape == (2000, 6)
    assert torch.equal(points[0], torch.zeros(6))
    assert points[1:].std() == pytest.approx(0.25, rel=0.05)


def test_best_candidate_takes_over() -> None:
    optimizer = search()
    points = optimizer.ask(0.0).dense(slice(None))
    report = optimizer.tell(torch.tensor([3.0, 4, 5, 2, 6, 7, 8, 9, 2.5, 4]))
    assert torch.equal(optimizer.solution, points[3])
    assert report.diagnostics["improved"] == 1


@pytest.mark.parametrize("losses", [[3.0] * 10, [3.0] + [4.0] * 9, [3.0] + [math.nan] * 9])
def test_incumbent_stays_on_a_tie_or_when_no_candidate_is_better(losses: list[float]) -> None:
    optimizer = search()
    optimizer.ask(0.0)
    report = optimizer.tell(torch.tensor(losses))
    assert torch.equal(optimizer.solution, torch.zeros(6))
    assert report.diagnostics["improved"] == 0


def test_incumbent_without_a_finite_loss_is_replaced() -> None:
    optimizer = search()
    points = optimizer.ask(0.0).dense(slice(None))
    optimizer.tell(torch.tensor([math.nan, math.inf, 5.0, 4.0, 9, 9, 9, 9, 9, 9]))
    assert torch.equal(optimizer.solution, points[3])


def test_loss_never_rises_on_a_fixed_objective(objective: Any) -> None:
    bowl = objective(lambda points: (points - 1).square().sum(1))
    optimizer = search()
    values = []
    for _ in range(60):
        optimizer.step(bowl, 0.0)
        values.append(float(bowl.function(optimizer.solution.unsqueeze(0))))
    assert values == sorted(values, reverse=True)
    assert values[-1] < 0.1 * 6


def test_luck_of_an_earlier_batch_gives_no_advantage(objective: Any) -> None:
    """The same losses shifted by the batch's difficulty give the same run."""
    shifted, plain = search(), search()
    for step in range(10):
        for optimizer, shift in ((plain, 0.0), (shifted, 100.0 * (-1) ** step)):
            bowl = objective(lambda points, shift=shift: (points.double() - 1).square().sum(1) + shift)
            optimizer.step(bowl, 0.0)
    assert torch.equal(plain.solution, shifted.solution)
