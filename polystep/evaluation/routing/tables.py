"""What follows from the base point of a routed network, as the kernels read it."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from polystep.evaluation.kernels import LANES
from polystep.evaluation.routing.network import Role, RoutedNetwork, RoutedTrace, Tensors
from polystep.evaluation.routing.trunk_to_loss import TERMS

FloatArray = NDArray[np.float32]


@dataclass(frozen=True)
class Tables:
    """What follows from the base point for the kernels, made when first needed."""

    network: RoutedNetwork
    tensors: Tensors
    trace: RoutedTrace
    targets: Tensor

    @cached_property
    def after_route(self) -> Tensor:
        """How the logits on each route answer to the units of u, (R, U, O)."""
        output = self.tensors[self.network.output.weight].T
        gains = [self.network.gain(route, self.tensors).reshape(-1, 1) for route in range(len(self.network.routes))]
        return torch.stack([gain * output for gain in gains])

    @cached_property
    def after_activation(self) -> Tensor:
        """How the logits on each route answer to the units of its activation, (R, U, O)."""
        return torch.stack(
            [
                after if route.outer is None else self.tensors[route.outer.weight].T @ after
                for route, after in zip(self.network.routes, self.after_route, strict=True)
            ]
        )

    @cached_property
    def logits(self) -> FloatArray:
        """Logits of each sample on each route, (B, R, O)."""
        return to_array(self.trace.logits.transpose(0, 1))

    @cached_property
    def follow(self) -> tuple[FloatArray, ...]:
        """What follows a change of a unit of the trunk: logits (B, R, O) and, without an activation, how they answer to
        it (R, H, O); else images of the inner maps before and after the activation (B, R, U), how they answer to it
        (R, H, U), and how the logits answer to the activation (R, O, U).
        """
        columns = torch.stack([self.tensors[route.inner.weight].T for route in self.network.routes])
        if self.network.is_linear:
            return self.logits, to_array(columns @ self.after_activation)
        signals = (torch.stack(signal, 1) for signal in (self.trace.inner, self.trace.active))
        return (
            self.logits,
            *(to_array(signal) for signal in signals),
            to_array(columns),
            to_array(self.after_activation.mT),
        )

    @cached_property
    def after_trunk(self) -> tuple[FloatArray, ...]:
        """What leads from the trunk to the logits: router (H, R) and its bias (R,); then, without an activation on the routes,
        the logits' answer to the trunk (R, H, O) and the logits where it is silent (R, O); else the images of the inner maps
        (R, H, U) and (R, U), and the logits' answer to the activation (R, U, O) and the logits where that is silent (R, O).
        Padded as `trunk_to_loss` wants them.
        """
        network, tensors = self.network, self.tensors
        router = tensors[network.router.weight]
        bias = router.new_zeros(len(router)) if network.router.bias is None else tensors[network.router.bias]
        columns = torch.stack([tensors[route.inner.weight].T for route in network.routes])
        # the images of the inner maps of a silent trunk
        silence = tensors[network.trunk.weight].new_zeros(1, columns.shape[1])
        inner = [route.inner.apply(silence, tensors) for route in network.routes]
        if network.is_linear:
            logits = [network.route_logits(number, image, tensors) for number, image in enumerate(inner)]
            parts = [padded(columns @ self.after_activation, TERMS), padded(torch.cat(logits))]
            return tuple(to_array(part) for part in (router.T, bias, *parts))
        nothing = inner[0].new_zeros(inner[0].shape)
        outer = [nothing if route.outer is None else route.outer.apply(nothing, tensors) for route in network.routes]
        logits = [network.logits_after("outer", number, image, tensors) for number, image in enumerate(outer)]
        parts = [padded(columns, TERMS), padded(torch.cat(inner))]
        parts += [padded(self.after_activation, LANES), padded(torch.cat(logits))]
        return tuple(to_array(part) for part in (router.T, bias, *parts))

    def after_map(self, role: Role) -> tuple[FloatArray, FloatArray]:
        """How the logits answer to the activation of a map after the router, (R, U, O), and the logits where that is silent,
        (R, O); padded as `trunk_to_loss` wants them.
        """
        routes = range(len(self.network.routes))
        answer = {"inner": self.after_activation, "outer": self.after_route}.get(role)
        if answer is None:
            answer = torch.eye(self.trace.logits.shape[2]).expand(len(routes), -1, -1)
        # every map is linear from its activation on
        output, taken = (
            self.trace.logits[:, :1],
            {
                "inner": [self.trace.active[number][:1] for number in routes],
                "outer": [self.trace.mixed[number][:1] for number in routes],
                "output": [self.trace.logits[number, :1] for number in routes],
            }[role],
        )
        silent = torch.cat(
            [logits - signal @ table for logits, signal, table in zip(output, taken, answer, strict=True)]
        )
        return to_array(padded(answer, TERMS)), to_array(padded(silent))

    @cached_property
    def base(self) -> float:
        """Loss of the point."""
        return float(self.trace.base_losses.double().mean())


def padded(table: Tensor, inputs: int = 1) -> Tensor:
    """A table (..., I, O) with outputs in whole vectors and inputs in a multiple of `inputs`, zeros added."""
    return F.pad(table, (0, -table.shape[-1] % LANES, 0, -table.shape[-2] % inputs))


def to_array(tensor: Tensor) -> FloatArray:
    """The same numbers, contiguous."""
    array: FloatArray = tensor.contiguous().numpy()
    return array
