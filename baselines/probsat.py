"""probSAT: flips drawn by how little they break."""

import math
from typing import Any, Literal

import numpy as np
from numba import njit
from numpy.typing import NDArray
from torch import Tensor

from baselines.clause_kernels import ONE, uniform
from baselines.clause_search import ClauseSearch
from polystep.component import component
from polystep.layout import ParameterLayout
from polystep.validation import SettingError, one_of, positive

LONGEST_TABLE = 1024


@njit(inline="always")
def draw_by_break(literals: Any, breaks: Any, unit: Any, chances: Any, generator: Any) -> Any:
    """Literal j with probability proportional to chances[what its variable breaks, in units]."""
    total = 0.0
    for literal in literals:
        total += chances[min(breaks[literal >> ONE] // unit, len(chances) - 1)]
    left = uniform(generator) * total
    for j in range(len(literals) - 1):
        left -= chances[min(breaks[literals[j] >> ONE] // unit, len(chances) - 1)]
        if left < 0:
            return j
    return len(literals) - 1


@component("probsat", version=1, title="probSAT", family="local search")
class ProbSat(ClauseSearch):
    """A random variable of a random unsatisfied clause, with chances f(b) where b is how much its flip breaks.

    f(b) = (epsilon + b)^-base ("polynomial"), which its authors recommend with base 2.06 and epsilon 0.9 for clauses of
    three literals, or base^-b ("exponential"), recommended with 3.7 for five and 5.4 for seven. b counts clauses, or weight
    in mean clauses. Source: Balint and Schoening, "Choosing probability distributions for stochastic local search and the
    role of make versus break", SAT 2012.
    """

    choose = draw_by_break

    def __init__(
        self,
        layout: ParameterLayout,
        point: Tensor,
        seed: int,
        *,
        function: Literal["polynomial", "exponential"] = "polynomial",
        base: float = 2.06,
        epsilon: float = 0.9,
        flips_per_step: int = 100_000,
        chains: int = 1,
    ):
        """`point`: start (n,), not changed."""
        super().__init__(layout, point, seed, flips_per_step=flips_per_step, chains=chains)
        one_of(("polynomial", "exponential"), function=function)
        broken = np.arange(LONGEST_TABLE)
        if function == "polynomial":
            chances = (positive(epsilon, "epsilon") + broken.astype(np.float64)) ** -positive(base, "base")
        elif 1 < base < math.inf:
            chances = base ** -broken.astype(np.float64)
        else:
            raise SettingError(
                f"base must be a finite number above 1, so that breaking more is chosen less often, got {base}"
            )
        # below this the largest break would have no chance at all, and so would a clause of such variables
        self._chances = np.maximum(chances, 1e-300)

    def parameters(self) -> NDArray[np.float64]:
        """Chances f(0), f(1), ..."""
        return self._chances
