"""CR-FM-NES: a natural evolution strategy whose covariance is a diagonal and one direction, in linear time and memory."""

import math

import torch
from torch import Tensor

from polystep.ask_tell import PointOptimizer
from polystep.candidates import DenseCandidates
from polystep.component import component
from polystep.contracts import State
from polystep.layout import ParameterLayout
from polystep.machine import require_memory
from polystep.random import named_generator
from polystep.validation import SettingError, positive

ARRAYS = 6
"""Arrays of a number per candidate and parameter that a step holds at most, its evaluation among them."""


@component("cr_fm_nes", version=1, title="CR-FM-NES", family="evolution strategies")
class CRFMNES(PointOptimizer):
    """Sample mirrored candidates from a normal distribution and follow the natural gradient of their expected ranks.

    Candidates x_k = m + sigma d * y_k, k = 1..N, with y_k = z_k + (sqrt(1 + |v|^2) - 1) (v'z_k) v', v' = v/|v| and mirrored
    pairs of z_k ~ N(0, I), so that their covariance is sigma^2 diag(d) (I + v v^T) diag(d). Sorted by loss, with weights w_k:
        path  <- (1 - c) path + sqrt(c (2 - c) mu) sum_k w_k z_k
        m     <- m + sum_k w_k (x_k - m)
        sigma <- sigma exp(rate/(2 D) sum_k w_k (|z_k|^2 - D))
    v and d follow their natural gradient from the w_k and, as a rank-one update, from the path of m; then d is divided by the
    D-th root of the determinant. While the path is shorter than that of random ranks, w_k goes by rank alone; else it also
    grows with |z_k|, for long strides. The rate goes by the same length. Candidates without a finite loss rank last, the
    farthest at the end. Costs N candidates. Source: Nomura and Ono, "Fast moving natural evolution strategy for
    high-dimensional problems", arXiv 2201.11422 (CEC 2022), algorithm 1 and its settings; the gradients of v and d: Akimoto,
    Auger and Hansen, "Comparison-based natural gradient optimization in high dimension", GECCO 2014.
    """

    def __init__(
        self, layout: ParameterLayout, point: Tensor, seed: int, *, population: int | None = None, sigma: float = 0.01
    ):
        """`point`: first mean. `population`: N, even; None for 4 + 3 ln D, rounded to an even number. `sigma`: first step size.
        Raises ValueError, also where the memory does not suffice.
        """
        super().__init__(layout, point)
        size = layout.size
        self._population = population if population is not None else 2 * round(2 + 1.5 * math.log(size))
        if self._population < 4 or self._population % 2:
            raise SettingError(
                "population must be an even number of at least 4, as candidates come in mirrored pairs, or null for "
                f"4 + 3 ln D, got {population}"
            )
        needed = ARRAYS * self._population * size * self._point.element_size()
        require_memory(needed, f"a population of {self._population} with {size} parameters", "use a smaller population")
        self._seed, self._sigma = seed, positive(sigma, "sigma")
        self._strategy = Constants(size, self._population)
        drawn = torch.randn(size, generator=self._generator("first direction"), device=self._point.device)
        self._v = drawn.to(self._point) / math.sqrt(size)
        self._d = torch.ones_like(self._point)
        self._path, self._mean_path = torch.zeros_like(self._point), torch.zeros_like(self._point)

    def _generator(self, *purpose: str | int) -> torch.Generator:
        return named_generator(self._seed, "cr_fm_nes", *purpose, device=self._point.device)

    def _propose(self) -> DenseCandidates:
        """All z before all -z."""
        shape = (self._population // 2, len(self._point))
        half = torch.randn(shape, generator=self._generator(self._step), device=self._point.device).to(self._point)
        self._z = torch.cat([half, -half])
        direction = self._v / self._v.norm()
        stretch = float((1 + self._v.square().sum()).sqrt()) - 1
        self._y = torch.addr(self._z, self._z @ direction, direction, alpha=stretch)
        return DenseCandidates(self._point + self._sigma * self._d * self._y)

    def _learn(self, losses: Tensor) -> dict[str, float]:
        finite = torch.isfinite(losses)
        constants, usable = self._strategy, int(finite.sum())
        lengths = self._z.square().sum(1)
        order = torch.argsort(torch.where(finite, 0.0, lengths), stable=True)
        order = order[torch.argsort(torch.where(finite, losses, torch.inf)[order], stable=True)]
        ranks = torch.empty_like(lengths).index_copy_(0, order, constants.weights.to(lengths))

        decay, mu = constants.path_decay, constants.selected
        self._path = (1 - decay) * self._path + math.sqrt(decay * (2 - decay) * mu) * (ranks @ self._z)
        stride = float(self._path.norm()) / constants.random_length
        weights = ranks if stride < 1 else constants.with_distances(ranks, lengths.sqrt(), usable)

        movement = self._sigma * self._d * (weights @ self._y)
        decay = constants.mean_decay
        self._mean_path = (1 - decay) * self._mean_path + math.sqrt(decay * (2 - decay) * mu) * movement / self._sigma
        self._point = self._point + movement
        self._adapt_shape(weights * constants.shape_rate(usable), constants.rank_one_rate(usable))
        growth = float(weights @ (lengths - len(self._point))) / len(self._point)
        self._sigma *= math.exp(constants.sigma_rate(stride, usable) / 2 * growth)
        return {"sigma": self._sigma, "stride": stride, "movement": float(movement.norm())}

    def _adapt_shape(self, weights: Tensor, rank_one: float) -> None:
        """Natural gradient of v and d. All of it is linear in two sums over the samples y, which are taken first."""
        along = self._mean_path / self._d
        square = float(self._v.square().sum())
        norm = math.sqrt(square)
        u = self._v / norm
        u2, gamma = u.square(), 1 + square
        products, own = self._y @ u, float(along @ u)
        total = float(weights.sum()) + rank_one
        # sums of e_k y_k^2 and of e_k (v'y_k) y_k
        squares = weights @ self._y.square() + rank_one * along.square()
        crossed = (weights * products) @ self._y + rank_one * own * along
        twice = float(weights @ products.square()) + rank_one * own**2 + gamma * total
        alpha = min(1.0, math.sqrt(square**2 + (2 * gamma - math.sqrt(gamma)) / float(u2.max())) / (2 + square))
        b = 2 * alpha**2 - (1 - alpha**2) * square**2 / gamma

        t = crossed - u * (twice / 2)
        s = squares - square / gamma * u * crossed - total
        s = s - alpha / gamma * ((2 + square) * u * t - square * u2 * (u @ t))
        inverse = 1 / (2 - (b + 2 * alpha**2) * u2)
        scaled = inverse * u2
        s = inverse * s - b / (1 + b * (u2 @ scaled)) * (scaled @ s) * scaled
        t = t - alpha * ((2 + square) * u * s - u * (u2 @ s))

        self._v = self._v + t / norm
        d = self._d * (1 + s)
        root = d.log().mean() + torch.log1p(self._v.square().sum()) / (2 * len(d))
        self._d = d / root.exp()

    def _state(self) -> State:
        arrays = {"v": self._v, "d": self._d, "path": self._path, "mean_path": self._mean_path}
        return super()._state() | {"distribution": arrays, "sigma": self._sigma}

    def _restore(self, state: State) -> None:
        super()._restore(state)
        arrays = {name: value.clone() for name, value in state["distribution"].items()}
        self._v, self._d = arrays["v"], arrays["d"]
        self._path, self._mean_path, self._sigma = arrays["path"], arrays["mean_path"], state["sigma"]


class Constants:
    """What follows from the number of parameters D and the population N. Source: table 1 of arXiv 2201.11422.

    selected: the number of candidates that the weights amount to. random_length: expected |z|. usable: candidates with a
    finite loss.
    """

    def __init__(self, size: int, population: int):
        self.size, self.population = size, population
        ranks = torch.arange(1, population + 1, dtype=torch.float64)
        raw = (math.log(population / 2 + 1) - ranks.log()).clamp_min(0)
        self.weights = raw / raw.sum() - 1 / population
        self.selected = 1 / float((self.weights + 1 / population).square().sum())
        mu = self.selected
        self.path_decay = (mu + 2) / (size + mu + 5)
        self.mean_decay = (4 + mu / size) / (size + 4 + 2 * mu / size)
        self.random_length = math.sqrt(size) * (1 - 1 / (4 * size) + 1 / (21 * size**2))
        self._reach = _reach(size) * min(1.0, math.sqrt(population / size))

    def with_distances(self, ranks: Tensor, lengths: Tensor, usable: int) -> Tensor:
        """Weights (N,) that also grow exponentially with the lengths (N,) of z; `ranks`: those that do not."""
        exponents = self._reach * math.sqrt(usable / self.population) * lengths
        raw = (ranks + 1 / self.population) * (exponents - exponents.max()).exp()
        return raw / raw.sum() - 1 / self.population

    def sigma_rate(self, stride: float, usable: int) -> float:
        """Learning rate of sigma for a path of `stride` times its random length."""
        if stride >= 1:
            return 1.0
        if stride >= 0.1:
            return math.tanh((0.024 * usable + 0.7 * self.size + 20) / (self.size + 12))
        return 2 * math.tanh((0.025 * usable + 0.75 * self.size + 10) / (self.size + 4))

    def shape_rate(self, usable: int) -> float:
        """Learning rate of v and d by the candidates."""
        return math.tanh((min(0.02 * usable, 3 * math.log(self.size)) + 5) / (0.23 * self.size + 25))

    def rank_one_rate(self, usable: int) -> float:
        """Learning rate of v and d by the path of the mean."""
        usual = 2 / ((self.size + 1.3) ** 2 + self.selected)
        return usual * (self.size - 5) / 6 * usable / self.population


def _reach(size: int) -> float:
    """The a > 0 with (1 + a^2) exp(a^2/2)/0.24 = 10 + D, by bisection."""
    low, high = 0.0, 40.0
    for _ in range(200):
        middle = (low + high) / 2
        above = math.log1p(middle**2) + middle**2 / 2 > math.log(0.24 * (10 + size))
        low, high = (low, middle) if above else (middle, high)
    return low
