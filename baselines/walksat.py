"""WalkSAT: flips that break nothing where there are any, else greedy or random ones."""

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray
from torch import Tensor

from baselines.clause_kernels import ONE, uniform
from baselines.clause_search import ClauseSearch
from polystep.component import component
from polystep.layout import ParameterLayout
from polystep.validation import SettingError


@njit(inline="always")
def break_least_or_walk(literals: Any, breaks: Any, unit: Any, noise: Any, generator: Any) -> Any:
    """A literal whose variable breaks least, ties at random; unless it breaks nothing, with chance noise[0] any literal."""
    least, ties, chosen = breaks[literals[0] >> ONE], 1, 0
    for j in range(1, len(literals)):
        broken = breaks[literals[j] >> ONE]
        if broken < least:
            least, ties, chosen = broken, 1, j
        elif broken == least:
            ties += 1
            if uniform(generator) * ties < 1:
                chosen = j
    if least > 0 and uniform(generator) < noise[0]:
        return np.int64(uniform(generator) * len(literals))
    return chosen


@component("walksat", version=1, title="WalkSAT", family="local search")
class WalkSat(ClauseSearch):
    """Of a random unsatisfied clause, flip a variable that breaks no clause, if there is one; else with probability `noise` any
    of its variables, and otherwise one that breaks least.

    Source: Selman, Kautz and Cohen, "Noise strategies for improving local search", AAAI 1994.
    """

    choose = break_least_or_walk

    def __init__(
        self,
        layout: ParameterLayout,
        point: Tensor,
        seed: int,
        *,
        noise: float = 0.5,
        flips_per_step: int = 100_000,
        chains: int = 1,
    ):
        """`point`: start (n,), not changed."""
        super().__init__(layout, point, seed, flips_per_step=flips_per_step, chains=chains)
        if not 0 <= noise <= 1:
            raise SettingError(f"noise must lie in [0, 1], got {noise}")
        self._noise = np.array([noise])

    def parameters(self) -> NDArray[np.float64]:
        """The noise."""
        return self._noise
