"""study=equal_steps and study=revised_evaluations: whose space the rivals search, how far they probe, what they may spend."""

import math
from typing import Any

import pytest
from hydra.utils import instantiate

from polystep.schedule import Constant, Moment
from scripts.tune import find_methods
from tests.composition import CONFIGS, composed

COORDINATES = {
    "snn": 4338,
    "int8": 10714,
    "argmax": 11738,
    "staircase": 5490,
    "moe": 14120,
    "mnist": 8538,
    "etth1": 4704,
}
LEFT_TO_EGGROLL = {
    "snn": 690,
    "int8": 2394,
    "argmax": 2458,
    "staircase": 1330,
    "moe": 5880,
    "mnist": 1242,
    "etth1": 3680,
}
EPOCH = {"moe": 211, "etth1": 133}
"""Steps of an epoch, elsewhere 106."""
RIVALS = {"openai_es": "sigma", "cma_es": "sigma", "spsa": "c", "mezo": "epsilon", "random_search": "sigma"}
"""Rivals in PolyStep's coordinates, and what they call their probe radius."""
NAMED = RIVALS | {"eggroll": "sigma"}


def multiples(rival: str) -> list[float]:
    """Of the radius in the centre of a rival's grid."""
    return [0.05, 0.1, 0.25, 0.5, 1, 2, 4, 8, 16] if rival == "random_search" else [0.25, 1, 4]


def centre(task: str, rival: str) -> float:
    """The radius there: PolyStep's last one over the root of the dimension that the rival searches."""
    polystep = composed("study=revised", f"task={task}", "optimizer=polystep")["optimizer"]
    return last_probe_radius(polystep) / math.sqrt((LEFT_TO_EGGROLL if rival == "eggroll" else COORDINATES)[task])


def last_probe_radius(polystep: Any) -> float:
    """Of PolyStep, at the temperature that it ends with."""

    def end(value: Any, temperature: float | None) -> float:
        schedule = Constant(value) if isinstance(value, float) else instantiate(value)
        return schedule.at(Moment(10**6, 1.0, temperature))

    return end(polystep["probe_radius"], end(polystep["temperature"], None))


@pytest.mark.parametrize("task", COORDINATES)
@pytest.mark.parametrize("rival", NAMED)
def test_rivals_search_polysteps_coordinates_with_a_radius_of_their_grids(task: str, rival: str) -> None:
    """EGGROLL as many directions of the inputs as the subspace has ranks."""
    polystep = composed("study=revised", f"task={task}", "optimizer=polystep")
    other = composed("study=equal_steps", f"task={task}", f"optimizer={rival}")
    if rival == "eggroll":
        assert other["optimizer"]["input_directions"] == polystep["optimizer"]["subspace"]["rank"]
    else:
        assert other["optimizer"]["subspace"] == polystep["optimizer"]["subspace"]
    factor = other["optimizer"][NAMED[rival]] / centre(task, rival)
    own = CONFIGS / "settings" / "equal_steps" / task / f"{rival}.yaml"
    if own.exists() and "Written by: python -m scripts.tune" in own.read_text():
        (method,) = find_methods(["study=equal_steps", f"task={task}", f"optimizer={rival}"], [CONFIGS])
        radius, grid = f"optimizer.{NAMED[rival]}", method.grid
        tried = {point[radius] for first in grid.points for point in (first, *grid.around(first).points)}
        assert any(other["optimizer"][NAMED[rival]] == pytest.approx(value, rel=3e-3) for value in tried)
    else:
        assert factor == pytest.approx(1, rel=3e-3)
    assert other["study"]["protocol"] == "equal_steps" and other["study"]["edition"] == "revised"
    for config in (polystep, other):
        assert config["budget"]["steps"] == 30 * EPOCH.get(task, 106)
        assert config["evaluation"]["validate_every"] == EPOCH.get(task, 106)


@pytest.mark.parametrize("noise", ["low_rank", "rows"])
def test_openai_es_takes_noise_by_name(noise: str) -> None:
    node = composed("task=snn", "optimizer=openai_es", f"+optimizer/noise={noise}")["optimizer"]["noise"]
    assert instantiate(node).__component__.name == noise


@pytest.mark.parametrize(
    ("rival", "candidates"), [("openai_es", 32), ("eggroll", 32), ("cma_es", 32), ("random_search", 2)]
)
def test_candidates_of_a_step(rival: str, candidates: int) -> None:
    assert composed("study=equal_steps", "task=snn", f"optimizer={rival}")["optimizer"]["population"] == candidates


@pytest.mark.parametrize("task", sorted(set(COORDINATES) - {"mnist", "etth1"}))
def test_evaluations_are_those_of_polystep(task: str) -> None:
    polystep = composed("study=revised", f"task={task}", "optimizer=polystep")
    rival = composed("study=revised_evaluations", f"task={task}", "optimizer=openai_es")
    candidates = math.ceil(COORDINATES[task] / 8) * 9 * polystep["budget"]["steps"]
    assert rival["budget"]["candidate_evaluations"] == candidates and rival["budget"]["steps"] is None
    assert rival["optimizer"]["population"] == 2048
    assert rival["optimizer"]["subspace"] == polystep["optimizer"]["subspace"]


def test_evaluations_on_maxsat_are_those_of_polystep() -> None:
    """334 of 1000 steps evaluate, three candidates for each pair of variables."""
    for variables in (100, 5000, 100_000):
        arguments = ("study=revised_evaluations", "task=maxsat", f"task.variables={variables}")
        rival = composed(*arguments, "optimizer=openai_es")
        assert rival["budget"]["candidate_evaluations"] == 334 * 3 * variables // 2
        assert rival["budget"]["steps"] is None
        assert rival["optimizer"]["population"] == 2048


@pytest.mark.parametrize("task", sorted(set(COORDINATES) - {"etth1"}))
@pytest.mark.parametrize("rival", NAMED)
def test_grids_have_nine_settings_of_every_rival_on_every_network(task: str, rival: str) -> None:
    """In the space of the comparison, over a tenth of its steps, or all where a step has two candidates."""
    (method,) = find_methods(["study=equal_steps", f"task={task}", f"optimizer={rival}"], [CONFIGS])
    radii = method.grid.axes[f"optimizer.{NAMED[rival]}"]
    expected = [centre(task, rival) * factor for factor in multiples(rival)]
    assert radii == pytest.approx(expected, rel=3e-3)
    final = composed("study=equal_steps", f"task={task}", f"optimizer={rival}")
    tuned = composed(*method.runs(method.grid.points[0])[0].overrides)
    for place in ("subspace", "input_directions"):
        assert tuned["optimizer"].get(place) == final["optimizer"].get(place)
    budget, steps = tuned["budget"], final["budget"]["steps"]
    assert budget["steps"] == steps and budget["candidate_evaluations"] == 32 * steps // 10 and tuned["seed"] == 7
