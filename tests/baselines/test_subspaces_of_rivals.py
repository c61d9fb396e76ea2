"""Rivals that search the coordinates of a subspace: what they compute is what they compute in the coordinates."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor

from baselines.cma_es import CMAES
from baselines.mezo import MeZO
from baselines.openai_es import OpenAIES
from baselines.random_search import RandomSearch
from baselines.spsa import SPSA
from polystep.layout import ParameterLayout
from polystep.sampled_space import SampledSpace
from polystep.subspace import HybridSubspace
from polystep.validation import SettingError

LAYOUT = ParameterLayout({"weight": (6, 7), "bias": (6,)})
START = torch.linspace(-1, 1, LAYOUT.size)
SPACE = HybridSubspace(LAYOUT, particle_dimension=1, seed=3, rank=1)
RIVALS = {
    "openai_es": partial(OpenAIES, population=6),
    "spsa": partial(SPSA, a=0.01, A=1.0),
    "mezo": partial(MeZO, learning_rate=0.01, epsilon=0.1),
    "random_search": partial(RandomSearch, population=2, sigma=0.3),
    "cma_es": CMAES,
}


def bowl(points: Tensor) -> Tensor:
    return (points - 0.5).square().sum(1)


def outside(points: Tensor) -> Tensor:
    """What of `points` - START does not lie in the subspace."""
    basis = SPACE.lift(torch.eye(SPACE.coordinates).unsqueeze(-1))
    moved = points - START
    return moved - moved @ torch.linalg.pinv(basis) @ basis


@pytest.mark.parametrize("rival", RIVALS.values(), ids=RIVALS)
def test_candidates_and_solutions_stay_in_the_subspace(rival: Callable[..., Any], objective: Any) -> None:
    optimizer = rival(LAYOUT, START, 3, subspace=partial(HybridSubspace, rank=1))
    for _ in range(10):
        candidates = optimizer.ask(0.0)
        assert outside(candidates.dense(slice(None))).abs().max() < 1e-5
        optimizer.tell(objective(bowl).losses(candidates))
    assert outside(optimizer.solution[None]).abs().max() < 1e-5
    assert outside(torch.randn(5, LAYOUT.size)).abs().max() > 0.1
    assert not torch.equal(optimizer.solution, START)


@pytest.mark.parametrize("rival", RIVALS.values(), ids=RIVALS)
def test_a_subspace_of_some_coordinates_at_a_time_is_refused(rival: Callable[..., Any]) -> None:
    with pytest.raises(SettingError, match="moves 16 of its 48 coordinates at a time"):
        rival(LAYOUT, START, 3, subspace=SampledSpace)


@pytest.mark.parametrize("rival", RIVALS.values(), ids=RIVALS)
def test_search_of_a_whole_space_in_itself_equals_that_of_its_coordinates(
    rival: Callable[..., Any], objective: Any
) -> None:
    """A method on f(START + lift(x)) over x from zero is the same method in the subspace."""
    inside = ParameterLayout({"coordinates": (SPACE.coordinates,)})
    lifted, alone = (
        rival(LAYOUT, START, 3, subspace=partial(HybridSubspace, rank=1)),
        rival(inside, torch.zeros(SPACE.coordinates), 3),
    )
    for _ in range(5):
        lifted.step(objective(bowl), 0.0)
        alone.step(objective(lambda x: bowl(START + SPACE.lift(x.unsqueeze(-1)))), 0.0)
    expected = START + SPACE.lift(alone.solution.unsqueeze(-1))
    torch.testing.assert_close(lifted.solution, expected, rtol=1e-4, atol=1e-5)
