"""study=first and study=revised give each network the published task and PolyStep settings."""

import pytest
from hydra.utils import instantiate

from polystep.geometry import polytope_vertices
from polystep.layout import ParameterLayout
from polystep.schedule import Constant, Moment
from polystep.subspace import HybridSubspace
from tests.composition import composed


@pytest.mark.parametrize(
    ("edition", "task", "dataset", "classes", "parameters", "coordinates", "candidates", "steps"),
    [
        ("first", "snn", "mnist", 10, 101770, 4338, 8688, 3540),
        ("first", "int8", "mnist", 10, 118282, 10714, 21440, 3540),
        ("first", "argmax", "fashion_mnist", 10, 119306, 11802, 23616, 3540),
        ("first", "staircase", "mnist", 10, 118282, 5490, 10992, 3540),
        ("first", "mnist", "mnist", 10, 101770, 8538, 17088, 3540),
        ("first", "moe", "mnist+fashion_mnist", 20, 235672, 14136, 28272, 7050),
        ("revised", "snn", "mnist", 10, 101770, 4338, 4887, 3180),
        ("revised", "int8", "mnist", 10, 118282, 10714, 12060, 3180),
        ("revised", "argmax", "fashion_mnist", 10, 119306, 11738, 13212, 3180),
        ("revised", "staircase", "mnist", 10, 118282, 5490, 6183, 3180),
        ("revised", "mnist", "mnist", 10, 101770, 8538, 9612, 3180),
        ("revised", "moe", "mnist+fashion_mnist", 20, 235672, 14120, 15885, 6330),
    ],
)
def test_sizes_of_a_step(
    monkeypatch: pytest.MonkeyPatch,
    edition: str,
    task: str,
    dataset: str,
    classes: int,
    parameters: int,
    coordinates: int,
    candidates: int,
    steps: int,
) -> None:
    config = composed(f"study={edition}", f"task={task}", "optimizer=polystep")
    assert config["study"]["edition"] == edition and config["study"]["protocol"] == "published"
    assert config["task"]["dataset"] == dataset and config["task"]["batch_size"] == 512
    assert config["budget"]["steps"] == steps
    layout = ParameterLayout.of_module(instantiate(config["task"]["network"])(inputs=784, classes=classes))
    assert layout.size == parameters
    # only the numbers of coordinates matter here, and drawing the projections takes seconds
    monkeypatch.setattr(HybridSubspace, "redraw", lambda self, draw: None)
    subspace = instantiate(config["optimizer"]["subspace"])(layout, config["optimizer"]["particle_dimension"], seed=42)
    assert subspace.coordinates == coordinates
    vertices = len(polytope_vertices(config["optimizer"]["polytope"], subspace.particle_dimension))
    assert subspace.particles * vertices * config["optimizer"]["probes"] == candidates
    assert config["optimizer"]["subspace"]["projection_seed"] == (0 if edition == "first" else None)


@pytest.mark.parametrize("edition", ["first", "revised"])
@pytest.mark.parametrize(
    ("task", "temperature", "step_radius", "probe_radius"),
    [
        ("snn", (0.5, 0.5), (1.0, 1.0), (0.5, 0.5)),
        ("int8", (5, 0.3), (32, 8), (2, 0.5)),
        ("argmax", (5, 0.3), (32, 8), (2, 0.5)),
        ("staircase", (5, 1), (64, 32), (2, 1)),
        ("mnist", (10, 0.1), (5, 1), (10, 2)),
        ("etth1", (10, 0.1), (5, 1), (10, 2)),
    ],
)
def test_schedules(
    edition: str,
    task: str,
    temperature: tuple[float, float],
    step_radius: tuple[float, float],
    probe_radius: tuple[float, float],
) -> None:
    optimizer = composed(f"study={edition}", f"task={task}", "optimizer=polystep")["optimizer"]
    assert optimizer["probe_placement"] == "interior"
    for name, ends in (("temperature", temperature), ("step_radius", step_radius), ("probe_radius", probe_radius)):
        schedule = instantiate(optimizer[name]) if isinstance(optimizer[name], dict) else Constant(optimizer[name])
        found = (schedule.at(Moment(0, 0.0, temperature[0])), schedule.at(Moment(3540, 1.0, temperature[1])))
        assert found == pytest.approx(ends), name


@pytest.mark.parametrize("edition", ["first", "revised"])
def test_updates(edition: str) -> None:
    updates = {
        task: composed(f"study={edition}", f"task={task}", "optimizer=polystep")["optimizer"]
        for task in ("int8", "argmax", "staircase", "moe", "mnist")
    }
    assert updates["int8"]["update"] == {
        "_target_": "polystep.update.Momentum",
        "start": 0.3,
        "end": 0.5,
        "warmup_steps": 49,
    }
    for task in ("argmax", "staircase", "moe", "mnist"):
        assert updates[task]["update"] == {"_target_": "polystep.update.Plain"}
    assert updates["mnist"]["coasting"]["period"] == 3
    assert updates["moe"]["biased_rotation"] and updates["moe"]["forget_every"] == 20


@pytest.mark.parametrize("task", ["snn", "int8", "argmax", "staircase", "moe", "mnist", "etth1"])
@pytest.mark.parametrize(
    ("optimizer", "steps", "looks"), [("openai_es", 10000, 1000), ("spsa", 50000, 500), ("cma_es", 10000, 10)]
)
def test_published_rivals(task: str, optimizer: str, steps: int, looks: int) -> None:
    """EDITIONS.md, rivals: one setting for all tasks, a fifth of the steps on the mixture, on MNIST and on ETTh1."""
    config = composed("study=first", f"task={task}", f"optimizer={optimizer}")
    shorter = task in ("moe", "mnist", "etth1")
    assert config["study"]["edition"] == "first"
    assert config["budget"]["steps"] == (steps // 5 if shorter else steps)
    if optimizer == "cma_es" and shorter:
        # pycma on the mixture was looked at ten times, EvoTorch on MNIST every ten generations and on ETTh1 every hundred
        looks = {"moe": 10, "mnist": 200, "etth1": 20}[task]
    elif shorter:
        looks //= 5
    assert config["budget"]["steps"] == looks * config["evaluation"]["validate_every"]
    reference = composed("study=first", "task=snn", f"optimizer={optimizer}")["optimizer"]
    lengths = {"A", "learning_rate", "steps"}
    same = {name: value for name, value in reference.items() if name not in lengths}
    assert same.items() <= config["optimizer"].items()
    if optimizer == "spsa":
        assert config["optimizer"]["A"] == config["budget"]["steps"] / 10
    if optimizer == "openai_es":
        assert config["optimizer"]["learning_rate"]["steps"] == config["budget"]["steps"]


@pytest.mark.parametrize(("task", "epoch"), [("snn", 106), ("mnist", 106), ("moe", 211)])
def test_the_revised_edition_looks_at_the_end_of_each_epoch(task: str, epoch: int) -> None:
    config = composed("study=revised", f"task={task}", "optimizer=polystep")
    assert config["evaluation"]["validate_every"] == epoch
    assert config["budget"]["steps"] == 30 * epoch


@pytest.mark.parametrize(("variables", "reference"), [(1000, 100_000), (1_000_000, 1_000_000)])
def test_the_revised_edition_on_maxsat(variables: int, reference: int) -> None:
    config = composed("study=revised", "task=maxsat", "optimizer=polystep", f"task.variables={variables}")
    optimizer, million = config["optimizer"], variables == 1_000_000
    assert config["task"]["cost"] == ("count" if million else "fraction")
    assert config["budget"]["steps"] == (500 if million else 1000)
    assert optimizer["coasting"] == {
        "_target_": "polystep.update.Coasting",
        "period": 1 if million else 3,
        "decay": 0.7,
        "direction": "transport",
    }
    probe, step = instantiate(optimizer["probe_radius"]), instantiate(optimizer["step_radius"])
    assert (probe.size, probe.reference, step.size, step.reference) == (variables, reference, variables, reference)
    assert (probe.steps, step.steps) == ((40_000, 400_000) if million else (800, 24_000))
    assert instantiate(optimizer["temperature"]).steps == 450


@pytest.mark.parametrize(("task", "factor"), [("cartpole", 1.5), ("acrobot", 2.0)])
def test_the_revised_edition_on_control(task: str, factor: float) -> None:
    optimizer = composed("study=revised", f"task={task}", "optimizer=polystep")["optimizer"]
    assert optimizer["coasting"]["period"] == 1 and optimizer["polytope"] == "simplex"
    assert optimizer["probe_jitter"] == 0.05 and optimizer["probe_radius"]["factor"] == factor


@pytest.mark.parametrize("task", ["snn_smooth", "int8_smooth", "argmax_smooth", "staircase_smooth", "mnist"])
def test_published_adam(task: str) -> None:
    config = composed("study=first", f"task={task}", "optimizer=adam")
    assert (config["study"]["edition"], config["budget"]["steps"]) == ("first", 3540)
    rate = config["optimizer"]["learning_rate"]
    assert (rate["start"], rate["end"], config["budget"]["steps"]) == (0.001, 0.0, 3540)


@pytest.mark.parametrize(("edition", "coordinates", "candidates"), [("first", 4705, 9424), ("revised", 4704, 5292)])
def test_forecasts(monkeypatch: pytest.MonkeyPatch, edition: str, coordinates: int, candidates: int) -> None:
    """EDITIONS.md, forecasts: a full step in three, 30 epochs of 133 batches; Adam 50 at a constant rate."""
    config = composed(f"study={edition}", "task=etth1", "optimizer=polystep")
    task, optimizer = config["task"], config["optimizer"]
    assert (task["series"], task["history"], task["horizon"], task["batch_size"]) == ("etth1", 96, 96, 64)
    layout = ParameterLayout.of_module(instantiate(task["network"])(horizon=96))
    assert layout.size == 23392
    monkeypatch.setattr(HybridSubspace, "redraw", lambda self, draw: None)
    subspace = instantiate(optimizer["subspace"])(layout, optimizer["particle_dimension"], seed=42)
    assert subspace.coordinates == coordinates
    vertices = len(polytope_vertices(optimizer["polytope"], subspace.particle_dimension))
    assert subspace.particles * vertices * optimizer["probes"] == candidates
    assert optimizer["coasting"]["period"] == 3 and optimizer["update"]["_target_"] == "polystep.update.Momentum"
    assert (config["budget"]["steps"], config["evaluation"]["validate_every"]) == (3990, 133)
    adam = composed(f"study={edition}", "task=etth1", "optimizer=adam")
    assert (adam["budget"]["steps"], adam["optimizer"]["learning_rate"]) == (6650, 0.001)
