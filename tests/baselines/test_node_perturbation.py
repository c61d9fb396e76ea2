"""Node perturbation: Adam on its estimates, on hard networks; what it refuses."""

from typing import Any

import pytest
import torch

from baselines.node_perturbation import NodePerturbation
from polystep.bench.composition import compose_config
from polystep.bench.launch import build_run
from polystep.capabilities import CapabilityUnavailable
from polystep.conformance.objectives import QuadraticObjective
from polystep.layout import ParameterLayout
from polystep.random import named_generator
from polystep.validation import SettingError
from scripts.console import CONFIGS

LAYOUT = ParameterLayout({"weight": (2, 3)})


def test_it_takes_adams_steps_along_the_estimates() -> None:
    """Written out, with the noise of the objective."""
    objective, settings = QuadraticObjective(), {"learning_rate": 0.1, "beta1": 0.8, "beta2": 0.9, "epsilon": 1e-3}
    optimizer = NodePerturbation(LAYOUT, torch.linspace(-1, 1, 6), 4, deviation=0.2, passes=3, **settings)
    point, first, second = torch.linspace(-1, 1, 6), torch.zeros(6), torch.zeros(6)
    for step in range(1, 6):
        generator = named_generator(4, "node perturbation", step - 1)
        _, gradient = QuadraticObjective().perturb_nodes(point, 0.2, 3, generator)
        first, second = 0.8 * first + 0.2 * gradient, 0.9 * second + 0.1 * gradient**2
        corrected = (second / (1 - 0.9**step)).sqrt() + 1e-3
        point = point - 0.1 * first / (1 - 0.8**step) / corrected
        optimizer.step(objective, 0.0)
        torch.testing.assert_close(optimizer.solution, point)
    assert objective.spent.candidate_evaluations == 5 * 4


@pytest.mark.parametrize(
    "network",
    [
        ["task=snn", "task.network.hidden=16"],
        ["task=int8", "task.network.hidden=16"],
        ["task=moe", "task.dataset=digits"],
    ],
)
def test_hard_networks_learn(network: list[str]) -> None:
    digits = ["task.dataset=digits", "task.validation_size=200", "task.batch_size=128", "task.evaluation=incremental"]
    chosen = ["optimizer=node_perturbation", "optimizer.deviation=0.3", "optimizer.learning_rate.start=0.01"]
    run = build_run(*compose_config(CONFIGS, [*network, *digits, *chosen, "seed=1", "budget.steps=150"]))
    task = run.build_task()
    method, point = run.build_optimizer(task), task.initial_point(1)
    for step in range(150):
        method.step(task.next_objective(), step / 150)
    assert task.validate(method.solution) > task.validate(point) + 0.3


def test_other_tasks_are_refused() -> None:
    run = build_run(*compose_config(CONFIGS, ["task=maxsat", "task.variables=100", "optimizer=node_perturbation"]))
    task = run.build_task()
    with pytest.raises(CapabilityUnavailable, match="which the task does not show"):
        run.build_optimizer(task).step(task.next_objective(), 0.0)


@pytest.mark.parametrize(
    ("settings", "message"), [({"passes": 0}, "passes must be at least 1"), ({"deviation": 0.0}, "deviation must be")]
)
def test_wrong_settings_are_told(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingError, match=message):
        NodePerturbation(LAYOUT, torch.zeros(6), 0, **settings)
