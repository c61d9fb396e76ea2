"""Policy search as a task: every step plays a fresh set of episodes."""

import hashlib
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from polystep.component import component
from polystep.contracts import Metric, State, TaskInfo
from polystep.random import derive_seed
from polystep.validation import at_least, one_of
from tasks.control.environments import Environments, HardenedEnvironments
from tasks.control.gymnasium_environments import GymnasiumEnvironments
from tasks.control.objective import ControlObjective, episode_seeds
from tasks.control.policy import Activation, Int8Scale, Policy
from tasks.control.rollouts import Evaluator, FusedEvaluator, LockstepEvaluator
from tasks.control.simulators import SIMULATORS, SimulatedEnvironments

Evaluation = Literal["fused", "lockstep", "gymnasium"]
KNOWN_ENVIRONMENTS: dict[str, tuple[str, str, float | None, float | None]] = {
    "CartPole-v1": ("cartpole", "CartPole", 500.0, 475.0),
    "Acrobot-v1": ("acrobot", "Acrobot", None, -100.0),
}
"""Short name, title, largest possible return and Gymnasium's threshold for a solved task."""
EVALUATIONS: tuple[Evaluation, ...] = ("fused", "lockstep", "gymnasium")


@component(
    "control",
    version=1,
    inert=("device",),
    variant=("env", "activation", "horizon", "observation_levels", "observation_bounds", "reward_step"),
)
class ControlTask:
    """Find a policy whose episodes have a large return, the undiscounted sum of rewards.

    An episode is a seed, as Gymnasium's reset takes it, and every set of them is drawn for the run seed and one purpose: step
    t of the training, validation, test. The loss is minus the mean return, as it is, so temperatures are in units of return.
    Source: EDITIONS.md, control.
    """

    steps_per_epoch = 1

    def __init__(
        self,
        env: str,
        seed: int,
        activation: Activation = "float",
        hidden: int = 16,
        int8_scale: Int8Scale = "row",
        episodes: int = 16,
        common_episodes: bool = True,
        validation_episodes: int = 100,
        test_episodes: int = 1000,
        horizon: int | None = None,
        observation_levels: int | None = None,
        observation_bounds: Any = None,
        reward_step: float | None = None,
        evaluation: Evaluation = "fused",
        device: str = "cpu",
    ):
        """`env`: a Gymnasium id. `activation`, `hidden`, `int8_scale`: see `Policy`. `episodes`: per objective;
        `common_episodes`: whether all candidates play the same ones, which they did not in most published runs. `horizon`:
        steps after which an episode ends, None for the environment's own. `observation_levels`, `observation_bounds`,
        `reward_step`: see `HardenedEnvironments`. `evaluation`: the path that computes returns; all agree. "fused" cannot
        couple episodes or harden and falls back to "lockstep", and both, where there is no simulator, to "gymnasium".
        """
        counts = {
            "task.episodes": episodes,
            "task.validation_episodes": validation_episodes,
            "task.test_episodes": test_episodes,
        }
        at_least(1, **counts)
        if horizon is not None:
            at_least(1, **{"task.horizon": horizon})
        one_of(EVALUATIONS, **{"task.evaluation": evaluation})
        known = SIMULATORS.get(env)
        bounds = None if observation_levels is None else observation_bounds
        changed = {
            "horizon": None if known and horizon == known.horizon else horizon,
            "observation_levels": observation_levels,
            "observation_bounds": None if bounds is None else [str(bound) for bound in np.ravel(bounds)],
            "reward_step": None if reward_step is None else float(reward_step),
        }
        changed = {name: value for name, value in changed.items() if value is not None}
        simulator = None if evaluation == "gymnasium" else known
        if simulator:
            horizon = horizon or simulator.horizon
        hardened = observation_levels is not None or reward_step is not None

        def build_environments() -> Environments:
            plain = (
                SimulatedEnvironments(simulator, horizon)
                if simulator and horizon
                else GymnasiumEnvironments(env, horizon)
            )
            if not hardened:
                return plain
            return HardenedEnvironments(plain, observation_levels, observation_bounds, reward_step)

        environments = build_environments()
        self.actions = environments.actions
        self.policy = Policy(environments.low.size, environments.actions.outputs, hidden, activation, int8_scale)
        self.layout = self.policy.layout
        kind: list[str] = [activation] if activation != "float" else []
        kind += ["hardened"] if hardened else []
        kind += [f"{changed['horizon']}steps"] if "horizon" in changed else []
        name, title, best, solved = KNOWN_ENVIRONMENTS.get(env, (env, env, None, None))
        if changed.keys() & {"horizon", "reward_step"}:
            best = solved = None
        self.metric = Metric("return", "maximize", "", best, solved)
        self.info = TaskInfo(
            "_".join([name, *kind]), ", ".join([title, *kind]), "control", self.layout.size, " ".join(kind) or "float"
        )
        described = f"{env} {sorted(changed.items())}" if changed else env
        self.fingerprint = hashlib.sha256(described.encode()).hexdigest()
        self._evaluator: Evaluator = LockstepEvaluator(self.policy, environments)
        if simulator and horizon and evaluation == "fused" and not (hardened or self.policy.couples_episodes):
            self._evaluator = FusedEvaluator(self.policy, simulator, horizon)
        self._build_environments = build_environments
        self._episodes, self._common = episodes, common_episodes
        self._device = torch.device(device)
        self._validation = episode_seeds(derive_seed(seed, "validation"), 1, validation_episodes)
        self._test = episode_seeds(derive_seed(seed, "test"), 1, test_episodes)
        self._seed, self._step = seed, 0

    def initial_point(self, seed: int) -> Tensor:
        """The starting values (D,) that torch's linear layers have after torch.manual_seed(seed)."""
        return self.policy.initial_point(seed).to(self._device)

    def next_objective(self) -> ControlObjective:
        """A fresh set of episodes."""
        seed = derive_seed(self._seed, "training", self._step)
        self._step += 1
        return ControlObjective(
            self._evaluator, self._episodes, seed, self._common, self._device, self.policy, self._build_environments
        )

    def validate(self, point: Tensor) -> float:
        """Mean return over the validation episodes, the same at every call."""
        return self._mean_return(point, self._validation)

    def test(self, point: Tensor) -> float:
        """Mean return over the test episodes, which nothing else plays."""
        return self._mean_return(point, self._test)

    def state_dict(self) -> State:
        """How many objectives have been handed out."""
        return {"step": self._step}

    def load_state_dict(self, state: State) -> None:
        """Continue with the objective that follows."""
        self._step = state["step"]

    @torch.no_grad()
    def _mean_return(self, point: Tensor, seeds: NDArray[np.int64]) -> float:
        return float(self._evaluator.roll_out(point.cpu().unsqueeze(0), seeds).returns.mean())
