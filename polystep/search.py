"""Search: ask for points, tell their values, and read what came of it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from polystep.ask_tell import AskTellOptimizer, NonFiniteLossError
from polystep.candidates import Candidates
from polystep.domain import BlackBoxError, Bounds, read_domain
from polystep.factories import AskTell, Factory, build_search, for_black_boxes, optimizer_factory
from polystep.layout import ParameterLayout
from polystep.validation import whole_number, whole_seed

SAME = 1e-6
"""Values of one point that differ by a larger share than this mean noise; smaller differences are rounding."""

FINISHED = "the method says that nothing better can be had"


@dataclass(frozen=True)
class OptimizeResult:
    """What a search found, by the names of scipy's OptimizeResult.

    x: the evaluated point with the lowest value; where the function is noisy, and the lowest value luck, the point that the
    method ended at; a numpy array of float64, or a tensor where the start is one. fun: its value. nfev: evaluations. success:
    whether the search used its budget or found that nothing better can be had. history: evaluations and lowest value after
    each step.
    """

    x: Any
    fun: float
    nfev: int
    success: bool
    message: str
    history: tuple[tuple[int, float], ...] = field(repr=False)


class Search:
    """A search on plain vectors, for those who evaluate the points themselves.

        search = Search([0.0, 0.0], budget=1000)
        while not search.finished:
            search.tell([f(x) for x in search.ask()])
        print(search.result.x)

    `ask` gives points (N, D), at most `budget` in all. The first are the start, twice, which shows whether the function is
    noisy; the last is the point that the method ends at. Arguments as in `polystep.minimize`.
    """

    def __init__(
        self,
        start: Any,
        optimizer: str | Factory = "polystep",
        *,
        budget: int | None = None,
        seed: int = 0,
        bounds: Bounds | None = None,
        integrality: bool | Sequence[bool] = False,
    ):
        self._domain = read_domain(start, bounds, integrality)
        self._gives_tensors = isinstance(start, Tensor)
        self._budget = 1000 * len(self._domain.start) if budget is None else _read_budget(budget)
        self._factory, self._seed = optimizer_factory(optimizer, for_black_boxes), whole_seed(seed)
        self._optimizer: AskTell | None = None
        self._asked: Tensor | None = None
        self._best, self._lowest, self._evaluations, self._noisy = self._domain.start, math.inf, 0, False
        # the coordinates in which a point was asked for that differs from the start
        self._moved = torch.zeros_like(self._domain.integers)
        self._history: list[tuple[int, float]] = []
        self._message, self._success, self.finished = "", True, False

    def ask(self) -> Any:
        """The points (N, D) to evaluate next: numpy, or torch where the start is a tensor. Raises RuntimeError before `tell`
        and after the end, BlackBoxError where the budget is less than a step, OptimizerError for a name that nothing has.
        """
        if self.finished:
            raise RuntimeError("the search is finished and has no more points; read `result`")
        if self._asked is not None:
            raise RuntimeError(f"{len(self._asked)} points wait for their values; call tell before ask")
        self._asked = self._next_points()
        points = self._asked.clone()
        return points if self._gives_tensors else points.numpy()

    def _next_points(self) -> Tensor:
        if self._optimizer is None:
            return self._domain.start.repeat(2, 1)
        if not self._message:
            candidates = self._next_candidates(self._optimizer)
            if len(candidates):
                return self._noted(self._domain.points(candidates.dense(slice(None))))
        return self._noted(self._domain.points(self._optimizer.solution.unsqueeze(0)))

    def _noted(self, points: Tensor) -> Tensor:
        self._moved = self._moved | (points != self._domain.start).any(0)
        return points

    def _next_candidates(self, optimizer: AskTell) -> Candidates:
        """The candidates of the next step that has any; none, with a message, where the search is at its end."""
        used = self._evaluations / self._budget
        candidates = optimizer.ask(used)
        while not len(candidates):
            if optimizer.tell(torch.empty(0)).finished:
                self._message = FINISHED
                return candidates
            candidates = optimizer.ask(used)
        if (needed := self._evaluations + len(candidates) + 1) <= self._budget:
            return candidates
        if not self._history:
            if isinstance(optimizer, AskTellOptimizer):
                optimizer.abandon()
            raise BlackBoxError(
                f"a budget of {self._budget} evaluations is less than one step; give at least {needed}: the start twice, "
                f"{len(candidates)} for a step, and the end"
            )
        self._message = f"the budget of {self._budget} evaluations is used"
        return candidates.part(slice(0))

    def tell(self, values: Any) -> None:
        """Take the values (N,) of the points last asked for; NaN and infinite ones count as worse than all others. Raises
        RuntimeError before `ask`, BlackBoxError for another number of values and where the start has none that is finite.
        """
        if self._asked is None:
            raise RuntimeError("ask for points before telling their values")
        losses, points = read_values(values, self._asked), self._asked
        # a point that is not finite is none, whatever the function makes of it
        losses = torch.where(torch.isfinite(points).all(1), losses, torch.nan)
        self._asked = None
        self._evaluations += len(losses)
        lowest, place = torch.where(torch.isfinite(losses), losses, torch.inf).min(0)
        if lowest < self._lowest:
            self._best, self._lowest = points[place], float(lowest)
        if self._optimizer is None:
            self._begin(losses)
        elif self._message:
            self._end(points[0], float(losses[0]))
        else:
            self._continue(losses)

    def _begin(self, losses: Tensor) -> None:
        if not bool(torch.isfinite(losses).all()):
            raise BlackBoxError(
                f"the function is {float(losses.sum())} at the start; choose a start where it is finite"
            )
        first, second = losses.tolist()
        self._noisy = not math.isclose(first, second, rel_tol=SAME)
        size = len(self._domain.start)
        zero = torch.zeros_like(self._domain.start)
        self._optimizer = build_search(self._factory, ParameterLayout({"x": (size,)}), zero, self._seed, self._noisy)

    def _continue(self, losses: Tensor) -> None:
        assert self._optimizer is not None
        try:
            if self._optimizer.tell(losses).finished:
                self._message = FINISHED
        except NonFiniteLossError:
            self._message, self._success = "no point of the last step has a finite value; the search ended early", False
        self._history.append((self._evaluations, self._lowest))

    def _end(self, point: Tensor, value: float) -> None:
        if self._noisy and math.isfinite(value):
            self._best, self._lowest = point, value
        whole = self._domain.integers
        kind, judged = ("whole-number coordinates", whole) if bool(whole.any()) else ("coordinates", ~whole)
        if self._history and self._success and not bool(self._moved[judged].any()):
            self._success = False
            self._message = (
                f"the {kind} of all points asked for were those of the start; give the method larger steps, or the start "
                "another place"
            )
        self.finished = True

    @property
    def result(self) -> OptimizeResult:
        """What was found so far."""
        x = self._best.clone()
        return OptimizeResult(
            x if self._gives_tensors else x.numpy(),
            self._lowest,
            self._evaluations,
            self.finished and self._success,
            self._message or "the search is under way",
            tuple(self._history),
        )


def _read_budget(budget: Any) -> int:
    number = whole_number(budget)
    if number is None or number < 2:
        raise BlackBoxError(
            f"budget must be a whole number of evaluations, at least 2 as the start is evaluated twice, got {budget!r}"
        )
    return number


def read_values(values: Any, points: Tensor) -> Tensor:
    """Values (N,) as a float64 tensor beside the points; BlackBoxError where they are not one real number for each."""
    try:
        several = isinstance(values, list | tuple)
        losses = torch.stack([_number(value) for value in values]) if several else _number(values)
    except (TypeError, ValueError, RuntimeError) as error:
        raise BlackBoxError(f"{_EXPECTED}, got {values!r}: {error}") from None
    if losses.shape != (len(points),):
        raise BlackBoxError(f"{_EXPECTED}, got shape {tuple(losses.shape)} for {len(points)} points")
    return losses.to(points.device)


_EXPECTED = "the function must return one real number for a point, or with batch=True a vector of one for each point"


def _number(value: Any) -> Tensor:
    if isinstance(value, int | float):
        return torch.tensor(value, dtype=torch.float64)
    tensor = torch.as_tensor(value).detach()
    if tensor.is_complex():
        raise TypeError("complex numbers have no order")
    return tensor.double()
