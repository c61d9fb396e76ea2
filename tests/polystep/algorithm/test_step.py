"""One step: probes, weights, response, and losses that are not finite."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from polystep.algorithm import PolyStep
from polystep.geometry import Polytope
from polystep.schedule import Cosine, Linear, Moment, ProportionalToTemperature
from polystep.update import Adaptive, Coasting, Momentum
from polystep.weighting import Sinkhorn, Softmax
from tests.function_objective import FunctionObjective, check_useless_losses_change_nothing
from tests.polystep.algorithm.conftest import SUBSPACES, coordinate_gradient


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("polytope", ["orthoplex", "cube", "simplex"])
@pytest.mark.parametrize("subspace", SUBSPACES)
def test_linear_response_is_gradient_descent_for_every_rotation(
    build: Callable[..., PolyStep], gradient: Tensor, subspace: str, polytope: Polytope, seed: int
) -> None:
    dimension, temperature, step_radius, probe_radius = 4, 5000.0, 3.0, 0.5
    optimizer = build(
        seed=seed,
        subspace=SUBSPACES[subspace],
        particle_dimension=dimension,
        polytope=polytope,
        temperature=temperature,
        step_radius=step_radius,
        probe_radius=probe_radius,
        redraw_every=0,
    )
    optimizer.step(FunctionObjective(lambda points: points @ gradient), 0.0)
    size = step_radius * probe_radius / (dimension * temperature)
    expected = -size * optimizer.subspace.lift(coordinate_gradient(optimizer, gradient))
    torch.testing.assert_close(optimizer.solution, expected, rtol=0, atol=float(2e-3 * expected.norm()))


@pytest.mark.parametrize(("placement", "mean_distance"), [("outermost", 2 / 3), ("interior", 1 / 2)])
def test_several_probes_respond_at_their_mean_distance(
    build: Callable[..., PolyStep], gradient: Tensor, placement: str, mean_distance: float
) -> None:
    optimizer = build(temperature=1000.0, probes=3, probe_placement=placement)
    optimizer.step(FunctionObjective(lambda points: points @ gradient), 0.0)
    expected = -mean_distance / (2 * 1000.0) * gradient
    torch.testing.assert_close(optimizer.solution, expected, rtol=0, atol=float(2e-3 * expected.norm()))


@pytest.mark.parametrize("weighting", [Softmax, Sinkhorn])
@pytest.mark.parametrize("polytope", ["orthoplex", "cube", "simplex"])
@pytest.mark.parametrize("subspace", SUBSPACES)
def test_plateau_freezes_the_point(
    build: Callable[..., PolyStep], subspace: str, polytope: Polytope, weighting: type
) -> None:
    optimizer = build(subspace=SUBSPACES[subspace], polytope=polytope, weighting=weighting(), temperature=0.1)
    report = optimizer.step(FunctionObjective(lambda points: torch.full((len(points),), 2.5)), 0.0)
    assert report.loss == 2.5
    assert optimizer.solution.abs().max() < 1e-6


def test_small_temperature_moves_to_the_cheapest_vertices(build: Callable[..., PolyStep], gradient: Tensor) -> None:
    optimizer = build(temperature=1e-6, step_radius=0.5, probe_radius=0.1)
    candidates = optimizer.ask(0.0)
    losses = candidates.dense(slice(None)) @ gradient
    optimizer.tell(losses)
    best = losses.reshape(-1, 4).argmin(1)
    offsets = candidates.offset.reshape(-1, 4, 2)[torch.arange(len(best)), best]
    torch.testing.assert_close(optimizer.solution, optimizer.subspace.lift(offsets * 5))


@pytest.mark.parametrize("probes", [1, 3])
def test_step_is_the_weighted_mean_of_the_step_vertices(build: Callable[..., PolyStep], probes: int) -> None:
    optimizer = build(temperature=0.7, step_radius=3.0, probe_radius=0.5, particle_dimension=3, probes=probes)
    candidates = optimizer.ask(0.0)
    losses = torch.randn(len(candidates), generator=torch.Generator().manual_seed(1))
    optimizer.tell(losses)
    costs = losses.reshape(-1, 6, probes).mean(2)
    weights = torch.softmax(-costs / 0.7, dim=1)
    vertices = candidates.offset.reshape(-1, 6, probes, 3)[:, :, -1] * 6
    expected = optimizer.subspace.lift((weights.unsqueeze(-1) * vertices).sum(1))
    torch.testing.assert_close(optimizer.solution, expected)


@pytest.mark.parametrize(
    ("probes", "placement", "distances"),
    [
        (1, "outermost", [0.6]),
        (1, "interior", [0.3]),
        (3, "outermost", [0.2, 0.4, 0.6]),
        (3, "interior", [0.15, 0.3, 0.45]),
    ],
)
def test_probes_lie_along_each_vertex_in_order(
    build: Callable[..., PolyStep], probes: int, placement: str, distances: list[float]
) -> None:
    optimizer = build(probes=probes, probe_placement=placement, probe_radius=0.6, particle_dimension=3)
    candidates = optimizer.ask(0.0)
    particles = optimizer.subspace.particles
    assert len(candidates) == particles * 6 * probes
    assert torch.equal(candidates.particle, torch.arange(particles).repeat_interleave(6 * probes))
    offsets = candidates.offset.reshape(particles, 6, probes, 3)
    norms = offsets.norm(dim=-1)
    torch.testing.assert_close(norms, torch.tensor(distances).expand_as(norms))
    torch.testing.assert_close(offsets[:, :3], -offsets[:, 3:])
    for k, distance in enumerate(distances):
        torch.testing.assert_close(offsets[:, :, k] / distance, offsets[:, :, 0] / distances[0])


def test_radii_follow_their_schedules(build: Callable[..., PolyStep], gradient: Tensor) -> None:
    optimizer = build(
        temperature=Linear(4.0, 2.0),
        probe_radius=ProportionalToTemperature(0.5),
        step_radius=Cosine(1e3, 0.0),
    )
    seen = []
    for used in (0.0, 0.5, 1.0):
        before = optimizer.solution
        candidates = optimizer.ask(used)
        optimizer.tell(candidates.dense(slice(None)) @ gradient)
        seen.append((candidates.offset.norm(dim=1).max().item(), float((optimizer.solution - before).norm())))
    assert [radius for radius, _ in seen] == pytest.approx([2.0, 1.5, 1.0], rel=1e-5)
    assert seen[0][1] > seen[1][1] > seen[2][1] == 0


def test_report_describes_the_losses(build: Callable[..., PolyStep]) -> None:
    optimizer = build(temperature=0.5)
    losses = torch.arange(float(len(optimizer.ask(0.0))))
    report = optimizer.tell(losses)
    assert report.loss == pytest.approx(losses.mean().item())
    assert report.diagnostics["non_finite"] == 0
    assert report.diagnostics["cost_range_over_temperature"] == pytest.approx(3 / 0.5)
    assert report.diagnostics["movement"] == pytest.approx(optimizer.solution.norm().item())


def test_start_is_not_changed(build: Callable[..., PolyStep], quadratic: FunctionObjective) -> None:
    start = torch.zeros(26)
    optimizer = build(point=start)
    optimizer.step(quadratic, 0.0)
    assert torch.equal(start, torch.zeros(26))
    assert not torch.equal(optimizer.solution, start)


def test_asking_twice_is_an_error(build: Callable[..., PolyStep]) -> None:
    optimizer = build()
    optimizer.ask(0.0)
    with pytest.raises(RuntimeError, match="ask\\(\\) was called twice"):
        optimizer.ask(0.0)


def test_telling_without_asking_is_an_error(build: Callable[..., PolyStep]) -> None:
    optimizer = build()
    with pytest.raises(RuntimeError, match="without ask"):
        optimizer.tell(torch.zeros(52))
    optimizer.tell(torch.zeros(len(optimizer.ask(0.0))))
    with pytest.raises(RuntimeError, match="without ask"):
        optimizer.tell(torch.zeros(52))


def test_wrong_number_of_losses_is_an_error(build: Callable[..., PolyStep]) -> None:
    optimizer = build()
    count = len(optimizer.ask(0.0))
    with pytest.raises(ValueError, match=rf"shape \({count},\), one per candidate, got \(3,\)"):
        optimizer.tell(torch.zeros(3))
    optimizer.tell(torch.zeros(count))


@pytest.mark.parametrize(
    "settings",
    [
        {"probes": 0},
        {"probe_placement": "middle"},
        {"biased_rotation": "nearest"},
        {"jitter_law": "unifrom"},
        {"redraw_every": -1},
        {"forget_every": -1},
        {"point": torch.zeros(3)},
        {"temperature": math.nan},
        {"temperature": 0.0},
        {"temperature": -1.0},
        {"step_radius": math.inf},
        {"step_radius": -1.0},
        {"probe_radius": math.nan},
        {"probe_radius": 0.0},
        {"non_finite_floor": math.nan},
    ],
    ids=str,
)
def test_invalid_setting_is_named(build: Callable[..., PolyStep], settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(settings))):
        build(**settings)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("weighting", [Softmax, Sinkhorn])
def test_candidates_without_a_finite_loss_repel_and_are_counted(
    build: Callable[..., PolyStep], bad: float, weighting: type
) -> None:
    optimizer = build(weighting=weighting())
    candidates = optimizer.ask(0.0)
    forbidden = (candidates.particle == 0) & (candidates.offset[:, 0] > 0)
    report = optimizer.tell(torch.where(forbidden, bad, 3.0))
    assert report.diagnostics["non_finite"] == forbidden.sum()
    assert report.loss == 3.0
    assert torch.isfinite(optimizer.solution).all()
    assert optimizer.solution[0] < -0.1


def test_one_bad_probe_spoils_its_vertex(build: Callable[..., PolyStep]) -> None:
    optimizer = build(probes=2)
    candidates = optimizer.ask(0.0)
    losses = torch.zeros(len(candidates))
    losses[1] = math.nan
    optimizer.tell(losses)
    moved = optimizer.solution[:2]
    assert moved @ candidates.offset[1] < -0.1
    assert optimizer.solution[2:].abs().max() < 1e-6


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_step_without_any_finite_loss_changes_nothing(
    build: Callable[..., PolyStep], quadratic: FunctionObjective, bad: float
) -> None:
    check_useless_losses_change_nothing(lambda: build(update=Momentum(), weighting=Sinkhorn()), quadratic, bad)


def test_movement_that_is_not_finite_is_dropped_with_all_memory(
    build: Callable[..., PolyStep], quadratic: FunctionObjective
) -> None:
    class Exploding(Momentum):
        def move(self, displacement: Tensor, now: Moment, point: Tensor) -> Tensor:
            return super().move(displacement, now, point) * (math.inf if now.step == 3 else 1.0)

    memory = ("update", "coasting", "weighting", "bias")
    optimizer = build(update=Exploding(), coasting=Coasting(period=3), weighting=Sinkhorn(), biased_rotation=True)
    for _ in range(3):
        optimizer.step(quadratic, 0.0)
    before = optimizer.solution.clone()
    assert all(optimizer.state_dict()[name] for name in memory)
    optimizer.step(quadratic, 0.0)
    assert torch.equal(optimizer.solution, before)
    assert not any(optimizer.state_dict()[name] for name in memory)
    assert optimizer.step(quadratic, 0.0).loss is not None


@pytest.mark.parametrize("subspace", ["full", "row"])
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"update": Adaptive(Cosine(0.1, 0.0))},
        {"update": Momentum(0.5, 0.7), "coasting": Coasting(period=3)},
        {"weighting": Sinkhorn(column_penalty=0.1)},
        {"probes": 2, "polytope": "simplex", "biased_rotation": True},
    ],
    ids=["plain", "adaptive", "momentum", "sinkhorn", "simplex"],
)
def test_minimises_a_quadratic(
    build: Callable[..., PolyStep], quadratic: FunctionObjective, subspace: str, settings: dict[str, Any]
) -> None:
    radii = {"temperature": 0.3, "step_radius": 0.5, "probe_radius": 0.5}
    optimizer = build(subspace=SUBSPACES[subspace], **(radii | settings))
    start = quadratic.function(optimizer.solution.unsqueeze(0)).item()
    for _ in range(100):
        optimizer.step(quadratic, 0.0)
    assert quadratic.function(optimizer.solution.unsqueeze(0)).item() < 0.01 * start


def test_minimises_over_the_reach_of_fixed_projections(
    build: Callable[..., PolyStep], quadratic: FunctionObjective
) -> None:
    optimizer = build(subspace=SUBSPACES["hybrid"], redraw_every=0, temperature=0.3, probe_radius=0.5, step_radius=0.5)
    for _ in range(100):
        optimizer.step(quadratic, 0.0)
    residual = coordinate_gradient(optimizer, optimizer.solution - torch.linspace(-1, 1, 26))
    start = coordinate_gradient(optimizer, torch.linspace(-1, 1, 26))
    assert residual.norm() < 0.05 * start.norm()
