"""All paths play the same episodes: the fused loop, the simulators in lockstep, Gymnasium itself."""

import numpy as np
import pytest
import torch

from tasks.control.gymnasium_environments import GymnasiumEnvironments
from tasks.control.policy import Policy
from tasks.control.rollouts import LANES, FusedEvaluator, LockstepEvaluator
from tasks.control.simulators import SIMULATORS, SimulatedEnvironments

NAMES = tuple(SIMULATORS)
ACTIVATIONS = ("float", "int8", "binary")


def setting(name, activation="float", int8_scale="row", candidates=9, episodes=4):
    """A policy, candidates from cautious to wild, the first all zero, and seeds."""
    simulator = SIMULATORS[name]
    policy = Policy(len(simulator.high), simulator.actions, activation=activation, int8_scale=int8_scale)
    generator = torch.Generator().manual_seed(5)
    points = (
        torch.randn(candidates, policy.layout.size, generator=generator) * torch.arange(candidates).unsqueeze(1) / 4
    )
    seeds = torch.randint(2**31, (candidates, episodes), generator=generator).numpy()
    return simulator, policy, points, seeds


def lockstep(simulator, policy, horizon):
    return LockstepEvaluator(policy, SimulatedEnvironments(simulator, horizon))


def assert_equal(one, other):
    assert np.array_equal(one.lengths, other.lengths)
    assert one.returns == pytest.approx(other.returns, rel=1e-12)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("name", NAMES)
def test_the_fused_loop_equals_the_lockstep(name, activation):
    simulator, policy, points, seeds = setting(name, activation, candidates=30)
    horizon = {"CartPole-v1": 500, "Acrobot-v1": 120}[name]
    fused = FusedEvaluator(policy, simulator, horizon).roll_out(points, seeds)
    assert_equal(fused, lockstep(simulator, policy, horizon).roll_out(points, seeds))
    assert fused.lengths.min() < horizon


@pytest.mark.parametrize("name", NAMES)
def test_the_lockstep_equals_gymnasium(name):
    simulator, policy, points, seeds = setting(name, "binary")
    gymnasium = LockstepEvaluator(policy, GymnasiumEnvironments(name, 50))
    assert_equal(lockstep(simulator, policy, 50).roll_out(points, seeds), gymnasium.roll_out(points, seeds))


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("fused", [False, True])
def test_an_episode_does_not_depend_on_those_beside_it(fused, activation):
    simulator, policy, points, seeds = setting("CartPole-v1", activation)
    evaluator = FusedEvaluator(policy, simulator, 200) if fused else lockstep(simulator, policy, 200)
    together = evaluator.roll_out(points, seeds)
    for candidate in range(len(points)):
        for episode in range(seeds.shape[1]):
            alone = evaluator.roll_out(points[candidate : candidate + 1], seeds[candidate, episode].reshape(1, 1))
            assert alone.returns.item() == together.returns[candidate, episode]


def test_candidates_beyond_the_lanes_are_played_in_turn():
    simulator, policy, points, seeds = setting("CartPole-v1", candidates=3, episodes=LANES // 2 + 1)
    evaluator = lockstep(simulator, policy, 30)
    apart = [evaluator.roll_out(points[n : n + 1], seeds[n : n + 1]).returns for n in range(3)]
    assert np.array_equal(evaluator.roll_out(points, seeds).returns, np.concatenate(apart))


def test_the_first_of_equal_outputs_is_chosen():
    """A policy of zeros always pushes to the left, and falls as fast as that lets it."""
    simulator, policy, points, seeds = setting("CartPole-v1", candidates=1)
    left = points.clone()
    left[0, policy.layout.entries[-1].span] = torch.tensor([1.0, 0.0])
    evaluator = FusedEvaluator(policy, simulator, 500)
    assert_equal(evaluator.roll_out(points, seeds), evaluator.roll_out(left, seeds))
    assert evaluator.roll_out(points, seeds).lengths.max() < 12


def test_compilation_is_timed_once():
    simulator, _, _, _ = setting("CartPole-v1")
    # a size of its own, so that no other test has compiled it
    policy = Policy(4, 2, hidden=5)
    points, seeds = torch.zeros(2, policy.layout.size), np.ones((2, 3), np.int64)
    evaluator = FusedEvaluator(policy, simulator, 10)
    evaluator.roll_out(points, seeds)
    seconds = evaluator.compilation_seconds
    evaluator.roll_out(points, seeds)
    assert evaluator.compilation_seconds == seconds > 0
