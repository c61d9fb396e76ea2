"""Adam on the gradients that a task offers."""

import torch
from torch import Tensor

from polystep.ask_tell import NonFiniteLossError
from polystep.capabilities import GradientKind, gradients_of
from polystep.component import component
from polystep.contracts import Objective, State, StepReport
from polystep.layout import ParameterLayout
from polystep.schedule import Moment, Schedule
from polystep.validation import non_negative, positive, positive_schedule, share_below_one


@component("adam", version=1, title="Adam", family="gradients")
class Adam:
    """Adam, and with weight decay AdamW, by backpropagation: what the gradient-free methods are measured against.

    point <- (1 - rate weight_decay) point - rate m/(sqrt(v) + epsilon), with the bias-corrected moments m of the gradient
    and v of its square. Costs one backward pass per row of the batch and step. Source: Kingma and Ba, arXiv 1412.6980;
    Loshchilov and Hutter, arXiv 1711.05101.
    """

    def __init__(
        self,
        layout: ParameterLayout,
        point: Tensor,
        seed: int,
        *,
        gradient: GradientKind = "exact",
        learning_rate: float | Schedule = 1e-3,
        beta1: float = 0.9,
        beta2: float = 0.999,
        epsilon: float = 1e-8,
        weight_decay: float = 0.0,
    ):
        """`point`: start (D,), not changed. `seed`: not used, the method draws nothing. `gradient`: the kind of gradient
        that is followed; the first step raises CapabilityUnavailable where the task does not offer it.
        """
        share_below_one(beta1=beta1, beta2=beta2)
        self._kind: GradientKind = gradient
        self._described = f"the {gradient} gradient"
        self._learning_rate = positive_schedule(learning_rate, "learning_rate", may_vanish=True)
        self._point = layout.copy_of(point)
        self._adam = torch.optim.AdamW(
            [self._point],
            betas=(beta1, beta2),
            eps=positive(epsilon, "epsilon"),
            weight_decay=non_negative(weight_decay, "weight_decay"),
        )
        self._step = 0

    @property
    def solution(self) -> Tensor:
        """The current point (D,); do not change it in place."""
        return self._point

    def step(self, objective: Objective, used: float) -> StepReport:
        """One gradient and one step along it; NonFiniteLossError where the gradient is not finite."""
        loss, gradient = self._gradient(objective)
        if not gradient.isfinite().all():
            raise NonFiniteLossError(f"{self._described} of step {self._step} is NaN or infinite; reduce learning_rate")
        self._adam.param_groups[0]["lr"] = self._learning_rate.at(Moment(self._step, used))
        self._point.grad = gradient
        self._adam.step()
        self._step += 1
        return StepReport(float(loss), {"gradient_norm": float(gradient.norm())})

    def _gradient(self, objective: Objective) -> tuple[Tensor, Tensor]:
        """Loss and gradient at the current point."""
        return gradients_of(objective, self._kind).gradient(self._point, self._kind)

    def state_dict(self) -> State:
        """The point, both moments and the number of steps."""
        moments = self._adam.state.get(self._point)
        stored = {"first": moments["exp_avg"].clone(), "second": moments["exp_avg_sq"].clone()} if moments else {}
        return {"point": self._point.clone(), "step": self._step, "moments": stored}

    def load_state_dict(self, state: State) -> None:
        """Continue exactly where `state` was taken."""
        self._point.copy_(state["point"])
        self._step = state["step"]
        self._adam.state.clear()
        if moments := state["moments"]:
            self._adam.state[self._point] = {
                "step": torch.tensor(float(self._step)),
                "exp_avg": moments["first"].clone(),
                "exp_avg_sq": moments["second"].clone(),
            }
