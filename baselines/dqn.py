"""Deep Q-learning with the task's policy as the network of action values, by Stable-Baselines3."""

from typing import Any

import torch
from torch import Tensor

from baselines.stable_baselines import PolicyGradient, StableBaselines
from polystep.capabilities import CapabilityUnavailable
from polystep.component import component
from polystep.contracts import State
from polystep.layout import ParameterLayout
from polystep.validation import SettingError, at_least, positive

_TRANSITION = ("observations", "next_observations", "actions", "rewards", "dones", "timeouts")


@component("dqn", version=1, title="DQN", family="reinforcement learning")
class DQN(StableBaselines):
    """Deep Q-learning: outputs of the policy are trained to be the values of actions, from replayed transitions.

    Actions are the best ones, or, with a probability that falls from 1 to `exploration_end` within `exploration_steps`, random
    ones. After every `train_every` environment steps come as many gradient steps as `gradient_steps` says. What is not a
    setting here is as in the library, but that every step begins fresh episodes. Source: Mnih et al., Nature 518, 2015; Raffin
    et al., JMLR 22, 2021.
    """

    def __init__(
        self,
        layout: ParameterLayout,
        point: Tensor,
        seed: int,
        *,
        gradient: PolicyGradient = "straight_through",
        quantised_heads: bool = False,
        environment_steps: int = 2048,
        learning_rate: float = 1e-4,
        batch_size: int = 32,
        buffer_size: int = 100_000,
        learning_starts: int = 100,
        train_every: int = 4,
        gradient_steps: int = 1,
        target_every: int = 10_000,
        exploration_steps: int = 50_000,
        exploration_end: float = 0.05,
    ):
        """`gradient`, `quantised_heads`, `environment_steps`: see `StableBaselines`. `buffer_size`: transitions to replay.
        `learning_starts`: environment steps with random actions before anything is learnt. `target_every`: environment steps
        between copies of the network into the one that gives the targets.
        """
        super().__init__(
            layout,
            point,
            seed,
            gradient=gradient,
            quantised_heads=quantised_heads,
            environments=1,
            environment_steps=environment_steps,
        )
        counts = {
            "batch_size": batch_size,
            "buffer_size": buffer_size,
            "train_every": train_every,
            "gradient_steps": gradient_steps,
            "target_every": target_every,
            "exploration_steps": exploration_steps,
        }
        at_least(1, **counts)
        if environment_steps % train_every:
            raise SettingError(
                f"environment_steps must be a multiple of train_every, {train_every}, got {environment_steps}"
            )
        if not 0 <= exploration_end <= 1:
            raise SettingError(f"exploration_end must lie in [0, 1], got {exploration_end}")
        at_least(0, learning_starts=learning_starts)
        self._exploration = exploration_steps, exploration_end
        self._learning_rate = positive(learning_rate, "learning_rate")
        self._settings = {
            "batch_size": batch_size,
            "buffer_size": buffer_size,
            "learning_starts": learning_starts,
            "train_freq": train_every,
            "gradient_steps": gradient_steps,
            "target_update_interval": target_every,
        }

    def _build(self, environments: Any) -> Any:
        from gymnasium.spaces import Discrete
        from stable_baselines3 import DQN as Model

        if not isinstance(environments.action_space, Discrete):
            raise CapabilityUnavailable(
                f"DQN needs discrete actions, and the environment has {environments.action_space}; use optimizer=ppo, or a "
                "gradient-free optimiser such as optimizer=polystep"
            )
        model: Any = Model(
            "MlpPolicy",
            environments,
            learning_rate=self._learning_rate,
            policy_kwargs={"net_arch": []},
            device="cpu",
            **self._settings,
        )
        for network in (model.q_net, model.q_net_target):
            network.q_net = self._network()
        policy = model.policy
        policy.optimizer = policy.optimizer_class(
            policy.q_net.parameters(), lr=self._learning_rate, **policy.optimizer_kwargs
        )
        steps, end = self._exploration
        # the library's schedule ends with one call of learn(), and every step is one
        model.exploration_schedule = lambda _: max(end, 1 - (1 - end) * model.num_timesteps / steps)
        return model

    def _model_state(self) -> State:
        buffer = self._model.replay_buffer
        replay = {name: torch.from_numpy(getattr(buffer, name)[: buffer.size()].copy()) for name in _TRANSITION}
        counters = {"position": buffer.pos, "full": buffer.full, "calls": self._model._n_calls}
        return super()._model_state() | {"replay": replay, "counters": counters}

    def _restore_model(self, model: Any, state: State) -> None:
        super()._restore_model(model, state)
        buffer, counters = model.replay_buffer, state["counters"]
        for name, values in state["replay"].items():
            getattr(buffer, name)[: len(values)] = values.cpu().numpy()
        buffer.pos, buffer.full, model._n_calls = counters["position"], counters["full"], counters["calls"]
        model.exploration_rate = model.exploration_schedule(None)
