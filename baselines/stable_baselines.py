"""Learners of Stable-Baselines3 behind the contract of optimisers: they act in the task's environment."""

import contextlib
import random
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterator
from statistics import fmean
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from polystep.ask_tell import NonFiniteLossError
from polystep.capabilities import EnvironmentView, environment_of
from polystep.contracts import Objective, State, StepReport
from polystep.layout import ParameterLayout
from polystep.packages import optional_package
from polystep.random import derive_seed
from polystep.validation import at_least, one_of

PolicyGradient = Literal["exact", "straight_through"]


class StableBaselines(ABC):
    """A learner that improves the task's own policy: one step is some interaction and the learning that goes with it.

    Every step begins fresh episodes, so that nothing of an environment has to be remembered: a run that was interrupted
    continues bit for bit. Random numbers of a step belong to the seed and the step; global random states, which the library
    uses, are put back afterwards.
    """

    def __init__(
        self,
        layout: ParameterLayout,
        point: Tensor,
        seed: int,
        *,
        gradient: PolicyGradient,
        quantised_heads: bool,
        environments: int,
        environment_steps: int,
    ):
        """`point`: start (D,), not changed. `gradient`: how the policy is differentiated. `quantised_heads`: also what leaves
        the policy and what estimates values is quantised, without any derivative, as in the published runs; so nothing is
        ever learnt. `environments`: how many are played side by side. `environment_steps`: per step, in each of them. Raises
        MissingPackageError.
        """
        one_of(("exact", "straight_through"), gradient=gradient)
        at_least(1, environments=environments, environment_steps=environment_steps)
        optional_package("stable_baselines3", "optimizer=ppo, as optimizer=dqn,", "stable-baselines3", "rl")
        self._point, self._seed, self._step = layout.copy_of(point), seed, 0
        self._gradient, self._quantised_heads = gradient, quantised_heads
        self._environments, self._environment_steps = environments, environment_steps
        self._model: Any = None
        self._restored: State = {}

    @abstractmethod
    def _build(self, environments: Any) -> Any:
        """The model of the library, with networks that `_network` and `_head` made, for vectorised `environments`."""

    @property
    def solution(self) -> Tensor:
        """The point of the policy (D,); do not change it in place."""
        return self._point

    def step(self, objective: Objective, used: float) -> StepReport:
        """Act and learn; the loss is minus the mean return of the episodes that ended, None where none did.

        Raises CapabilityUnavailable, and NonFiniteLossError where the policy is not finite afterwards.
        """
        return environment_of(objective).interact(self._learn)

    def state_dict(self) -> State:
        """The point, how many steps were made, and what the library's model remembers."""
        model = self._restored if self._model is None else self._model_state()
        return {"point": self._point.clone(), "step": self._step, "model": model}

    def load_state_dict(self, state: State) -> None:
        """Continue exactly where `state` was taken."""
        self._point, self._step = state["point"].clone(), state["step"]
        # built with the next environment
        self._model, self._restored = None, state["model"]

    def _learn(self, view: EnvironmentView) -> StepReport:
        from stable_baselines3.common.monitor import Monitor
        from stable_baselines3.common.vec_env import DummyVecEnv

        environments = DummyVecEnv([lambda: Monitor(view.make()) for _ in range(self._environments)])
        if self._model is None:
            with _seeded(derive_seed(self._seed, "stable_baselines", "networks")):
                self._model = self._built(environments)
        for part in self._model.policy.modules():
            if isinstance(part, _Viewed):
                part.view = view
        seed = derive_seed(self._seed, "stable_baselines", self._step)
        with _seeded(seed):
            self._model.set_env(environments)
            self._model.action_space.seed(seed % 2**31)
            self._model.ep_info_buffer, self._model.ep_success_buffer = deque(), deque()
            total = self._environments * self._environment_steps
            try:
                self._model.learn(total, reset_num_timesteps=False, log_interval=None)
            except ValueError:
                # what torch's distributions raise for parameters that are no numbers
                if self._is_finite():
                    raise
        if not self._is_finite():
            raise NonFiniteLossError(f"step {self._step} made the policy NaN or infinite; reduce learning_rate")
        point = self._actor().point.detach().clone()
        movement = float((point - self._point).norm())
        self._point, self._step = point, self._step + 1
        returns = [episode["r"] for episode in self._model.ep_info_buffer]
        return StepReport(-fmean(returns) if returns else None, {"movement": movement})

    def _is_finite(self) -> bool:
        return all(bool(parameter.isfinite().all()) for parameter in self._model.policy.parameters())

    def _built(self, environments: Any) -> Any:
        from stable_baselines3.common.logger import Logger

        model = self._build(environments)
        # the library would write into a temporary folder
        model.set_logger(Logger(folder=None, output_formats=[]))
        if self._restored:
            self._restore_model(model, self._restored)
        return model

    def _network(self) -> nn.Module:
        """The policy as a network of the library, from observations to outputs."""
        actor = PolicyNetwork(self._point, self._gradient)
        return nn.Sequential(actor, QuantisedHead()) if self._quantised_heads else actor

    def _head(self, network: nn.Module) -> nn.Module:
        """`network`, quantised where heads are."""
        return nn.Sequential(network, QuantisedHead()) if self._quantised_heads else network

    def _actor(self) -> "PolicyNetwork":
        """The network of the policy; the first one, because a target network comes after it."""
        return next(part for part in self._model.policy.modules() if isinstance(part, PolicyNetwork))

    def _model_state(self) -> State:
        moments = self._model.policy.optimizer.state_dict()["state"]
        return {
            "networks": {name: value.clone() for name, value in self._model.policy.state_dict().items()},
            # keys of a stored state are texts
            "optimizer": {str(place): {k: v.clone() for k, v in values.items()} for place, values in moments.items()},
            "environment_steps": self._model.num_timesteps,
        }

    def _restore_model(self, model: Any, state: State) -> None:
        model.policy.load_state_dict(state["networks"])
        optimizer = model.policy.optimizer
        moments = {int(place): dict(values) for place, values in state["optimizer"].items()}
        optimizer.load_state_dict({**optimizer.state_dict(), "state": moments})
        model.num_timesteps = state["environment_steps"]


class _Viewed(nn.Module):
    """A part of a network that the environment's view computes."""

    view: EnvironmentView


class PolicyNetwork(_Viewed):
    """The task's policy, with its point as the only parameter."""

    def __init__(self, point: Tensor, gradient: PolicyGradient):
        super().__init__()
        self.point, self._gradient = nn.Parameter(point.clone()), gradient

    def forward(self, observations: Tensor) -> Tensor:
        """Outputs (B, A) for observations (B, O)."""
        return self.view.outputs(self.point, observations, self._gradient)


class QuantisedHead(_Viewed):
    """Quantises as the policy's activation does, with derivatives of zero."""

    def forward(self, values: Tensor) -> Tensor:
        """Values (B, A), quantised."""
        return self.view.quantised(values)


@contextlib.contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Inside, the global random states belong to `seed`; afterwards they are as they were."""
    numbers, python = np.random.get_state(), random.getstate()
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        np.random.seed(seed % 2**32)
        random.seed(seed)
        try:
            yield
        finally:
            np.random.set_state(numbers)
            random.setstate(python)
