"""SPSA: simultaneous perturbation stochastic approximation with Spall's gain sequences."""

import math
from collections.abc import Callable

from torch import Tensor

from baselines.two_point import TwoPointOptimizer
from polystep.component import component
from polystep.layout import ParameterLayout
from polystep.subspace import Subspace
from polystep.validation import non_negative, positive


@component("spsa", version=2, title="SPSA", family="two points")
class SPSA(TwoPointOptimizer):
    """Descend the slope along one random sign vector, with decaying step and decaying perturbation.

    Step k = 1, 2, ..., delta of independent +-1:
        a_k = a/(A + k)^alpha,  c_k = c/k^gamma
        theta <- theta - a_k (f(theta + c_k delta) - f(theta - c_k delta))/(2 c_k) delta
    Costs two candidates. Source: Spall, IEEE Transactions on Aerospace and Electronic Systems 34 (1998) 817-823.
    """

    distribution = "rademacher"

    def __init__(
        self,
        layout: ParameterLayout,
        point: Tensor,
        seed: int,
        *,
        a: float = 0.1,
        c: float = 0.1,
        A: float | None = None,
        alpha: float = 0.602,
        gamma: float = 0.101,
        subspace: Callable[..., Subspace] | None = None,
    ):
        """`A`: stability constant; None for Spall's rule of a tenth of all steps, estimated as the steps so far over the used
        share of the budget; nothing is used at the first step, so it moves nothing. `subspace`: whose coordinates delta
        perturbs. Raises ValueError.
        """
        super().__init__(layout, point, seed, subspace)
        self.a, self.c = positive(a, "a"), positive(c, "c")
        self.A = None if A is None else non_negative(A, "A")
        self.alpha, self.gamma = non_negative(alpha, "alpha"), non_negative(gamma, "gamma")

    def _gains(self) -> tuple[float, float]:
        k = self._step + 1
        stability = self._tenth_of_the_steps() if self.A is None else self.A
        return self.a / (stability + k) ** self.alpha, self.c / k**self.gamma

    def _tenth_of_the_steps(self) -> float:
        used = self._now.used
        return 0.1 * self._step / used if used > 0 else math.inf
