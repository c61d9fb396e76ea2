"""RoutedNetwork: a network that sends every sample along one of several routes.

    h = act(x W^T + b)                              trunk
    r = argmax_k (h G^T + g)_k                      router: the route of the largest score, the first of equal ones
    u = act'(h A_r^T + a_r), then u B_r^T + b_r     route r; the second map only where it has one
    logits = (u sigmoid(G_r)) C^T + c               output; the factor, the sigmoid of row r of G, only where gated

Discrete attention and hard mixtures of experts are such networks.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import torch
from torch import Tensor

from polystep.evaluation.activations import Identity
from polystep.evaluation.layered import Activation, SampleLoss
from polystep.layout import ParameterLayout

COLLAPSED = 0.40
"""Share of one route above which the routing counts as collapsed, as in the author's code."""

Tensors = Mapping[str, Tensor]
Role = Literal["trunk", "router", "inner", "outer", "output"]


def activate(activation: Activation, pre: Tensor) -> Tensor:
    """A one-channel activation of (..., U)."""
    return activation.apply(pre.unsqueeze(-2)).squeeze(-2)


@dataclass(frozen=True)
class Linear:
    """A linear map, by the names of its tensors in the layout."""

    weight: str
    bias: str | None = None

    def apply(self, signal: Tensor, tensors: Tensors) -> Tensor:
        """signal W^T + b; signal and tensors may have a leading dimension of candidates."""
        weight = tensors[self.weight]
        if weight.ndim > signal.ndim:
            # a product for each candidate from where its weights are; one for all would copy them
            signal = signal.expand(len(weight), *signal.shape)
        if self.bias is not None and weight.ndim > 2:
            return torch.baddbmm(tensors[self.bias].unsqueeze(1), signal, weight.mT)
        image: Tensor = signal @ weight.mT
        return image if self.bias is None else image + tensors[self.bias].unsqueeze(-2)


@dataclass(frozen=True)
class Route:
    """The maps before and, where there is one, after the activation of a route."""

    inner: Linear
    outer: Linear | None = None


@dataclass(frozen=True)
class RoutedNetwork:
    """The maps and activations above; parameters come from a point. Activations have one channel; the inner maps of all
    routes have equally many units.
    """

    trunk: Linear
    activation: Activation
    router: Linear
    routes: tuple[Route, ...]
    route_activation: Activation
    output: Linear
    loss: SampleLoss
    gated: bool = False

    @property
    def is_linear(self) -> bool:
        """Whether the logits of each route are linear in h."""
        return isinstance(self.route_activation, Identity)

    def parts(self) -> Iterator[tuple[Role, Linear]]:
        """Every map once, with the role that it plays."""
        yield "trunk", self.trunk
        yield "router", self.router
        for linear in dict.fromkeys(route.inner for route in self.routes):
            yield "inner", linear
        for linear in dict.fromkeys(route.outer for route in self.routes if route.outer):
            yield "outer", linear
        yield "output", self.output

    def served(self, role: Role, linear: Linear) -> list[int]:
        """The routes whose samples pass through a map after the router."""
        if role == "output":
            return list(range(len(self.routes)))
        return [number for number, route in enumerate(self.routes) if linear in (route.inner, route.outer)]

    def hidden(self, inputs: Tensor, tensors: Tensors) -> Tensor:
        """h (..., B, H) of inputs (B, I)."""
        return activate(self.activation, self.trunk.apply(inputs, tensors))

    def mixed(self, route: int, inner: Tensor, tensors: Tensors) -> Tensor:
        """u (..., B, U) of the inner map's image (..., B, U)."""
        outer, active = self.routes[route].outer, activate(self.route_activation, inner)
        return active if outer is None else outer.apply(active, tensors)

    def gain(self, route: int, tensors: Tensors) -> Tensor:
        """What a route's u is multiplied by: (..., 1, U) where gated, else the number 1."""
        router = tensors[self.router.weight]
        return router[..., route : route + 1, :].sigmoid() if self.gated else router.new_ones(())

    def route_logits(self, route: int, inner: Tensor, tensors: Tensors) -> Tensor:
        """Logits (..., B, O) on one route, from the inner map's image (..., B, U)."""
        return self.logits_after("inner", route, inner, tensors)

    def logits_after(self, role: Role, route: int, image: Tensor, tensors: Tensors) -> Tensor:
        """Logits (..., B, O) on one route, from the image (..., B, U) of its inner or outer map or of the output."""
        if role == "inner":
            image = self.mixed(route, image, tensors)
        return image if role == "output" else self.output.apply(image * self.gain(route, tensors), tensors)

    def winners(self, inputs: Tensor, tensors: Tensors) -> Tensor:
        """Route (..., B) of every sample."""
        return self.router.apply(self.hidden(inputs, tensors), tensors).argmax(-1)

    def logits(self, inputs: Tensor, tensors: Tensors) -> Tensor:
        """Logits (..., B, O) of inputs (B, I)."""
        return self.logits_from(self.trunk.apply(inputs, tensors), tensors)

    def logits_from(self, pre: Tensor, tensors: Tensors) -> Tensor:
        """Logits (..., B, O) from the image of the trunk (..., B, H)."""
        hidden = activate(self.activation, pre)
        winner = self.router.apply(hidden, tensors).argmax(-1, keepdim=True)
        taken = (winner == torch.arange(len(self.routes), device=winner.device)).to(hidden.dtype)
        different = list(dict.fromkeys(self.routes))
        total = hidden.new_zeros(())
        for route in different:
            numbers = [number for number, other in enumerate(self.routes) if other == route]
            mixed = self.mixed(numbers[0], route.inner.apply(hidden, tensors), tensors)
            total = mixed if len(different) == 1 else total + taken[..., numbers].sum(-1, keepdim=True) * mixed
        if self.gated:
            total = total * (taken @ tensors[self.router.weight].sigmoid())
        return self.output.apply(total, tensors)

    def trace(self, inputs: Tensor, tensors: Tensors, targets: Tensor) -> "RoutedTrace":
        """All signals of a forward pass along every route."""
        pre = self.trunk.apply(inputs, tensors)
        hidden = activate(self.activation, pre)
        scores = self.router.apply(hidden, tensors)
        images = {linear: linear.apply(hidden, tensors) for role, linear in self.parts() if role == "inner"}
        inner = [images[route.inner] for route in self.routes]
        active = [activate(self.route_activation, image) for image in inner]
        mixed = [self.mixed(number, image, tensors) for number, image in enumerate(inner)]
        taken = [signal * self.gain(number, tensors) for number, signal in enumerate(mixed)]
        logits = torch.stack([self.output.apply(signal, tensors) for signal in taken])
        losses = self.loss.apply(logits, targets)
        return RoutedTrace(inputs, pre, hidden, scores, scores.argmax(-1), inner, active, mixed, taken, logits, losses)


@dataclass(frozen=True)
class RoutedTrace:
    """Signals of the base point: inputs (B, I), trunk before and after its activation (B, H), scores (B, R), winner (B,);
    along every route the image of its inner map, the same after its activation, u before and after the gain (B, U), logits
    (R, B, O), losses (R, B).
    """

    inputs: Tensor
    pre: Tensor
    hidden: Tensor
    scores: Tensor
    winner: Tensor
    inner: list[Tensor]
    active: list[Tensor]
    mixed: list[Tensor]
    taken: list[Tensor]
    logits: Tensor
    losses: Tensor

    def signals(self, role: Role, route: int) -> tuple[Tensor, Tensor]:
        """Inputs and outputs (B, ...) of a map on one route."""
        return {
            "inner": (self.hidden, self.inner[route]),
            "outer": (self.active[route], self.mixed[route]),
            "output": (self.taken[route], self.logits[route]),
        }[role]

    @cached_property
    def base_losses(self) -> Tensor:
        """Loss (B,) of every sample on its own route."""
        return self.losses.gather(0, self.winner.unsqueeze(0)).squeeze(0)


@dataclass(frozen=True)
class Part:
    """A linear map of the network and what it is there for."""

    role: Role
    linear: Linear


def parts_by_tensors(network: RoutedNetwork, layout: ParameterLayout) -> dict[tuple[str, str | None], Part]:
    """The maps of the network by the layout's names of weight and bias, without those that share a tensor with another."""
    names = {name: entry.name for entry in layout.entries for name in (entry.name, *entry.aliases)}
    parts: dict[tuple[str, str | None], Part] = {}
    users: Counter[str] = Counter()
    for role, linear in network.parts():
        weight, bias = names[linear.weight], None if linear.bias is None else names[linear.bias]
        parts[weight, bias] = Part(role, linear)
        users.update([weight] if bias is None else [weight, bias])
    return {tensors: part for tensors, part in parts.items() if all(users[name] == 1 for name in tensors if name)}


def utilisation(winner: Tensor, routes: int) -> dict[str, Any]:
    """How samples with routes `winner` (B,) spread: share of each route, entropy in nats (log R at best), and whether one has
    more than 40% of them.
    """
    shares = torch.bincount(winner, minlength=routes).double() / len(winner)
    entropy = torch.special.entr(shares).sum()
    return {"shares": shares.tolist(), "entropy": float(entropy), "collapsed": bool(shares.max() > COLLAPSED)}
