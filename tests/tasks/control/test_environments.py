"""Actions, hardened variants, and environments of Gymnasium that cannot be used or that fail."""

import sys

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Dict, Discrete, MultiDiscrete

from polystep.packages import MissingPackageError
from tasks.control.environments import BoxActions, DiscreteActions, HardenedEnvironments
from tasks.control.gymnasium_environments import EnvironmentFailure, GymnasiumEnvironments
from tasks.control.policy import Policy
from tasks.control.rollouts import LockstepEvaluator
from tasks.control.simulators import SIMULATORS, SimulatedEnvironments

SEEDS = np.arange(3)
RUNNING = np.ones(3, np.bool_)


class Odd(gymnasium.Env):
    """Never ends, is rewarded by the sum of its action, and does what it is told to do wrong in step 3."""

    observation_space = Box(-1, 1, (2, 2))
    action_space = Box(-1, 1, (3,))

    def __init__(self, wrong=None, **spaces):
        vars(self).update(spaces)
        self.wrong = wrong
        if wrong == "build":
            raise RuntimeError("no licence")

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        if self.wrong == "reset":
            raise ZeroDivisionError("nothing there")
        self.steps = 0
        return np.zeros((2, 2), np.float32), {}

    def step(self, action):
        assert self.action_space.contains(action)
        self.steps += 1
        if self.steps == 3 and self.wrong == "raise":
            raise ZeroDivisionError("wheel fell off")
        reward = np.nan if self.steps == 3 and self.wrong == "nan" else float(np.sum(action))
        return np.full((2, 2), self.steps, np.float32), reward, False, False, {}


@pytest.fixture
def register():
    """Registers `Odd` with some arguments; forgotten after the test."""
    before = dict(gymnasium.registry)

    def add(horizon=None, **arguments):
        gymnasium.registry.pop("Odd-v0", None)
        gymnasium.register("Odd-v0", Odd, max_episode_steps=horizon, kwargs=arguments)
        return "Odd-v0"

    yield add
    gymnasium.registry.clear()
    gymnasium.registry.update(before)


def test_outputs_of_a_box_are_clipped_to_it():
    actions = BoxActions(np.float32([-1, -np.inf]), np.float32([1, np.inf]))
    chosen = actions.choose(np.float32([[-3, -3], [0.5, 3]]))
    assert actions.outputs == 2 and chosen.dtype == np.float32
    assert chosen.tolist() == [[-1, -3], [0.5, 3]]


def test_discrete_actions_may_start_anywhere():
    outputs = np.float32([[0, 2, 1], [5, 5, 5]])
    assert DiscreteActions(3).choose(outputs).tolist() == [1, 0]
    assert DiscreteActions(3, first=-1).choose(outputs).tolist() == [0, -1]


def test_any_box_environment_is_played_to_the_horizon(register):
    environments = GymnasiumEnvironments(register(), horizon=5)
    assert environments.low.shape == (4,) and environments.actions.outputs == 3
    policy = Policy(4, 3)
    point = torch.zeros(1, policy.layout.size)
    point[0, policy.layout.entries[-1].span] = torch.tensor([0.5, 0.25, 7.0])
    rollouts = LockstepEvaluator(policy, environments).roll_out(point, SEEDS.reshape(1, 3))
    assert rollouts.lengths.tolist() == [[5, 5, 5]]
    assert rollouts.returns == pytest.approx(np.full((1, 3), 5 * 1.75))


def test_continuous_and_discrete_environments_of_gymnasium():
    for name, outputs in (("MountainCarContinuous-v0", 1), ("Pendulum-v1", 1), ("MountainCar-v0", 3)):
        environments = GymnasiumEnvironments(name, horizon=20)
        policy = Policy(environments.low.size, environments.actions.outputs)
        assert policy.outputs == outputs
        points = torch.stack([policy.initial_point(seed) for seed in range(2)])
        seeds = np.tile(SEEDS, (2, 1))
        one, other = (LockstepEvaluator(policy, environments).roll_out(points, seeds) for _ in range(2))
        assert np.array_equal(one.returns, other.returns)
        assert one.lengths.tolist() == [[20] * 3] * 2


def test_only_running_episodes_are_stepped(register):
    environments = GymnasiumEnvironments(register(), horizon=5)
    environments.reset(SEEDS)
    actions = np.zeros((3, 3), np.float32)
    for _ in range(2):
        observations = environments.step(actions, np.array([False, True, False])).observations
    assert observations[:, 0].tolist() == [0, 2, 0]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("build", "Odd-v0 cannot be built: RuntimeError: no licence; correct the environment"),
        ("reset", "Odd-v0 failed in the episode of seed 0 at step 0: reset raised ZeroDivisionError: nothing there"),
        ("raise", r"seed 0 at step 3: step raised ZeroDivisionError: wheel fell off; the action was \[0\. 0\. 0\.\]"),
        ("nan", r"seed 0 at step 3: the reward of action \[0\. 0\. 0\.\] is nan, not a finite number; correct"),
    ],
)
def test_failing_environments_are_named(register, wrong, message):
    with pytest.raises(EnvironmentFailure, match=message):
        environments = GymnasiumEnvironments(register(wrong=wrong), horizon=5)
        environments.reset(SEEDS)
        for _ in range(3):
            environments.step(np.zeros((3, 3), np.float32), RUNNING)


def test_an_environment_that_never_ends_needs_a_horizon(register):
    with pytest.raises(ValueError, match=r"task\.env=Odd-v0 sets no limit .* set task\.horizon"):
        GymnasiumEnvironments(register(), horizon=None)
    GymnasiumEnvironments(register(horizon=7), horizon=None)


@pytest.mark.parametrize(
    ("spaces", "message"),
    [
        ({"observation_space": Discrete(5)}, r"observation space Discrete\(5\); supported is Box"),
        ({"observation_space": Dict(a=Box(0, 1))}, r"observation space Dict.*; supported is Box"),
        ({"action_space": MultiDiscrete([2, 3])}, "action space MultiDiscrete.*; supported are Discrete and Box"),
        (
            {"action_space": Box(0, 9, (2,), np.int64)},
            "action space Box.*; supported are Discrete and Box of real numbers",
        ),
    ],
)
def test_other_spaces_are_refused_with_the_supported_ones(register, spaces, message):
    with pytest.raises(ValueError, match=message):
        GymnasiumEnvironments(register(**spaces), horizon=5)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("CartPoole-v1", r"task.env=CartPoole-v1 is no environment of Gymnasium: .*Did you mean: `CartPole`"),
        ("CartPole-v9", r"no environment of Gymnasium: .*It provides versioned environments"),
        ("cart pole", "no environment of Gymnasium: Malformed environment ID"),
    ],
)
def test_unknown_environments_are_refused_with_known_ones(name, message):
    with pytest.raises(ValueError, match=message):
        GymnasiumEnvironments(name, None)


def test_missing_packages_are_named_with_the_install_command(monkeypatch):
    with pytest.raises(MissingPackageError, match=r"task\.env=no_such_package:Some-v0 needs .*no_such_package"):
        GymnasiumEnvironments("no_such_package:Some-v0", None)
    monkeypatch.setattr(
        gymnasium,
        "make",
        lambda *_, **__: (_ for _ in ()).throw(gymnasium.error.DependencyNotInstalled("MuJoCo is not")),
    )
    with pytest.raises(MissingPackageError, match=r"MuJoCo is not; install it with: pip .*\[mujoco\]'$"):
        GymnasiumEnvironments("HalfCheetah-v5", None)
    monkeypatch.setitem(sys.modules, "gymnasium", None)
    with pytest.raises(
        MissingPackageError, match=r"needs the package gymnasium; .* pip install -c constraints.txt -e .\.\[bench\]."
    ):
        GymnasiumEnvironments("Pendulum-v1", None)


def hardened(name, **settings):
    return HardenedEnvironments(SimulatedEnvironments(SIMULATORS[name], 500), **settings)


def test_hardened_observations_are_the_centres_of_their_bins():
    bounds = np.array([2.4, 3.0, 0.21, 3.5])
    plain, coarse = (
        SimulatedEnvironments(SIMULATORS["CartPole-v1"], 500),
        hardened("CartPole-v1", levels=4, bounds=bounds),
    )
    seen, expected = coarse.reset(SEEDS), plain.reset(SEEDS)
    actions, running = np.array([0, 1, 1]), RUNNING.copy()
    for _ in range(10):
        width = bounds / 2
        number = np.clip(np.floor((expected + bounds) / width), 0, 3)
        assert seen == pytest.approx(-bounds + (number + 0.5) * width, rel=1e-6)
        expected, *others = plain.step(actions, running)
        seen, *coarse_others = coarse.step(actions, running)
        assert all(
            np.array_equal(one[running], other[running]) for one, other in zip(others, coarse_others, strict=True)
        )
        running &= ~others[1]
    assert not running.all()


def test_values_at_and_beyond_the_bounds_belong_to_the_outer_bins():
    coarse = hardened("Acrobot-v1", levels=2)
    assert coarse._coarse(np.float32([[-1, 1, 0, 0, 99, -99]])) == pytest.approx(
        np.array([[-0.5, 0.5, 0.5, 0.5, 2 * np.pi, -4.5 * np.pi]]), rel=1e-6
    )


def test_hardened_rewards_fall_into_buckets(register):
    environments = HardenedEnvironments(GymnasiumEnvironments(register(), 5), reward_step=0.5)
    environments.reset(SEEDS)
    actions = np.float32([[0.7, 0, 0], [-0.7, 0, 0], [1, 0.6, 0]])
    assert environments.step(actions, RUNNING).rewards.tolist() == [0.5, -0.5, 1.5]


def test_rewards_of_the_classic_environments_survive_hardening_unchanged():
    for name in SIMULATORS:
        plain, coarse = SimulatedEnvironments(SIMULATORS[name], 500), hardened(name, reward_step=1.0)
        for environments in (plain, coarse):
            environments.reset(SEEDS)
        actions = np.zeros(3, np.int64)
        assert np.array_equal(plain.step(actions, RUNNING).rewards, coarse.step(actions, RUNNING).rewards)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"levels": 0}, "task.observation_levels must be at least 1, got 0"),
        ({"levels": 4}, r"task.observation_levels=4 needs bounds.*set task.observation_bounds to 4 numbers"),
        (
            {"levels": 4, "bounds": [1.0, 1.0, 1.0]},
            r"task.observation_bounds must be 4 numbers above 0.*got \[1.0, 1.0, 1.0\]",
        ),
        ({"levels": 4, "bounds": [1.0, 1.0, 0.0, 1.0]}, "task.observation_bounds must be 4 numbers above 0"),
        ({"levels": 4, "bounds": 3.0}, "task.observation_bounds must be 4 numbers above 0.*got 3.0"),
        ({"reward_step": 0.0}, "task.reward_step must be a number above 0, got 0"),
        ({"reward_step": np.nan}, "task.reward_step must be a number above 0, got nan"),
    ],
)
def test_hardening_that_makes_no_bins_is_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        hardened("CartPole-v1", **settings)
