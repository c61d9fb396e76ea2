"""What the revised edition of the paper added: jitter, the rotation towards the nearest vertex, its rule for bad losses."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from polystep.algorithm import PolyStep
from polystep.jitter import JitterLaw, jitter_factors
from polystep.layout import ParameterLayout
from polystep.random import named_generator
from polystep.subspace import FullSpace
from polystep.update import Coasting, Momentum
from polystep.weighting import LinearWeighting
from tests.function_objective import FunctionObjective
from tests.polystep.algorithm.conftest import SUBSPACES


def distances(optimizer: PolyStep, steps: int, gradient: Tensor) -> list[Tensor]:
    found = []
    for _ in range(steps):
        candidates = optimizer.ask(0.0)
        found.append(candidates.offset.norm(dim=1))
        optimizer.tell(candidates.dense(slice(None)) @ gradient)
    return found


def test_probe_jitter_is_one_factor_a_step(build: Callable[..., PolyStep], gradient: Tensor) -> None:
    found = distances(build(probe_jitter=0.3, probe_radius=2.0), 20, gradient)
    for distance in found:
        torch.testing.assert_close(distance, distance[:1].expand_as(distance))
    radii = torch.stack([distance[0] for distance in found])
    assert len(radii.unique()) == 20
    assert 1.4 < radii.min() < 2 < radii.max() < 2.6


def test_without_jitter_rotations_stay_as_they_are(build: Callable[..., PolyStep], gradient: Tensor) -> None:
    """Jitter draws from a generator of its own."""
    plain, jittered = build(), build(probe_jitter=0.5, jitter_law="uniform")
    for _ in range(2):
        one, other = plain.ask(0.0), jittered.ask(0.0)
        factor = other.offset.norm(dim=1) / one.offset.norm(dim=1)
        torch.testing.assert_close(other.offset, factor.unsqueeze(1) * one.offset)
        plain.tell(torch.zeros(len(one)))
        jittered.tell(torch.zeros(len(other)))


@pytest.mark.parametrize("law", ["smooth", "uniform"])
def test_step_jitter_is_one_factor_a_particle(build: Callable[..., PolyStep], gradient: Tensor, law: JitterLaw) -> None:
    plain, jittered = build(), build(step_jitter=0.2, jitter_law=law)
    objective = FunctionObjective(lambda points: points @ gradient)
    plain.step(objective, 0.0)
    jittered.step(objective, 0.0)
    factors = jittered.solution.reshape(-1, 2) / plain.solution.reshape(-1, 2)
    drawn = jitter_factors(len(factors), 0.2, law, named_generator(0, "polystep jitter"))
    torch.testing.assert_close(factors, drawn.unsqueeze(1).expand_as(factors))


@pytest.mark.parametrize("name", ["probe_jitter", "step_jitter"])
def test_jitter_continues_after_a_pause(build: Callable[..., PolyStep], gradient: Tensor, name: str) -> None:
    objective = FunctionObjective(lambda points: points @ gradient)
    one, other = build(**{name: 0.4}), build(**{name: 0.4})
    one.step(objective, 0.0)
    other.load_state_dict(one.state_dict())
    one.step(objective, 0.0)
    other.step(objective, 0.0)
    assert torch.equal(one.solution, other.solution)


@pytest.mark.parametrize("name", ["probe_jitter", "step_jitter"])
def test_jitter_and_coasting_exclude_each_other(build: Callable[..., PolyStep], name: str) -> None:
    with pytest.raises(ValueError, match=f"{name}=0.05 needs steps that evaluate, but coasting has a period of 3; set"):
        build(**{name: 0.05}, coasting=Coasting(period=3))
    build(**{name: 0.05}, coasting=Coasting(period=1))


@pytest.mark.parametrize("name", ["probe_jitter", "step_jitter"])
@pytest.mark.parametrize("width", [-0.1, 1.0, math.nan])
def test_factors_stay_positive(build: Callable[..., PolyStep], name: str, width: float) -> None:
    with pytest.raises(ValueError, match=rf"{name} must lie in \[0, 1\), got {width}"):
        build(**{name: width})


@pytest.mark.parametrize("subspace", SUBSPACES)
def test_nearest_vertex_points_along_the_last_displacement(
    build: Callable[..., PolyStep], gradient: Tensor, subspace: str
) -> None:
    """A simplex has no vertex on its axes, so only the newer rule probes along the displacement."""
    for kind, along in (("nearest_vertex", True), (True, False)):
        optimizer = build(
            subspace=SUBSPACES[subspace],
            particle_dimension=3,
            polytope="simplex",
            biased_rotation=kind,
            update=Momentum(),
            redraw_every=0,
        )
        optimizer.step(FunctionObjective(lambda points: points @ gradient), 0.0)
        bias = optimizer.state_dict()["bias"]["coordinates"]
        offsets = optimizer.ask(0.0).offset.reshape(optimizer.subspace.particles, 4, 3)
        cosine = torch.nn.functional.cosine_similarity(offsets, bias.unsqueeze(1), dim=-1).amax(1)
        # a particle of padding has no displacement
        moved = bias.norm(dim=1) > 1e-6
        assert bool((cosine[moved] > 0.9999).all()) == along


@pytest.mark.parametrize("kind", [True, "nearest_vertex"])
def test_rotations_are_turned_for_points_in_double_precision(kind: Any) -> None:
    single, double = (
        PolyStep(
            ParameterLayout({"point": (6,)}),
            torch.arange(6, dtype=dtype),
            seed=0,
            subspace=FullSpace,
            particle_dimension=3,
            biased_rotation=kind,
        )
        for dtype in (torch.float32, torch.float64)
    )
    for _ in range(3):
        for optimizer in (single, double):
            optimizer.step(FunctionObjective(lambda points: points.square().sum(1)), 0.0)
    assert double.solution.dtype == torch.float64
    assert torch.allclose(double.solution.float(), single.solution, atol=1e-5)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_floor_of_losses_that_are_not_finite(build: Callable[..., PolyStep], bad: float) -> None:
    """Cost 1 + 2 max|finite| instead of a million, in the sight of weights that are linear in it."""
    moves = {}
    for floor in (0.0, 1e6, None):
        optimizer = build(weighting=LinearWeighting(), non_finite_floor=floor)
        losses = torch.full((len(optimizer.ask(0.0)),), -3.0)
        losses[0] = bad
        optimizer.tell(losses)
        moves[floor] = float(optimizer.solution[:2].norm())
    # the vertex stands 10 above the three others, its opposite among them: displacement 10/4
    assert moves[0.0] == pytest.approx(2.5, rel=1e-5)
    assert moves[1e6] == pytest.approx(1e6 / 4, rel=1e-4)
    assert moves[None] == moves[0.0], "one candidate must not throw the point"
