"""What outlasts a step: coasting, redraws, forgetting and biased rotations."""

from collections.abc import Callable
from itertools import pairwise

import pytest
import torch

from polystep.algorithm import PolyStep
from polystep.subspace import FullSpace
from polystep.update import Coasting, Momentum
from polystep.weighting import Sinkhorn
from tests.function_objective import FunctionObjective
from tests.polystep.algorithm.conftest import SUBSPACES


def test_coasting_steps_evaluate_nothing(build: Callable[..., PolyStep], quadratic: FunctionObjective) -> None:
    optimizer = build(coasting=Coasting(period=3))
    reports = [optimizer.step(quadratic, 0.0) for _ in range(7)]
    assert quadratic.seen == [52, 52, 52]
    assert [report.loss is None for report in reports] == [False, True, True, False, True, True, False]


def test_candidates_of_a_coasting_step_are_written_out_as_no_points(
    build: Callable[..., PolyStep], quadratic: FunctionObjective
) -> None:
    for subspace in SUBSPACES.values():
        optimizer = build(subspace=subspace, coasting=Coasting(period=2))
        optimizer.step(quadratic, 0.0)
        assert optimizer.ask(0.0).dense(slice(None)).shape == (0, 26)


@pytest.mark.parametrize("direction", ["transport", "total"])
def test_coasting_repeats_the_displacement_or_the_whole_movement(
    build: Callable[..., PolyStep], quadratic: FunctionObjective, direction: str
) -> None:
    settings = {"update": Momentum(start=0.8, end=0.8), "redraw_every": 0}
    coasting = build(coasting=Coasting(period=3, decay=0.7, direction=direction), **settings)
    points = [coasting.solution]
    for _ in range(6):
        coasting.step(quadratic, 0.0)
        points.append(coasting.solution)
    moved = [after - before for before, after in pairwise(points)]
    first = moved[0]
    torch.testing.assert_close(moved[1], first * 2 / 3, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(moved[2], first / 3, rtol=1e-4, atol=1e-6)
    second = moved[3] if direction == "total" else moved[3] - 0.8 * first
    average = 0.7 * first + 0.3 * second
    torch.testing.assert_close(moved[4], average * 2 / 3, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(moved[5], average / 3, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("redraw_every", "period", "draws"),
    [(0, 1, [0, 0, 0, 0, 0]), (1, 1, [1, 2, 3, 4, 5]), (2, 1, [0, 1, 1, 2, 2]), (2, 2, [0, 0, 1, 1, 1])],
)
def test_projections_are_redrawn_every_so_many_full_steps(
    build: Callable[..., PolyStep], quadratic: FunctionObjective, redraw_every: int, period: int, draws: list[int]
) -> None:
    optimizer = build(subspace=SUBSPACES["row"], redraw_every=redraw_every, coasting=Coasting(period=period))
    seen = []
    for _ in range(5):
        optimizer.step(quadratic, 0.0)
        seen.append(optimizer.subspace.draw)
    assert seen == draws


def test_redraw_keeps_velocity_and_coasting(build: Callable[..., PolyStep], quadratic: FunctionObjective) -> None:
    settings = {"subspace": SUBSPACES["row"], "redraw_every": 1, "biased_rotation": True}
    optimizer = build(update=Momentum(), coasting=Coasting(period=2), weighting=Sinkhorn(), **settings)
    optimizer.step(quadratic, 0.0)
    state = optimizer.state_dict()
    assert set(state["update"]) == {"velocity"}
    assert set(state["coasting"]) == {"average"}
    assert state["weighting"] == state["bias"] == {}


def test_memory_is_forgotten_at_its_interval_while_projections_stay(
    build: Callable[..., PolyStep], quadratic: FunctionObjective
) -> None:
    settings = {"subspace": SUBSPACES["hybrid"], "redraw_every": 0, "biased_rotation": True}
    optimizer = build(update=Momentum(), weighting=Sinkhorn(), forget_every=3, **settings)
    memory = []
    for _ in range(7):
        optimizer.step(quadratic, 0.0)
        state = optimizer.state_dict()
        memory.append([bool(state[name]) for name in ("update", "weighting", "coasting", "bias")])
    assert memory == [[step % 3 != 0] * 4 for step in range(1, 8)]
    assert optimizer.subspace.draw == 0


def test_coasting_steps_count_and_forget_too(build: Callable[..., PolyStep]) -> None:
    """Every 4 steps, where every third step and one without memory is full: after the 4th, 8th and 12th."""
    objective = FunctionObjective(lambda points: points.square().sum(1))
    optimizer = build(update=Momentum(), coasting=Coasting(period=3), forget_every=4)
    evaluated, forgotten = [], []
    for step in range(1, 13):
        asked = len(objective.seen)
        optimizer.step(objective, 0.0)
        if len(objective.seen) > asked:
            evaluated.append(step)
        if not optimizer.state_dict()["update"]:
            forgotten.append(step)
    assert forgotten == [4, 8, 12]
    # 5 and 9 because there is nothing to coast along
    assert evaluated == [1, 4, 5, 7, 9, 10]


def test_biased_rotation_probes_along_the_last_displacement(
    build: Callable[..., PolyStep], quadratic: FunctionObjective
) -> None:
    optimizer = build(particle_dimension=2, biased_rotation=True, redraw_every=0)
    optimizer.step(quadratic, 0.0)
    moved = optimizer.solution.reshape(-1, 2)
    offsets = optimizer.ask(0.0).offset.reshape(-1, 4, 2)
    torch.testing.assert_close(offsets[:, 0], moved / moved.norm(dim=1, keepdim=True), rtol=0, atol=1e-5)


def test_bias_survives_where_there_is_nothing_to_redraw(
    build: Callable[..., PolyStep], quadratic: FunctionObjective
) -> None:
    plain, biased = (build(subspace=FullSpace, biased_rotation=biased) for biased in (False, True))
    for optimizer in (plain, biased):
        optimizer.step(quadratic, 0.0)
    assert not torch.allclose(plain.ask(0.0).offset, biased.ask(0.0).offset)
