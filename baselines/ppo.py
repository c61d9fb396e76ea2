"""Proximal policy optimisation on the task's policy, by Stable-Baselines3."""

from typing import Any

from torch import Tensor

from baselines.stable_baselines import PolicyGradient, StableBaselines
from polystep.component import component
from polystep.layout import ParameterLayout
from polystep.validation import SettingError, at_least, positive


@component("ppo", version=1, title="PPO", family="reinforcement learning")
class PPO(StableBaselines):
    """Proximal policy optimisation: gradients of a clipped ratio of action probabilities, weighted by estimated advantages.

    A step is one rollout, `environments` x `environment_steps`, and `epochs` passes over it in batches of `batch_size`. The
    critic, observations-16-1 with tanh, is no part of the point. What is not a setting here is as in the library, but that
    every step begins fresh episodes. Source: Schulman et al., arXiv 1707.06347; Raffin et al., JMLR 22, 2021.
    """

    def __init__(
        self,
        layout: ParameterLayout,
        point: Tensor,
        seed: int,
        *,
        gradient: PolicyGradient = "straight_through",
        quantised_heads: bool = False,
        environments: int = 4,
        environment_steps: int = 512,
        learning_rate: float = 3e-4,
        batch_size: int = 64,
        epochs: int = 10,
    ):
        """`gradient`, `quantised_heads`, `environments`, `environment_steps`: see `StableBaselines`."""
        super().__init__(
            layout,
            point,
            seed,
            gradient=gradient,
            quantised_heads=quantised_heads,
            environments=environments,
            environment_steps=environment_steps,
        )
        if not 2 <= batch_size <= environments * environment_steps:
            raise SettingError(
                f"batch_size must lie between 2 and environments x environment_steps, {environments * environment_steps}, "
                f"got {batch_size}"
            )
        at_least(1, epochs=epochs)
        self._learning_rate = positive(learning_rate, "learning_rate")
        self._batch_size, self._epochs = batch_size, epochs

    def _build(self, environments: Any) -> Any:
        from stable_baselines3 import PPO as Model

        model = Model(
            "MlpPolicy",
            environments,
            learning_rate=self._learning_rate,
            n_steps=self._environment_steps,
            batch_size=self._batch_size,
            n_epochs=self._epochs,
            policy_kwargs={"net_arch": {"pi": [], "vf": [16]}},
            device="cpu",
        )
        policy: Any = model.policy
        policy.action_net = self._network()
        policy.value_net = self._head(policy.value_net)
        policy.optimizer = policy.optimizer_class(
            policy.parameters(), lr=self._learning_rate, **policy.optimizer_kwargs
        )
        return model
