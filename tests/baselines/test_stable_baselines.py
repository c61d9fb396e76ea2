"""PPO and DQN: they learn, or do not where no gradient flows; they resume exactly; and what they refuse."""

import copy
import random
import sys

import numpy as np
import pytest
import torch

from baselines.dqn import DQN
from baselines.ppo import PPO
from polystep.ask_tell import NonFiniteLossError
from polystep.bench.checkpoint import load_checkpoint, save_checkpoint
from polystep.bench.ledger import Ledger, MeteredObjective
from polystep.capabilities import CapabilityUnavailable
from polystep.conformance.objectives import QuadraticObjective
from polystep.layout import ParameterLayout
from polystep.packages import MissingPackageError
from tasks.control.task import ControlTask

LAYOUT = ParameterLayout({"first.weight": (6, 7), "first.bias": (6,), "second.weight": (4, 6), "second.bias": (4,)})
START = torch.linspace(-0.5, 0.5, LAYOUT.size)
SHORT = {
    PPO: {"environments": 2, "environment_steps": 32, "batch_size": 16, "epochs": 2},
    DQN: {"environment_steps": 64, "learning_starts": 8, "buffer_size": 150, "target_every": 40},
}


def build(kind, seed=0, layout=LAYOUT, point=START, **settings):
    pytest.importorskip("stable_baselines3", reason='needs the extra: pip install -c constraints.txt -e ".[rl]"')
    return kind(layout, point, seed, **(SHORT[kind] | settings))


class WithoutDerivatives(QuadraticObjective):
    """Whose environment has a policy that quantises."""

    def interact(self, learner):
        def with_quantised_heads(view):
            view.quantised = torch.sign
            return learner(view)

        return super().interact(with_quantised_heads)


def test_divergence_is_named():
    optimizer = build(PPO, learning_rate=1e30)
    with pytest.raises(NonFiniteLossError, match="made the policy NaN or infinite; reduce learning_rate"):
        for _ in range(5):
            optimizer.step(QuadraticObjective(), 0.0)


@pytest.mark.parametrize("kind", [PPO, DQN])
def test_it_learns(kind):
    """The reward is 1 for naming the largest of four numbers, so chance earns 5 / 4 per episode."""
    settings = {
        PPO: {"environment_steps": 256, "batch_size": 64, "learning_rate": 0.01, "epochs": 5},
        DQN: {
            "environment_steps": 512,
            "learning_rate": 0.01,
            "exploration_steps": 1000,
            "buffer_size": 5000,
            "batch_size": 64,
        },
    }
    optimizer = build(kind, **settings[kind])
    losses = [optimizer.step(QuadraticObjective(), 0.0).loss for _ in range(8)]
    assert losses[0] > -1.8 and losses[-1] < -2.2


@pytest.mark.parametrize("kind", [PPO, DQN])
def test_quantised_heads_learn_nothing(kind):
    optimizer = build(kind, quantised_heads=True)
    for _ in range(2):
        report = optimizer.step(WithoutDerivatives(), 0.0)
    assert report.diagnostics["movement"] == 0 and torch.equal(optimizer.solution, START)
    learning = build(kind)
    learning.step(WithoutDerivatives(), 0.0)
    assert not torch.equal(learning.solution, START)


@pytest.mark.parametrize("kind", [PPO, DQN])
@pytest.mark.parametrize("taken_after", [0, 1, 4])
def test_run_from_a_checkpoint_file_is_bit_equal(kind, taken_after, tmp_path):
    """Replayed transitions, which wrap round here, and moments included."""
    optimizer, resumed = build(kind), build(kind)
    for _ in range(taken_after):
        optimizer.step(QuadraticObjective(), 0.0)
    state = optimizer.state_dict()
    kept = copy.deepcopy(state)
    save_checkpoint(tmp_path / "state", state)
    resumed.step(QuadraticObjective(), 0.0)
    resumed.load_state_dict(load_checkpoint(tmp_path / "state"))
    assert str(resumed.state_dict()) == str(kept)
    for _ in range(3):
        report, again = optimizer.step(QuadraticObjective(), 0.0), resumed.step(QuadraticObjective(), 0.0)
        assert torch.equal(optimizer.solution, resumed.solution)
        assert report == again
    assert str(state) == str(kept)


@pytest.mark.parametrize("kind", [PPO, DQN])
def test_random_numbers_belong_to_the_seed_and_global_ones_are_left_alone(kind):
    before = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()
    points = []
    for seed in (1, 1, 2):
        optimizer = build(kind, seed)
        optimizer.step(QuadraticObjective(), 0.0)
        points.append(optimizer.solution)
    assert torch.equal(points[0], points[1]) and not torch.equal(points[0], points[2])
    assert torch.equal(torch.get_rng_state(), before[0])
    np.testing.assert_array_equal(np.random.get_state()[1], before[1])
    assert random.getstate() == before[2]


@pytest.mark.parametrize("kind", [PPO, DQN])
def test_environment_steps_are_charged_by_the_objective(kind):
    ledger = Ledger()
    build(kind).step(MeteredObjective(QuadraticObjective(), ledger), 0.0)
    assert ledger.spent.environment_steps == 64 and ledger.spent.candidate_evaluations == 0


def test_objectives_without_an_environment_are_refused_with_alternatives():
    class Losses:
        spent = None

        def losses(self, candidates):
            raise AssertionError

    with pytest.raises(CapabilityUnavailable, match="task=control, or use another optimiser, such as"):
        build(PPO).step(MeteredObjective(Losses(), Ledger()), 0.0)


def test_continuous_actions_are_for_ppo():
    task = ControlTask("Pendulum-v1", 0)
    ppo, dqn = (build(kind, layout=task.layout, point=task.initial_point(0)) for kind in (PPO, DQN))
    with pytest.raises(CapabilityUnavailable, match=r"discrete actions, and the environment has Box.*optimizer=ppo"):
        dqn.step(task.next_objective(), 0.0)
    objective = task.next_objective()
    ppo.step(objective, 0.0)
    assert objective.spent.environment_steps == 64
    assert torch.isfinite(ppo.solution).all() and not torch.equal(ppo.solution, task.initial_point(0))


@pytest.mark.parametrize("kind", [PPO, DQN])
def test_the_missing_extra_is_named(kind, monkeypatch):
    monkeypatch.setitem(sys.modules, "stable_baselines3", None)
    with pytest.raises(
        MissingPackageError, match=r"needs the package stable-baselines3; install it with: pip .* -e .\.\[rl\]."
    ):
        kind(LAYOUT, START, 0)


@pytest.mark.parametrize(
    ("kind", "settings", "message"),
    [
        (PPO, {"gradient": "smooth"}, "gradient must be 'exact' or 'straight_through', got 'smooth'"),
        (PPO, {"environments": 0}, "environments must be at least 1, got 0"),
        (PPO, {"environment_steps": 0}, "environment_steps must be at least 1, got 0"),
        (PPO, {"batch_size": 65}, "batch_size must lie between 2 and environments x environment_steps, 64, got 65"),
        (PPO, {"epochs": 0}, "epochs must be at least 1, got 0"),
        (PPO, {"learning_rate": 0.0}, "learning_rate must be a number above 0, got 0"),
        (DQN, {"learning_rate": -1.0}, "learning_rate must be a number above 0, got -1"),
        (DQN, {"buffer_size": 0}, "buffer_size must be at least 1, got 0"),
        (DQN, {"train_every": 7}, "environment_steps must be a multiple of train_every, 7, got 64"),
        (DQN, {"exploration_end": 1.5}, r"exploration_end must lie in \[0, 1\], got 1.5"),
        (DQN, {"learning_starts": -1}, "learning_starts must be at least 0, got -1"),
    ],
)
def test_wrong_settings_are_refused(kind, settings, message):
    with pytest.raises(ValueError, match=message):
        build(kind, **settings)
