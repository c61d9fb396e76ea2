"""Control as a task: contract on every path, episodes, charges, and the optimisers' settings on it."""

from pathlib import Path

import pytest
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf

from polystep.bench.composition import compose_config
from polystep.bench.launch import build_run
from polystep.candidates import DenseCandidates
from polystep.conformance import check_task
from polystep.contracts import Spent
from tasks.control.rollouts import FusedEvaluator, LockstepEvaluator
from tasks.control.task import ControlTask

CONFIGS = Path(__file__).resolve().parents[3] / "configs"
HARDENED = {"observation_levels": 4, "observation_bounds": [2.4, 3.0, 0.21, 3.5], "reward_step": 1}


def task(env="CartPole-v1", seed=0, **settings):
    return ControlTask(env, seed, **({"validation_episodes": 10, "test_episodes": 20} | settings))


def some_candidates(problem, count=5):
    points = torch.stack([problem.initial_point(seed) for seed in range(count)])
    return DenseCandidates(3 * points)


@pytest.mark.parametrize("env", ["CartPole-v1", "Acrobot-v1"])
@pytest.mark.parametrize("evaluation", ["fused", "lockstep", "gymnasium"])
def test_every_path_obeys_the_contract(env, evaluation):
    small = {"episodes": 2, "horizon": 20, "validation_episodes": 3, "test_episodes": 3}
    check_task(lambda seed: task(env, seed, evaluation=evaluation, **small))


@pytest.mark.parametrize("settings", [{"activation": "int8", "int8_scale": "candidate"}, HARDENED])
def test_variants_obey_the_contract(settings):
    check_task(lambda seed: task(seed=seed, **settings))


@pytest.mark.parametrize("activation", ["float", "int8", "binary"])
def test_all_paths_give_the_same_losses_charges_and_scores(activation):
    found = []
    for evaluation in ("fused", "lockstep", "gymnasium"):
        problem = task(activation=activation, evaluation=evaluation, horizon=100)
        objective = problem.next_objective()
        losses = objective.losses(some_candidates(problem))
        point = problem.initial_point(1)
        found.append((losses.tolist(), objective.spent.environment_steps, problem.validate(point), problem.test(point)))
    assert found[0] == found[1] == found[2]


def test_hardening_gives_the_same_losses_on_gymnasium():
    losses = [
        problem.next_objective().losses(some_candidates(problem))
        for problem in (task(**HARDENED), task(evaluation="gymnasium", **HARDENED), task())
    ]
    assert torch.equal(losses[0], losses[1]) and not torch.equal(losses[0], losses[2])


def test_the_fastest_path_that_is_able_is_taken():
    assert isinstance(task()._evaluator, FusedEvaluator)
    assert isinstance(task(activation="int8")._evaluator, FusedEvaluator)
    assert isinstance(task(int8_scale="candidate")._evaluator, FusedEvaluator)
    for settings in ({"activation": "int8", "int8_scale": "candidate"}, HARDENED, {"env": "Pendulum-v1"}):
        assert isinstance(task(**settings)._evaluator, LockstepEvaluator)


def test_a_loss_is_minus_the_mean_return_and_every_step_is_charged():
    problem = task(episodes=6)
    objective = problem.next_objective()
    losses = objective.losses(some_candidates(problem))
    # each step of CartPole earns 1
    assert objective.spent.environment_steps == round(-6 * float(losses.sum()))
    assert objective.spent.candidate_evaluations == 5
    assert objective.spent == Spent(
        candidate_evaluations=5,
        environment_steps=objective.spent.environment_steps,
        compilation_seconds=objective.spent.compilation_seconds,
    )


def test_all_candidates_play_the_same_episodes_unless_they_shall_not():
    problem = task()
    same = DenseCandidates(problem.initial_point(0).repeat(6, 1))
    assert len(problem.next_objective().losses(same).unique()) == 1
    apart = task(common_episodes=False).next_objective()
    assert len(apart.losses(same).unique()) > 1
    assert torch.equal(apart.losses(same), apart.losses(same))


def test_a_share_of_the_candidates_plays_the_episodes_that_it_plays_in_the_whole():
    problem = task(common_episodes=False)
    candidates, objective = DenseCandidates(problem.initial_point(0).repeat(9, 1)), problem.next_objective()
    whole = objective.losses(candidates)
    assert len(whole.unique()) > 3
    for part in (slice(0, 4), slice(4, 9), slice(6, 7)):
        assert torch.equal(objective.losses(candidates.part(part)), whole[part])
    assert torch.equal(objective.losses(candidates.part(slice(2, 8)).part(slice(3, 5))), whole[5:7])


def test_every_objective_and_every_judge_has_episodes_of_its_own():
    problem, point = task(episodes=50, test_episodes=50, validation_episodes=50), task().initial_point(0)
    candidates = DenseCandidates(point.unsqueeze(0))
    means = {-problem.next_objective().losses(candidates).item() for _ in range(3)}
    assert len(means | {problem.validate(point), problem.test(point)}) == 5
    assert problem.validate(point) != task(seed=1, validation_episodes=50).validate(point)


def test_episodes_are_those_of_gymnasium_for_their_seeds():
    """So a result can be checked with nothing but Gymnasium."""
    import gymnasium

    problem = task(activation="binary", test_episodes=3)
    point = problem.initial_point(4)
    environment = gymnasium.make("CartPole-v1")
    total = 0.0
    for seed in problem._test.ravel():
        observation, _ = environment.reset(seed=int(seed))
        ended = False
        while not ended:
            outputs = problem.policy.respond(point.unsqueeze(0), torch.from_numpy(observation).reshape(1, 1, 4))
            observation, reward, terminated, truncated, _ = environment.step(int(outputs.argmax()))
            total += reward
            ended = terminated or truncated
    assert problem.test(point) == pytest.approx(total / 3)


def test_candidates_that_are_not_finite_have_no_loss():
    problem = task()
    points = some_candidates(problem).points
    expected = task().next_objective().losses(DenseCandidates(points))
    points = points.clone()
    points[1, 0], points[3, -1] = torch.nan, torch.inf
    losses = problem.next_objective().losses(DenseCandidates(points))
    assert torch.isnan(losses).tolist() == [False, True, False, True, False]
    assert torch.equal(losses[::2], expected[::2])


def test_many_candidates_are_written_out_in_parts(monkeypatch):
    problem, twin = task(common_episodes=False), task(common_episodes=False)
    whole = problem.next_objective().losses(some_candidates(problem))
    monkeypatch.setattr("tasks.control.objective.MOST_EPISODES", 32)
    assert torch.equal(twin.next_objective().losses(some_candidates(twin)), whole)


def test_tasks_are_named_by_what_is_learned():
    assert task().info.name == "cartpole"
    assert task(activation="int8").info.name == "cartpole_int8"
    assert task("Acrobot-v1", activation="binary", reward_step=1.0).info.name == "acrobot_binary_hardened"
    assert task("Pendulum-v1").info.name == "Pendulum-v1"
    assert task().fingerprint != task("Acrobot-v1").fingerprint


def test_what_is_changed_of_an_environment_makes_it_another_problem():
    changes = [{}, {"horizon": 200}, {"horizon": 1000}, {"reward_step": 1.0}]
    changes += [{"observation_levels": 8, "observation_bounds": [bound] * 4} for bound in (1, 2)]
    assert len({task(**change).fingerprint for change in changes}) == len(changes)
    assert task(horizon=500).fingerprint == task().fingerprint
    assert task(reward_step=1).fingerprint == task(reward_step=1.0).fingerprint
    assert [task(horizon=steps).info.name for steps in (200, 500)] == ["cartpole_200steps", "cartpole"]
    assert (task(horizon=200).metric.best, task().metric.best) == (None, 500.0)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"episodes": 0}, "task.episodes must be at least 1, got 0"),
        ({"validation_episodes": 0}, "task.validation_episodes must be at least 1"),
        ({"test_episodes": -1}, "task.test_episodes must be at least 1, got -1"),
        ({"horizon": 0}, "task.horizon must be at least 1, got 0"),
        ({"evaluation": "slow"}, "task.evaluation must be 'fused', 'lockstep' or 'gymnasium', got 'slow'"),
        ({"env": "CartPole-v7"}, "task.env=CartPole-v7 is no environment"),
        ({"observation_levels": 4, "observation_bounds": [1, "a"]}, "task.observation_bounds must be 4 numbers"),
    ],
)
def test_wrong_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        task(**settings)


def composed(name, *overrides):
    config, _ = compose_config(CONFIGS, [f"task={name}", *overrides])
    settings = OmegaConf.to_container(config, resolve=True)
    problem = instantiate(settings["task"])
    return problem, instantiate(
        settings["optimizer"], layout=problem.layout, point=problem.initial_point(settings["seed"])
    )


@pytest.mark.parametrize(
    ("name", "activation", "episodes"),
    [("cartpole", "float", 32), ("cartpole", "int8", 16), ("acrobot", "float", 16), ("acrobot", "int8", 16)],
)
def test_published_settings_have_the_published_sizes(name, activation, episodes):
    problem, optimizer = composed(name, "study=first", f"task.activation={activation}", "task.horizon=2")
    objective = problem.next_objective()
    optimizer.step(objective, 0.0)
    assert objective.spent.candidate_evaluations == 48
    assert objective.spent.environment_steps == 2 * 48 * episodes
    assert problem.policy.couples_episodes == (activation == "int8")
    _, strategy = composed(name, "study=first", "optimizer=openai_es")
    assert len(strategy.ask(0.0)) == 32


@pytest.mark.parametrize("activation", ["float", "int8", "binary"])
def test_default_settings_balance_the_pole_with_a_tenth_of_the_published_steps(activation, tmp_path):
    """The published runs needed about 26 million environment steps."""
    overrides = ["task=cartpole", f"task.activation={activation}", "seed=3", "threads=1", "task.test_episodes=200"]
    config, choices = compose_config(CONFIGS, [*overrides, f"records={tmp_path / 'records'}"])
    record = build_run(config, choices).execute().record
    assert record.scores["test_last"] == record.scores["test_selected"] == 500
    assert 1e6 <= record.counters["environment_steps"] < 1.2e6
    assert record.task["name"] == ("cartpole" if activation == "float" else f"cartpole_{activation}")


def test_a_few_steps_with_acrobots_settings_teach_it_to_swing():
    problem, optimizer = composed("acrobot", "budget.steps=40", "seed=3", "task.activation=binary")
    assert problem.validate(optimizer.solution) < -450
    for _ in range(40):
        optimizer.step(problem.next_objective(), 0.0)
    assert problem.validate(optimizer.solution) > -150


def test_hardened_settings_come_from_the_command_line():
    plain, _ = composed("cartpole")
    coarse, _ = composed("cartpole", "task.observation_levels=4", "task.reward_step=1")
    assert coarse.info.name == "cartpole_hardened"
    point = plain.initial_point(0)
    assert coarse.validate(point) != plain.validate(point)
