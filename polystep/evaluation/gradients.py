"""Gradients by backpropagation, for the methods that need them."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from polystep.capabilities import GradientKind
from polystep.evaluation.functional import evaluation_mode, outputs_at
from polystep.layout import ParameterLayout


class GradientEvaluator:
    """Loss and gradient of modules that share one layout, one module per kind of gradient.

    A surrogate or straight-through gradient is plain backpropagation through a module whose hard parts carry their own
    backward pass; a smooth one goes through another module with the same parameter names.
    """

    def __init__(
        self,
        modules: Mapping[GradientKind, nn.Module],
        loss: Callable[[Tensor, Tensor], Tensor],
        layout: ParameterLayout,
    ):
        """`modules`: by the kind of their gradient. `loss(outputs, targets)`: a scalar."""
        self.modules, self.loss, self.layout = modules, loss, layout

    def gradient(self, point: Tensor, kind: GradientKind, inputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Mean loss over the rows of the batch (a scalar) and its gradient (D,), zero where nothing depends on `point`.

        The module is evaluated in eval mode.
        """
        module, variable = self.modules[kind], point.detach().requires_grad_()
        with evaluation_mode(module), torch.enable_grad():
            tensors = self.layout.unflatten(variable)
            loss = self.loss(outputs_at(module, tensors, inputs), targets)
            (gradient,) = torch.autograd.grad(loss, variable)
        return loss.detach(), gradient
