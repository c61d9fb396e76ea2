"""MeZO: zeroth-order SGD in the memory of inference."""

from collections.abc import Callable

from torch import Tensor

from baselines.two_point import TwoPointOptimizer
from polystep.component import component
from polystep.layout import ParameterLayout
from polystep.schedule import Schedule
from polystep.subspace import Subspace
from polystep.validation import positive, positive_schedule


@component("mezo", version=1, added=("subspace",), title="MeZO", family="two points")
class MeZO(TwoPointOptimizer):
    """Descend the slope along one Gaussian direction that is replayed from its seed, changing the point in place.

    Step t, z ~ N(0, I):
        projected gradient = (f(theta + epsilon z) - f(theta - epsilon z))/(2 epsilon)
        theta <- theta - rate_t (projected gradient) z
    Costs two candidates. z is drawn again from its seed for the step, so between steps the point is all the memory there is.
    Source: Malladi et al., arXiv 2305.17333, algorithm 1.
    """

    distribution = "normal"
    kept_bytes = 0

    def __init__(
        self,
        layout: ParameterLayout,
        point: Tensor,
        seed: int,
        *,
        learning_rate: float | Schedule = 1e-5,
        epsilon: float = 1e-3,
        subspace: Callable[..., Subspace] | None = None,
    ):
        """`epsilon`: size of the perturbation. `subspace`: whose coordinates z perturbs. Raises ValueError."""
        super().__init__(layout, point, seed, subspace)
        self._learning_rate = positive_schedule(learning_rate, "learning_rate", may_vanish=True)
        self._epsilon = positive(epsilon, "epsilon")

    def _gains(self) -> tuple[float, float]:
        return self._learning_rate.at(self._now), self._epsilon
