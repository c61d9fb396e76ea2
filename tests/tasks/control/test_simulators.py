"""The simulators equal Gymnasium: first states, steps, rewards, ends, observations."""

import gymnasium
import numpy as np
import pytest
from numba import njit

from tasks.control.simulators import SIMULATORS, SimulatedEnvironments

STATES = 3000
TOLERANCE = 1e-12
"""Of states after one step: numpy and the C library round some cosines differently. Observations are then float32."""


def states_of(name, generator):
    """States all over the reachable space, and just beyond the bounds where CartPole ends."""
    if name == "CartPole-v1":
        return generator.uniform(-1, 1, (STATES, 4)) * [2.5, 4, 0.22, 4]
    return generator.uniform(-1, 1, (STATES, 4)) * [np.pi, np.pi, 4 * np.pi, 9 * np.pi]


@pytest.mark.parametrize("name", SIMULATORS)
def test_a_step_equals_that_of_gymnasium(name):
    simulator = SIMULATORS[name]
    generator = np.random.default_rng(7)
    reference = gymnasium.make(name).unwrapped
    reference.reset(seed=0)
    ends = set()
    for state, action in zip(
        states_of(name, generator), generator.integers(simulator.actions, size=STATES), strict=True
    ):
        reference.state, reference.steps_beyond_terminated = state.copy(), None
        observation, reward, terminated, truncated, _ = reference.step(action)
        moved, observed = state.copy(), np.empty(len(simulator.high), np.float32)
        assert simulator.step(moved, action) == (reward, terminated)
        simulator.observe(moved, observed)
        assert moved == pytest.approx(np.array(reference.state), rel=TOLERANCE, abs=TOLERANCE)
        assert observed == pytest.approx(observation, rel=3e-7, abs=1e-7)
        assert not truncated
        ends.add(terminated)
    assert ends == {False, True}


@pytest.mark.parametrize("name", SIMULATORS)
def test_an_observation_is_exactly_that_of_gymnasium(name):
    """From equal states, to the last bit of float32."""
    simulator = SIMULATORS[name]
    reference = gymnasium.make(name).unwrapped
    for seed, state in enumerate(simulator.first_states(np.arange(200))):
        expected, _ = reference.reset(seed=seed)
        assert np.array_equal(state, reference.state)
        observed = np.empty(len(simulator.high), np.float32)
        simulator.observe(state, observed)
        assert np.array_equal(observed, expected)


@pytest.mark.parametrize("name", SIMULATORS)
def test_bounds_actions_and_horizon_are_those_of_gymnasium(name):
    simulator, reference = SIMULATORS[name], gymnasium.make(name)
    assert reference.observation_space.dtype == np.float32
    assert np.array_equal(reference.observation_space.high, simulator.high)
    assert np.array_equal(reference.observation_space.low, -simulator.high)
    assert reference.action_space.n == simulator.actions
    assert reference.spec.max_episode_steps == simulator.horizon


@pytest.mark.parametrize("name", SIMULATORS)
def test_whole_episodes_equal_those_of_gymnasium(name):
    """Random actions, ends included; Acrobot for 60 steps: its motion is chaotic."""
    simulator = SIMULATORS[name]
    horizon = 60
    seeds = np.arange(40)
    simulated = SimulatedEnvironments(simulator, horizon)
    observations = simulated.reset(seeds)
    actions = np.random.default_rng(3).integers(simulator.actions, size=(horizon, len(seeds)))
    references = [gymnasium.make(name, max_episode_steps=horizon) for _ in seeds]
    expected = np.array([reference.reset(seed=int(seed))[0] for reference, seed in zip(references, seeds, strict=True)])
    running = np.ones(len(seeds), np.bool_)
    for taken in actions:
        assert observations == pytest.approx(expected, rel=1e-5, abs=1e-5)
        observations, *outcome = simulated.step(taken, running)
        for lane in np.flatnonzero(running):
            expected[lane], *reference_outcome, _ = references[lane].step(taken[lane])
            assert reference_outcome == [values[lane] for values in outcome]
        running &= ~(outcome[1] | outcome[2])
    assert not running.any()


def test_episodes_that_have_ended_stay_as_they_are():
    simulated = SimulatedEnvironments(SIMULATORS["CartPole-v1"], 500)
    before = simulated.reset(np.arange(3))
    running = np.array([True, False, True])
    after = simulated.step(np.ones(3, np.int64), running).observations
    assert (after != before).any(1).tolist() == running.tolist()


def test_angles_of_acrobot_are_wrapped():
    """A step that passes the upper end of the circle comes out at the lower one."""
    simulator = SIMULATORS["Acrobot-v1"]
    for sign in (1, -1):
        state = np.array([sign * 3.1, 0.0, sign * 6.0, 0.0])
        simulator.step(state, 1)
        assert -np.pi <= sign * state[0] < -1


def test_dynamics_are_the_same_inside_of_other_compiled_functions():
    step = SIMULATORS["Acrobot-v1"].step

    @njit
    def repeated(state):
        for action in range(3):
            step(state, action)

    one, other = np.full(4, 0.3), np.full(4, 0.3)
    repeated(one)
    for action in range(3):
        step(other, action)
    assert np.array_equal(one, other)
