"""The author's package, version 1.1.0, computes the same from the same inputs, or the test says where it does not and why.

It shares our import name, so it is installed into a folder and runs in a process of its own.
"""

import math
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from baselines.eggroll import EGGROLL
from polystep import algorithm
from polystep.algorithm import PolyStep
from polystep.ask_tell import replace_non_finite
from polystep.geometry import Polytope, haar_rotations, polytope_vertices, turn_nearest_vertices
from polystep.jitter import jitter_factors
from polystep.layout import ParameterLayout
from polystep.low_rank import LowRankCandidates
from polystep.random import derive_seed
from polystep.schedule import CosineOfDefaultLength, Moment, PowerDecay, ProportionalToTemperature, Schedule
from polystep.subspace import FullSpace, HybridSubspace
from polystep.update import Coasting, Momentum, Plain
from polystep.weighting import Cheapest, Sinkhorn, Softmax, Weighting
from tests.function_objective import FunctionObjective

pytestmark = pytest.mark.slow

PACKAGE = "polystep==1.1.0"
GENERATOR = torch.Generator().manual_seed(0)
SHAPES = {"a": (6, 5), "b": (6,), "c": (3, 6), "d": (3,)}
LAYOUT = ParameterLayout(SHAPES)
START, TARGET = torch.randn(2, LAYOUT.size, generator=GENERATOR)
STEPS = 12


def rotations(particles: int, dimension: int, count: int = STEPS) -> list[Tensor]:
    return [haar_rotations(particles, dimension, GENERATOR) for _ in range(count)]


COSTS = torch.rand(7, 9, generator=GENERATOR) * 2
TIED = torch.tensor([[1.0, 1.0, 2.0, 3.0], [5.0, 5.0, 5.0, 5.0]])
SOLVED = {"max_iterations": 400, "threshold": 0.0}
WEIGHTS: dict[str, tuple[Weighting, str, Mapping[str, float]]] = {
    "softmax": (Softmax(), "softmax", {}),
    "sinkhorn": (Sinkhorn(400, 0.0), "sinkhorn", SOLVED),
    "no penalty": (Sinkhorn(400, 0.0, column_penalty=0.0), "kl", SOLVED | {"lam": 0.0}),
    "a small penalty": (Sinkhorn(400, 0.0, column_penalty=0.1), "kl", SOLVED | {"lam": 0.1}),
    "a large penalty": (Sinkhorn(400, 0.0, column_penalty=10.0), "kl", SOLVED | {"lam": 10.0}),
    "greedy": (Cheapest(1), "greedy", {}),
    "top 3": (Cheapest(3), "top_k", {"k": 3}),
}
VERTICES = list(product(("orthoplex", "simplex", "cube"), (2, 3, 8)))
TURNED = rotations(20, 4, 1)[0], torch.randn(20, 4, generator=GENERATOR)
SCHEDULES: dict[str, tuple[Schedule, tuple[str, dict[str, float]]]] = {
    "temperature": (CosineOfDefaultLength(5.0, 0.5), ("CosineEpsilon", {"init": 5.0, "target": 0.5})),
    "radius": (
        CosineOfDefaultLength(100.0, 20.0, 500, 100_000),
        ("CosineEpsilon", {"init": 100 * math.sqrt(0.005), "target": 20 * math.sqrt(0.005)}),
    ),
    "decay": (PowerDecay(3.0, 0.2), ("PowerDecay", {"init": 3.0, "gamma": 0.2})),
}
MOMENTS = (0, 1, 100, 449, 450, 565, 566, 567, 2000)
BAD = torch.tensor([[1.0, math.nan, -3.0], [math.inf, -math.inf, 2.0]])

SPIKING: list[tuple[int, ...]] = [(128, 784), (128,), (10, 128), (10,)]
INT8: list[tuple[int, ...]] = [(128, 784), (128,), (128, 128), (128,), (10, 128), (10,)]
COUNTS: dict[str, tuple[list[tuple[int, ...]], int, int | None]] = {
    "spiking": (SPIKING, 4, None),
    "mnist": (SPIKING, 8, None),
    "int8": (INT8, 8, None),
    "staircase": (INT8, 4, None),
    "argmax": ([*SPIKING, (8, 128), (128, 128), (128,)], 8, None),
    "wide tensors": ([(4, 128), (4,), (256, 1)], 4, None),
    "cartpole": ([(16, 4), (16,), (2, 16), (2,)], 4, 24),
    "acrobot": ([(16, 6), (16,), (3, 16), (3,)], 4, 24),
}

FULL, HYBRID = FullSpace, partial(HybridSubspace, rank=2, at_most_elements=True)
PARTICLES = HYBRID(LAYOUT, 4, 0).particles
RADII = {"step_radius": ProportionalToTemperature(2.0), "probe_radius": ProportionalToTemperature(1.5)}
THEIR_RADII = {"epsilon": 0.5, "step_radius": 2.0, "probe_radius": 1.5}
COSINES = {"step_radius": CosineOfDefaultLength(2.0, 1.95), "probe_radius": CosineOfDefaultLength(1.0, 0.9)}
THEIR_COSINES = {
    "epsilon": ("CosineEpsilon", {"init": 1.0, "target": 0.9}),
    "step_radius": ("CosineEpsilon", {"init": 2.0, "target": 1.95}),
    "probe_radius": ("CosineEpsilon", {"init": 1.0, "target": 0.9}),
}
RUNS: dict[str, tuple[Callable[..., Any], int, int, dict[str, Any], dict[str, Any]]] = {
    "softmax": (FULL, 2, 0, {"temperature": 0.5, **RADII}, THEIR_RADII | {"solver": "softmax"}),
    "sinkhorn": (
        FULL,
        2,
        0,
        {"temperature": 0.5, "weighting": Sinkhorn(400, 0.0), **RADII},
        THEIR_RADII | {"solver": "sinkhorn", "sinkhorn_max_iters": 400},
    ),
    "momentum, coasting and cosines": (
        FULL,
        2,
        0,
        {
            "temperature": CosineOfDefaultLength(1.0, 0.9),
            "update": Momentum(0.5, 0.95, 49),
            "coasting": Coasting(3, 0.7, "transport"),
            **COSINES,
        },
        THEIR_COSINES
        | {"solver": "softmax", "use_momentum": True, "amortize_steps": 3, "amortize_ema": 0.7, "max_iterations": 50},
    ),
    "subspace and biased rotation": (
        HYBRID,
        4,
        5,
        {"temperature": 0.5, "biased_rotation": "nearest_vertex", **RADII},
        THEIR_RADII | {"biased_rotation": True, "subspace_particle_dim": 4},
    ),
}
ROTATIONS = {
    name: rotations(-(-LAYOUT.size // 2) if run[0] is FULL else PARTICLES, run[1]) for name, run in RUNS.items()
}


def projections() -> list[Tensor]:
    """Those of our subspace, dense."""
    return [projection.to_dense() for _, _, projection in HYBRID(LAYOUT, 4, 0).projections()]


FORMS = {"in matrices": None, "confined to two inputs": 2}
EGGROLL_SETTINGS = {"sigma": 0.25, "lr": 0.05, "popsize": 6, "shaping": "sign"}


def eggroll(input_directions: int | None) -> EGGROLL:
    settings = {"sigma": 0.25, "learning_rate": 0.05, "population": 6, "shaping": "signs"}
    return EGGROLL(LAYOUT, START, 3, **settings, input_directions=input_directions)  # type: ignore[arg-type]


def eggroll_noise(input_directions: int | None) -> tuple[list[Tensor], list[Tensor] | None]:
    """Our directions at every step (3, parameters); where they are confined, in coordinates, with the bases."""
    found, bases = [], eggroll(input_directions)._input_bases
    for step in range(STEPS):
        seeds = torch.tensor([derive_seed(3, "eggroll", step, pair) for pair in range(3)])
        directions = LowRankCandidates(torch.zeros(LAYOUT.size), LAYOUT, seeds, torch.ones(3), 1, bases)
        tensors = LAYOUT.unflatten(directions.dense(slice(0, 3)))
        flat = [tensor @ bases[name].T if name in bases else tensor for name, tensor in tensors.items()]
        found.append(torch.cat([tensor.flatten(1) for tensor in flat], dim=1))
    return found, list(bases.values()) or None


def questions() -> dict[str, tuple[Any, ...]]:
    asked: dict[str, tuple[Any, ...]] = {"non-finite": ("non_finite", BAD)}
    values = list(LAYOUT.unflatten(START).values())
    for name, (_, kind, settings) in WEIGHTS.items():
        asked[name] = ("weights", kind, COSTS, 0.5, dict(settings))
    asked |= {
        "tied greedy": ("weights", "greedy", TIED, 0.5, {}),
        "tied top 3": ("weights", "top_k", TIED, 0.5, {"k": 3}),
    }
    for polytope, dimension in VERTICES:
        asked[f"{polytope} {dimension}"] = ("vertices", polytope, dimension)
        if dimension == 3:
            asked[f"turned {polytope}"] = ("nearest_vertex", *TURNED, polytope_vertices(polytope, 4))
    for name, (_, theirs) in SCHEDULES.items():
        asked[name] = ("schedule", *theirs, MOMENTS)
    asked |= {f"count {name}": ("count", *case) for name, case in COUNTS.items()}
    for form, input_directions in FORMS.items():
        noise, bases = eggroll_noise(input_directions)
        asked[f"eggroll {form}"] = ("eggroll", values, TARGET, bases, noise, EGGROLL_SETTINGS)
    asked |= {f"jitter {law}": ("jitter", law, 0.3, 1000, 3) for law in ("smooth", "uniform")}
    for name, (subspace, _, absorb, _, settings) in RUNS.items():
        own = projections() if subspace is not FULL else None
        polytope = {"polytope_type": "simplex", "particle_dim": 2}
        asked[f"steps {name}"] = ("steps", values, TARGET, ROTATIONS[name], own, 2, absorb, polytope | settings)
    return asked


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Any]:
    """The package's answers; skips where it cannot be installed."""
    folder = tmp_path_factory.mktemp("authors_package")
    options = ["--no-deps", "--disable-pip-version-check", "--retries", "1", "--timeout", "15", "--target", "package"]
    command = [sys.executable, "-m", "pip", "install", *options, PACKAGE]
    installed = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if installed.returncode:
        pytest.skip(f"{PACKAGE} cannot be installed: {(installed.stderr.strip().splitlines() or ['no reason'])[-1]}")
    torch.save(questions(), folder / "questions.pt")
    script = Path(__file__).with_name("compute.py")
    environment = os.environ | {"PYTHONPATH": str(folder / "package"), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(script), "questions.pt", "answers.pt"]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    answers: Mapping[str, Any] = torch.load(folder / "answers.pt", weights_only=False)
    return answers


def close(ours: Tensor, theirs: Tensor, tolerance: float = 1e-6) -> None:
    torch.testing.assert_close(ours, theirs, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("name", WEIGHTS)
def test_weights(theirs: Mapping[str, Any], name: str) -> None:
    close(WEIGHTS[name][0].weights(COSTS, 0.5), theirs[name])


def test_ties(theirs: Mapping[str, Any]) -> None:
    """Theirs takes the vertices that come first, ours shares; both leave a row of equal costs where it is."""
    close(theirs["tied greedy"], torch.tensor([[1.0, 0.0, 0.0, 0.0], [0.25] * 4]))
    close(Cheapest(1).weights(TIED, 0.5), torch.tensor([[0.5, 0.5, 0.0, 0.0], [0.25] * 4]))
    close(Cheapest(3).weights(TIED, 0.5), theirs["tied top 3"])


@pytest.mark.parametrize(("polytope", "dimension"), VERTICES)
def test_vertices(theirs: Mapping[str, Any], polytope: Polytope, dimension: int) -> None:
    close(polytope_vertices(polytope, dimension), theirs[f"{polytope} {dimension}"])


@pytest.mark.parametrize("polytope", ["orthoplex", "simplex", "cube"])
def test_rotation_towards_the_nearest_vertex(theirs: Mapping[str, Any], polytope: Polytope) -> None:
    frames, directions = TURNED
    ours = turn_nearest_vertices(frames, polytope_vertices(polytope, 4), directions)
    close(ours, theirs[f"turned {polytope}"], 2e-6)


@pytest.mark.parametrize("name", SCHEDULES)
def test_schedules(theirs: Mapping[str, Any], name: str) -> None:
    close(torch.tensor([SCHEDULES[name][0].at(Moment(t, 0.0)) for t in MOMENTS]), theirs[name])


def test_costs_that_are_not_finite(theirs: Mapping[str, Any]) -> None:
    assert torch.equal(replace_non_finite(BAD, floor=0.0), theirs["non-finite"])


@pytest.mark.parametrize("name", COUNTS)
def test_coordinates(theirs: Mapping[str, Any], name: str) -> None:
    shapes, rank, cap = COUNTS[name]
    layout = ParameterLayout({f"p{number}": shape for number, shape in enumerate(shapes)})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(HybridSubspace, "redraw", lambda self, draw: None)
        ours = HybridSubspace(layout, 1, 0, rank=rank, cap=cap, at_most_elements=True)
    assert ours.coordinates == theirs[f"count {name}"]


@pytest.mark.parametrize("law", ["smooth", "uniform"])
def test_jitter(theirs: Mapping[str, Any], law: Any) -> None:
    """Both invert the law's distribution function at the same uniform numbers. Theirs goes straight between 4097 equally likely
    numbers, which is coarse at both ends, where the smooth law has next to no weight.
    """
    ours, found = jitter_factors(1000, 0.3, law, torch.Generator().manual_seed(3)) - 1, theirs[f"jitter {law}"]
    inside = found.abs() < 0.2
    assert inside.sum() > 600
    close(ours[inside], found[inside], 2e-6)
    close(ours, found, 3e-4 if law == "smooth" else 1e-6)


@pytest.mark.parametrize("form", FORMS)
def test_eggroll(theirs: Mapping[str, Any], form: str) -> None:
    def loss(points: Tensor) -> Tensor:
        return ((points - TARGET).abs() + (points - TARGET).square()).mean(1)

    ours, objective = eggroll(FORMS[form]), FunctionObjective(loss)
    for _ in range(STEPS):
        ours.step(objective, 0.0)
    assert not torch.allclose(ours.solution, START, atol=0.01)
    close(ours.solution, theirs[f"eggroll {form}"], 1e-5)


@pytest.mark.parametrize("name", RUNS)
def test_steps(theirs: Mapping[str, Any], monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    subspace, dimension, forget_every, settings, _ = RUNS[name]
    given = iter(ROTATIONS[name])
    monkeypatch.setattr(algorithm, "haar_rotations", lambda *arguments: next(given))
    ours = PolyStep(
        LAYOUT,
        START,
        0,
        subspace=subspace,
        particle_dimension=dimension,
        polytope="simplex",
        probe_placement="interior",
        redraw_every=0,
        forget_every=forget_every,
        **({"update": Plain()} | settings),
    )

    def loss(points: Tensor) -> Tensor:
        difference = points - TARGET
        return 5 * (difference.abs() + difference.square()).mean(1)

    objective = FunctionObjective(loss)
    for expected in theirs[f"steps {name}"]:
        ours.step(objective, 0.0)
        # what losses round to, weights multiply by their differences over the temperature, step after step
        close(ours.solution, expected, 1e-5)
