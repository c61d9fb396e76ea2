"""Every optimiser and every task of the registries obeys its contract; new ones are picked up by their yaml file."""

from pathlib import Path

import pytest
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import OmegaConf

from polystep.bench.composition import compose_config
from polystep.conformance import check_optimizer, check_task
from polystep.contracts import MissingPackageError

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
SMALL = {
    # the embedded digits stand in for data sets that would have to be fetched
    "dataset": "digits",
    "validation_size": 200,
    "batch_size": 64,
    "variables": 200,
    "horizon": 20,
    "test_episodes": 5,
}
"""What makes a task small, where it has such a setting."""
SHORT = {"environment_steps": 16, "batch_size": 16, "epochs": 1, "learning_starts": 4}
"""What makes the steps of a learner short, where it has such a setting."""


def names(group):
    return sorted(path.stem for path in (CONFIGS / group).glob("*.yaml"))


def resolved(overrides):
    composed, _ = compose_config(CONFIGS, overrides)
    return OmegaConf.to_container(composed, resolve=True)


@pytest.mark.parametrize("name", names("optimizer"))
def test_optimizer_obeys_its_contract(name):
    node = resolved([f"optimizer={name}", "budget.steps=5"])["optimizer"]
    node |= {key: value for key, value in SHORT.items() if key in node}
    del node["seed"]
    try:
        check_optimizer(lambda **arguments: instantiate(node, **arguments))
    except InstantiationException as error:
        if not isinstance(error.__cause__, MissingPackageError):
            raise
        pytest.skip(str(error.__cause__))


@pytest.mark.parametrize("component", ["subspace", "update", "weighting", "coasting"])
def test_polystep_obeys_its_contract_with_every_component(component):
    for name in names(f"optimizer/{component}"):
        node = resolved([f"optimizer/{component}={name}", "budget.steps=5"])["optimizer"]
        if name == "full":
            node["particle_dimension"] = 2
        del node["seed"]
        check_optimizer(lambda node=node, **arguments: instantiate(node, **arguments))


@pytest.mark.parametrize("name", names("task"))
def test_task_obeys_its_contract(name):
    node = resolved([f"task={name}"])["task"]
    node |= {key: value for key, value in SMALL.items() if key in node}
    check_task(lambda seed: instantiate(node, seed=seed))
