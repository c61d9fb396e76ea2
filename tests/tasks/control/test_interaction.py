"""The environment that learners act in: Gymnasium's, counted; and the policy that they differentiate."""

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.utils.env_checker import check_env

from polystep.bench.ledger import Ledger, MeteredObjective
from polystep.capabilities import CapabilityUnavailable, Environment, environment_of
from tasks.control.environments import DiscreteActions
from tasks.control.interaction import Interaction
from tasks.control.policy import Policy
from tasks.control.simulators import SIMULATORS, SimulatedEnvironments
from tasks.control.task import ControlTask

ACTIVATIONS = ("float", "int8", "binary")


def view(name="CartPole-v1", activation="float", horizon=500):
    simulator = SIMULATORS[name]
    policy = Policy(len(simulator.high), simulator.actions, activation=activation)
    return Interaction(policy, lambda: SimulatedEnvironments(simulator, horizon), seed=5)


@pytest.mark.filterwarnings("ignore:.*Box observation space")
@pytest.mark.parametrize("name", [*SIMULATORS, "Pendulum-v1"])
def test_episodes_are_those_of_gymnasium(name):
    """Rewards, ends by the environment and ends by the horizon."""
    horizon = 60
    objective = ControlTask(name, 0, horizon=horizon).next_objective()
    environment = objective.interact(lambda found: found.make())
    reference = gymnasium.make(name, max_episode_steps=horizon)
    assert environment.action_space == reference.action_space
    reference.action_space.seed(3)
    for seed in range(4):
        observation, expected = environment.reset(seed=seed)[0], reference.reset(seed=seed)[0]
        ended = False
        while not ended:
            assert observation == pytest.approx(expected, rel=1e-5, abs=1e-5)
            action = reference.action_space.sample()
            observation, *outcome, _ = environment.step(action)
            expected, *expected_outcome, _ = reference.step(action)
            assert outcome == pytest.approx(expected_outcome)
            ended = outcome[1] or outcome[2]


def test_it_obeys_the_rules_of_gymnasium():
    check_env(view().make(), skip_render_check=True)


def test_every_step_is_charged_also_where_the_learner_fails():
    task = ControlTask("CartPole-v1", 0)
    objective, ledger = task.next_objective(), Ledger()
    assert isinstance(objective, Environment)

    def learner(found):
        one, other = found.make(), found.make()
        assert not np.array_equal(one.reset()[0], other.reset()[0])
        for _ in range(3):
            one.step(0)
        other.step(1)
        found.outputs(task.initial_point(0).requires_grad_(), torch.ones(7, 4), "exact")
        with torch.no_grad():
            found.outputs(task.initial_point(0), torch.ones(9, 4), "exact")
        return "learnt"

    assert environment_of(MeteredObjective(objective, ledger)).interact(learner) == "learnt"
    assert (ledger.spent.environment_steps, ledger.spent.backward_passes) == (4, 7)
    assert ledger.uses == {"environment", "gradient:policy"}

    def failing(found):
        found.make().reset()
        raise ZeroDivisionError

    objective = task.next_objective()
    with pytest.raises(ZeroDivisionError):
        objective.interact(lambda found: (learner(found), 1 / 0))
    assert objective.spent.environment_steps == 4


def test_episodes_belong_to_the_objective():
    def first(found):
        return found.make().reset()[0]

    one, other = ControlTask("CartPole-v1", 0), ControlTask("CartPole-v1", 0)
    drawn = [one.next_objective().interact(first) for _ in range(2)]
    assert np.array_equal(drawn[0], other.next_objective().interact(first))
    assert not np.array_equal(*drawn)


def test_actions_may_start_anywhere():
    class Recording(SimulatedEnvironments):
        def step(self, actions, running):
            taken.append(actions.tolist())
            return super().step(np.zeros(1, np.int64), running)

    taken = []
    environments = Recording(SIMULATORS["CartPole-v1"], 500)
    environments.actions = DiscreteActions(2, first=-1)
    environment = Interaction(Policy(4, 2), lambda: environments, 0).make()
    environment.reset()
    environment.step(0)
    environment.step(np.int64(1))
    assert taken == [[-1], [0]]


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_straight_through_changes_the_derivative_only(activation):
    found = view(activation=activation)
    generator = torch.Generator().manual_seed(0)
    point, observations = torch.randn(114, generator=generator), torch.randn(9, 4, generator=generator)
    gradients = {}
    for kind in ("exact", "straight_through"):
        leaf = point.clone().requires_grad_()
        outputs = found.outputs(leaf, observations, kind)
        outputs.square().sum().backward()
        gradients[kind] = leaf.grad
        with torch.no_grad():
            assert torch.equal(outputs, found.outputs(point, observations, "exact"))
    hidden = slice(0, 80)
    assert torch.allclose(gradients["exact"][80:], gradients["straight_through"][80:])
    if activation == "float":
        assert torch.equal(gradients["exact"], gradients["straight_through"])
        return
    # what passes through rounding and sign as if they were not there
    named = found._policy.layout.unflatten(point)
    above = (2 * outputs.detach()) @ named["output.weight"]
    expected = torch.cat([(above.T @ observations).flatten(), above.sum(0)])
    assert torch.allclose(gradients["straight_through"][hidden], expected, rtol=1e-4, atol=1e-4)
    assert not gradients["exact"][hidden].any()


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_quantised_values_have_no_derivative(activation):
    values = torch.tensor([[0.3, -1.27, 0.0], [0.0, 0.0, 0.0]], requires_grad=True)
    quantised = view(activation=activation).quantised(values)
    quantised.sum().backward()
    expected = {
        "float": values.tolist(),
        "int8": [[0.3, -1.27, 0], [0, 0, 0]],
        "binary": [[1, -1, 0], [0, 0, 0]],
    }[activation]
    assert quantised.detach().numpy() == pytest.approx(np.array(expected), abs=0.006)
    assert values.grad.any() == (activation == "float")


def test_objectives_without_an_environment_are_refused(objective):
    with pytest.raises(CapabilityUnavailable, match="task=cartpole, task=acrobot or task=control, or use another"):
        environment_of(objective)
    with pytest.raises(CapabilityUnavailable, match="acts in an environment, which the task does not have"):
        environment_of(MeteredObjective(objective, Ledger()))


@pytest.fixture
def objective():
    class PlainObjective:
        spent = None

        def losses(self, candidates):
            return candidates

    return PlainObjective()
