"""Every optimiser and every task of the registries obeys its contract; new ones are picked up by their yaml file."""

import pytest
from hydra.utils import instantiate
from omegaconf import OmegaConf

from polystep.conformance import check_optimizer
from polystep.packages import MissingPackageError
from scripts.check import checks
from scripts.console import CONFIGS
from tests.composition import COMPOSER


def names(group):
    return sorted(path.stem for path in (CONFIGS / group).glob("*.yaml"))


def held(kind, overrides):
    """What holds, without the sentence about the settings that make the checks quick."""
    return [sentence for sentence in checks(kind, overrides) if not sentence.startswith("it is checked with")]


@pytest.mark.parametrize("name", names("optimizer"))
def test_optimizer_obeys_its_contract(name):
    try:
        assert len(held("optimizer", [f"optimizer={name}"])) >= 9
    except MissingPackageError as error:
        pytest.skip(str(error))


@pytest.mark.parametrize("component", ["subspace", "update", "weighting", "coasting"])
def test_polystep_obeys_its_contract_with_every_component(component):
    for name in names(f"optimizer/{component}"):
        composed = COMPOSER.compose([f"optimizer/{component}={name}", "budget.steps=5"]).config
        node = OmegaConf.to_container(composed, resolve=True)["optimizer"]
        if name == "full":
            node["particle_dimension"] = 2
        del node["seed"]
        check_optimizer(lambda node=node, **arguments: instantiate(node, **arguments))


@pytest.mark.parametrize("name", names("task"))
def test_task_obeys_its_contract(name):
    overrides, task = [f"task={name}"], COMPOSER.compose([f"task={name}"]).config.task
    # kernels are compared with the incremental path elsewhere; they serve one network here
    if "network" in task and task.evaluation == "fused" and name != "snn_digits":
        overrides.append("task.evaluation=incremental")
    found = held("task", overrides)
    assert len(found) == 9 + ("another seed gives other objectives" in found)
