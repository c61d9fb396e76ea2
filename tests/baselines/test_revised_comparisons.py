"""study=equal_steps and study=revised_evaluations: whose space the rivals search, how far they probe, what they may spend."""

import math
from pathlib import Path
from typing import Any

import pytest
from hydra.utils import instantiate
from omegaconf import OmegaConf

from polystep.bench.composition import compose_config
from polystep.bench.profiles import read_profile
from polystep.schedule import Constant, Moment

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
COORDINATES = {"snn": 4338, "int8": 10714, "argmax": 11738, "staircase": 5490, "moe": 14120, "mnist": 8538}
LEFT_TO_EGGROLL = {"snn": 690, "int8": 2394, "argmax": 2458, "staircase": 1330, "moe": 5880, "mnist": 1242}
RIVALS = {"openai_es": "sigma", "cma_es": "sigma", "spsa": "c", "mezo": "epsilon", "random_search": "sigma"}
"""Rivals, and what they call their probe radius."""


def composed(*overrides: str) -> Any:
    return OmegaConf.to_container(compose_config(CONFIGS, overrides)[0], resolve=True)


def last_probe_radius(polystep: Any) -> float:
    """Of PolyStep, at the temperature that it ends with."""

    def end(value: Any, temperature: float | None) -> float:
        schedule = Constant(value) if isinstance(value, float) else instantiate(value)
        return schedule.at(Moment(10**6, 1.0, temperature))

    return end(polystep["probe_radius"], end(polystep["temperature"], None))


@pytest.mark.parametrize("task", COORDINATES)
@pytest.mark.parametrize("rival", RIVALS)
def test_rivals_search_polysteps_coordinates_as_wide_as_it_probes(task: str, rival: str) -> None:
    polystep, other = (
        composed("study=equal_steps", f"task={task}", f"optimizer={name}") for name in ("polystep", rival)
    )
    assert other["optimizer"]["subspace"] == polystep["optimizer"]["subspace"]
    expected = last_probe_radius(polystep["optimizer"]) / math.sqrt(COORDINATES[task])
    assert other["optimizer"][RIVALS[rival]] == pytest.approx(expected, rel=0.002)
    for config in (polystep, other):
        assert config["study"]["protocol"] == "equal_steps"
        assert config["budget"]["steps"] == (6330 if task == "moe" else 3180)
        assert config["evaluation"]["validate_every"] == (211 if task == "moe" else 106)


@pytest.mark.parametrize("task", COORDINATES)
def test_eggroll_is_confined_to_as_many_inputs_as_the_subspace_has_ranks(task: str) -> None:
    polystep, eggroll = (
        composed("study=equal_steps", f"task={task}", f"optimizer={name}")["optimizer"]
        for name in ("polystep", "eggroll")
    )
    assert eggroll["input_directions"] == polystep["subspace"]["rank"]
    expected = last_probe_radius(polystep) / math.sqrt(LEFT_TO_EGGROLL[task])
    assert eggroll["sigma"] == pytest.approx(expected, rel=0.002)


@pytest.mark.parametrize("noise", ["low_rank", "rows"])
def test_openai_es_takes_noise_by_name(noise: str) -> None:
    node = composed("task=snn", "optimizer=openai_es", f"+optimizer/noise={noise}")["optimizer"]["noise"]
    assert instantiate(node).__component__.name == noise


@pytest.mark.parametrize(
    ("rival", "candidates"), [("openai_es", 32), ("eggroll", 32), ("cma_es", 32), ("random_search", 2)]
)
def test_candidates_of_a_step(rival: str, candidates: int) -> None:
    assert composed("study=equal_steps", "task=snn", f"optimizer={rival}")["optimizer"]["population"] == candidates


@pytest.mark.parametrize("task", sorted(set(COORDINATES) - {"mnist"}))
def test_evaluations_are_those_of_polystep(task: str) -> None:
    polystep, rival = (
        composed("study=revised_evaluations", f"task={task}", f"optimizer={name}") for name in ("polystep", "openai_es")
    )
    candidates = math.ceil(COORDINATES[task] / 8) * 9 * (6330 if task == "moe" else 3180)
    for config in (polystep, rival):
        assert config["budget"]["candidate_evaluations"] == candidates and config["budget"]["steps"] is None
    assert polystep["optimizer"] == composed("study=revised", f"task={task}", "optimizer=polystep")["optimizer"]
    assert rival["optimizer"]["population"] == 2048
    assert rival["optimizer"]["subspace"] == polystep["optimizer"]["subspace"]


def test_evaluations_on_maxsat_are_those_of_polystep() -> None:
    """334 of 1000 steps evaluate, three candidates for each pair of variables."""
    for variables in (100, 5000, 100_000):
        arguments = ("study=revised_evaluations", "task=maxsat", f"task.variables={variables}")
        polystep, rival = (composed(*arguments, f"optimizer={name}") for name in ("polystep", "openai_es"))
        for config in (polystep, rival):
            assert config["budget"]["candidate_evaluations"] == 334 * 3 * variables // 2
            assert config["budget"]["steps"] is None
        assert rival["optimizer"]["population"] == 2048


def test_grids_have_nine_settings_of_every_rival_on_every_network() -> None:
    """Multiples of the probe radius that is the centre, in the space of the comparison, over a tenth of its steps."""
    named = RIVALS | {"eggroll": "sigma"}
    found: dict[tuple[str, str], set[float]] = {}
    runs = read_profile(CONFIGS, "tuning_steps")
    for run in runs:
        chosen = dict(override.split("=", 1) for override in run.overrides)
        assert chosen["study"] == "tuning_steps"
        radius = float(chosen[f"optimizer.{named[chosen['optimizer']]}"])
        found.setdefault((chosen["task"], chosen["optimizer"]), set()).add(radius)
    assert found.keys() == {(task, rival) for task in COORDINATES for rival in named}
    assert len(runs) == len({run.overrides for run in runs}) == 9 * len(found)
    for (task, rival), radii in found.items():
        polystep, final, tuned = (
            composed(f"study={study}", f"task={task}", f"optimizer={name}")
            for study, name in (("equal_steps", "polystep"), ("equal_steps", rival), ("tuning_steps", rival))
        )
        for place in ("subspace", "input_directions"):
            assert tuned["optimizer"].get(place) == final["optimizer"].get(place)
        assert tuned["budget"]["steps"] * 10 == final["budget"]["steps"] and tuned["seed"] == 7
        searched = (LEFT_TO_EGGROLL if rival == "eggroll" else COORDINATES)[task]
        centre = last_probe_radius(polystep["optimizer"]) / math.sqrt(searched)
        multiples = [0.05, 0.1, 0.25, 0.5, 1, 2, 4, 8, 16] if rival == "random_search" else [0.25, 1, 4]
        assert sorted(radii) == pytest.approx([centre * factor for factor in multiples], rel=3e-3)
