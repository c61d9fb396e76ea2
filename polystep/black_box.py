"""minimize: a black box in two lines."""

from collections.abc import Callable, Sequence
from typing import Any

from polystep.domain import BlackBoxError, Bounds
from polystep.factories import Factory
from polystep.search import OptimizeResult, Search


def minimize(
    function: Callable[[Any], Any],
    start: Any,
    optimizer: str | Factory = "polystep",
    *,
    budget: int | None = None,
    seed: int = 0,
    bounds: Bounds | None = None,
    integrality: bool | Sequence[bool] = False,
    batch: bool = False,
) -> OptimizeResult:
    """Minimise a function of D numbers by its values alone, as scipy.optimize.minimize does for smooth ones.

    function: of a point (D,), a numpy array or, where `start` is a tensor, a tensor on its device, of its type where that is
    floating; returns a number. With `batch`, of points (N, D), for which it returns (N,). What it raises passes through; NaN
    and infinite values repel.
    start: D numbers, of which the magnitude says how far to look: the unit of a coordinate is max(1, |start|), or a
    quarter of the distance of its bounds; of a whole number at least 1.
    optimizer: "polystep"; a name that an installed package offers in the entry point group "polystep.optimizers"; or a
    factory called with `layout`, `point` and `seed`, such as the class of an AskTellOptimizer or a partial of it.
    It sees coordinates that start at 0 in these units.
    budget: evaluations, 1000 D where not given; never exceeded. seed: equal seeds give equal results.
    bounds: (lowest, highest) for all coordinates, or a pair for each; None means no bound. A candidate beyond a bound is
    reflected at it. integrality: whether coordinates are whole numbers, one truth value or one for each; candidates are
    rounded before the function sees them.
    Raises BlackBoxError, OptimizerError: what is wrong with the input, in a sentence.

        minimize(lambda x: (x**2).sum(), [3.0, 4.0]).x
    """
    if not callable(function):
        raise BlackBoxError(f"function must be a function of a point, got {function!r}")
    search = Search(start, optimizer, budget=budget, seed=seed, bounds=bounds, integrality=integrality)
    while not search.finished:
        points = search.ask()
        search.tell(function(points) if batch else [function(point) for point in points])
    return search.result
