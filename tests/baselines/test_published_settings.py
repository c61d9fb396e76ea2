"""study=first gives the rivals the published settings (EDITIONS.md, rivals); finite differences those of PolyStep."""

from pathlib import Path
from typing import Any

import pytest
from hydra.utils import instantiate
from omegaconf import OmegaConf

from polystep.bench.composition import compose_config
from polystep.schedule import Moment

CONFIGS = Path(__file__).resolve().parents[2] / "configs"


def composed(*overrides: str) -> Any:
    return OmegaConf.to_container(compose_config(CONFIGS, ["task=snn", *overrides])[0], resolve=True)


@pytest.mark.parametrize(
    ("optimizer", "steps", "validate_every", "settings"),
    [
        ("openai_es", 10000, 10, {"population": 50, "sigma": 0.02, "weight_decay": 0.01, "shaping": "ranks"}),
        ("spsa", 50000, 100, {"a": 0.1, "c": 0.1, "alpha": 0.602, "gamma": 0.101, "A": 0.1 * 50000}),
        ("cma_es", 10000, 1000, {"population": 16, "sigma": 0.5, "covariance": "diagonal", "report": "best_ever"}),
    ],
)
def test_published_settings(optimizer: str, steps: int, validate_every: int, settings: dict[str, Any]) -> None:
    config = composed("study=first", f"optimizer={optimizer}")
    assert config["study"]["edition"] == "first"
    assert config["budget"]["steps"] == steps
    assert config["evaluation"]["validate_every"] == validate_every
    assert config["evaluation"]["test_every"] is None
    assert config["optimizer"].items() >= settings.items()


def test_published_rate_falls_linearly_and_ends_at_zero() -> None:
    rate = instantiate(composed("study=first", "optimizer=openai_es")["optimizer"]["learning_rate"])
    for g in (1, 2500, 10000):
        assert rate.at(Moment(g, 0.0)) == pytest.approx(0.01 * (1 - g / 10000), abs=1e-12)


def test_finite_differences_have_the_settings_of_polystep() -> None:
    ours, polystep = (composed(f"optimizer={name}")["optimizer"] for name in ("finite_differences", "polystep"))
    for name in ("subspace", "update", "particle_dimension", "probe_radius", "redraw_every"):
        assert ours[name] == polystep[name]


def maxsat(*overrides: str) -> Any:
    return OmegaConf.to_container(compose_config(CONFIGS, ["task=maxsat", *overrides])[0], resolve=True)


@pytest.mark.parametrize(
    ("optimizer", "steps", "settings"),
    [
        ("openai_es", 1000, {"sigma": 1.0, "learning_rate": 0.1, "shaping": "z_score", "report": "best_ever"}),
        ("cma_es", 1000, {"population": 50, "sigma": 1.0, "covariance": "auto", "report": "best_ever"}),
        ("probsat", 100, {"chains": 10, "flips_per_step": 100_000}),
        ("walksat", 10, {"noise": 0.5, "chains": 1, "flips_per_step": 10_000}),
    ],
)
def test_published_settings_on_maxsat(optimizer: str, steps: int, settings: dict[str, Any]) -> None:
    """EDITIONS.md, MAX-SAT: half as many steps at a million variables."""
    config = maxsat("study=first", f"optimizer={optimizer}", "task.variables=500")
    assert config["study"]["edition"] == "first" and config["budget"]["steps"] == steps
    assert config["task"]["variables"] == 500
    assert config["optimizer"].items() >= settings.items()
    if optimizer != "cma_es":
        million = maxsat("study=first", f"optimizer={optimizer}", "task.variables=1000000")
        assert million["study"]["edition"] == "first" and million["budget"]["steps"] == steps // 2
        assert million["task"]["variables"] == 1_000_000
        assert million["optimizer"] == config["optimizer"]


@pytest.mark.parametrize(
    ("task", "optimizer"),
    [
        *(("maxsat", optimizer) for optimizer in ("openai_es", "walksat", "probsat")),
        *((task, optimizer) for task in ("acrobot", "cartpole") for optimizer in ("openai_es", "ppo", "dqn")),
    ],
)
def test_the_revised_edition_carries_these_over(task: str, optimizer: str) -> None:
    first, revised = (
        OmegaConf.to_container(
            compose_config(CONFIGS, [f"study={edition}", f"task={task}", f"optimizer={optimizer}"])[0], resolve=True
        )
        for edition in ("first", "revised")
    )
    assert revised["study"]["edition"] == "revised"
    for section in ("task", "optimizer", "budget", "evaluation"):
        assert revised[section] == first[section]


def test_local_search_has_a_budget_of_flips_by_default() -> None:
    for optimizer in ("probsat", "walksat"):
        budget = maxsat(f"optimizer={optimizer}")["budget"]
        assert budget["candidate_evaluations"] == 10_000_000 and budget["steps"] is None
