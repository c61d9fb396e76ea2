"""Node perturbation: Adam on what noise on the units of a network tells of the gradient."""

from torch import Tensor

from baselines.adam import Adam
from polystep.capabilities import perturbed_nodes_of
from polystep.component import component
from polystep.contracts import Objective
from polystep.layout import ParameterLayout
from polystep.random import named_generator
from polystep.schedule import Schedule
from polystep.validation import at_least, positive


@component("node_perturbation", version=1, title="Node perturbation", family="noise on units")
class NodePerturbation(Adam):
    """Adam, with an estimate of the gradient from forward passes with noise on what each unit receives.

    Every sample of the batch has noise of its own, so that one pass tells of as many directions as the batch has samples. The
    estimate is that of `polystep.evaluation.node_perturbation.NodePerturber`. Costs passes + 1 candidates a step. It needs the
    network, so it is no black-box method, but neither does it differentiate anything. The first step raises
    CapabilityUnavailable where the task does not show the units. Sources: Williams, Machine Learning 8 (1992); Adam: Kingma
    and Ba, arXiv 1412.6980.
    """

    def __init__(
        self,
        layout: ParameterLayout,
        point: Tensor,
        seed: int,
        *,
        deviation: float = 0.1,
        passes: int = 1,
        learning_rate: float | Schedule = 1e-3,
        beta1: float = 0.9,
        beta2: float = 0.999,
        epsilon: float = 1e-8,
    ):
        """`point`: start (D,), not changed. `deviation`: of the noise. `passes`: with noise, a step."""
        at_least(1, passes=passes)
        super().__init__(layout, point, seed, learning_rate=learning_rate, beta1=beta1, beta2=beta2, epsilon=epsilon)
        self._seed, self._deviation, self._passes = seed, positive(deviation, "deviation"), passes
        self._described = "the estimated gradient"

    def _gradient(self, objective: Objective) -> tuple[Tensor, Tensor]:
        generator = named_generator(self._seed, "node perturbation", self._step, device=self._point.device)
        return perturbed_nodes_of(objective).perturb_nodes(self._point, self._deviation, self._passes, generator)
