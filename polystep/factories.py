"""Optimisers by name: PolyStep with its settings for black boxes or for models, and what installed packages offer."""

import contextlib
import inspect
import math
from collections.abc import Callable
from importlib.metadata import entry_points
from typing import Protocol, runtime_checkable

from torch import Tensor

from polystep.algorithm import PolyStep
from polystep.candidates import Candidates
from polystep.contracts import ExpectedError, Optimizer, StepReport
from polystep.layout import ParameterLayout
from polystep.quasi_newton import QuasiNewton
from polystep.schedule import Cosine, Geometric
from polystep.subspace import FullSpace, RowSubspace
from polystep.update import Adaptive
from polystep.validation import did_you_mean
from polystep.weighting import LinearWeighting

GROUP = "polystep.optimizers"
"""The entry point group in which packages offer factories of optimisers by name."""

Factory = Callable[..., Optimizer]
"""Called as factory(layout=..., point=..., seed=...)."""

LARGEST_POLYTOPE = 100
"""Coordinates of one polytope; more are shared between several, as rotations cost the cube of it."""


@runtime_checkable
class AskTell(Optimizer, Protocol):
    """An optimiser that sees losses alone, such as an AskTellOptimizer."""

    def ask(self, used: float) -> Candidates:
        """The candidates of the next step; possibly none."""
        ...

    def tell(self, losses: Tensor) -> StepReport:
        """Take their losses and move."""
        ...


class OptimizerError(ExpectedError, ValueError):
    """There is no such optimiser, it cannot be loaded or built, or it cannot search a black box."""


def for_black_boxes(layout: ParameterLayout, point: Tensor, seed: int, noisy: bool = False) -> PolyStep:
    """PolyStep for functions of coordinates whose natural unit is 1.

    One polytope in the full space, randomly rotated at every step, of radius 2 at first, so that steps and ripples are
    averaged out, and of 1e-5 at the end of the budget, so that slopes are exact; of 0.3 at the end where the function is
    noisy. Weights are linear in the costs, so displacements are proportional to the gradient, as quasi-Newton steps need.
    """
    first, last = 2.0, 0.3 if noisy else 1e-5
    # tiny, so that differences of costs are not lost in sums with 1; the step radius takes it out again
    temperature = 1e-20
    return PolyStep(
        layout,
        point,
        seed,
        subspace=FullSpace,
        particle_dimension=math.ceil(layout.size / math.ceil(layout.size / LARGEST_POLYTOPE)),
        weighting=LinearWeighting(),
        update=QuasiNewton(caution=0.2 if noisy else 0.0, memory=min(5 * layout.size, 100)),
        temperature=temperature,
        probe_radius=Geometric(first, last),
        step_radius=Geometric(temperature / first, temperature / last),
        non_finite_floor=0.0,
    )


def for_models(layout: ParameterLayout, point: Tensor, seed: int) -> PolyStep:
    """PolyStep for the parameters of a model whose inputs have a deviation of about 1.

    Every output row of every weight is probed on its own, so that evaluators compute little for a candidate. The learning
    rate falls to 0 over the budget.
    """
    coordinates = RowSubspace(layout, 1, seed).coordinates
    return PolyStep(
        layout,
        point,
        seed,
        particle_dimension=min(8, coordinates),
        probe_radius=0.5,
        update=Adaptive(Cosine(0.03, 0.0), beta2=0.99, weight_decay=0.1),
    )


def optimizer_factory(optimizer: str | Factory, polystep: Factory) -> Factory:
    """`polystep` for "polystep", the one of another name among the entry points of GROUP, or the factory itself; OptimizerError
    where there is none.
    """
    if not isinstance(optimizer, str):
        if not callable(optimizer):
            raise OptimizerError(
                f"optimizer must be a name or a factory such as the class of an optimiser, got {optimizer!r}"
            )
        return optimizer
    if optimizer == "polystep":
        return polystep
    offered = {entry.name: entry for entry in entry_points(group=GROUP)}
    if optimizer not in offered:
        names = ["polystep", *sorted(offered)]
        raise OptimizerError(
            f"there is no optimizer {optimizer!r}{did_you_mean(optimizer, names)}; choose one of {', '.join(names)}, or pass "
            "a factory"
        )
    entry = offered[optimizer]
    try:
        factory: Factory = entry.load()
    except Exception as error:  # whatever the code of another package raises
        package = "an installed package" if entry.dist is None else entry.dist.name
        raise OptimizerError(
            f"the optimizer {optimizer!r} of {package} cannot be loaded "
            f"({type(error).__name__}: {error}); repair or update that package"
        ) from error
    return factory


def build(factory: Factory, layout: ParameterLayout, point: Tensor, seed: int) -> Optimizer:
    """The optimiser at `point`; OptimizerError where the factory does not take these arguments, or gives none."""
    arguments = {"layout": layout, "point": point, "seed": seed}
    try:
        with contextlib.suppress(ValueError):  # some built-in classes do not tell what they take
            inspect.signature(factory).bind(**arguments)
    except TypeError as error:
        raise OptimizerError(
            f"{getattr(factory, '__name__', factory)} is no factory of an optimizer: it must take layout, point and seed, "
            f"with values for all else ({error}); the classes of baselines do, and functools.partial gives values"
        ) from None
    built = factory(**arguments)
    if not hasattr(built, "step"):
        raise OptimizerError(
            f"{type(built).__name__} is no optimizer: it must have step; derive it from AskTellOptimizer of "
            "polystep.ask_tell, which makes step of ask and tell"
        )
    return built


def build_search(factory: Factory, layout: ParameterLayout, point: Tensor, seed: int, noisy: bool) -> AskTell:
    """As `build`, told whether the function is noisy; OptimizerError where the optimiser has no ask and tell."""
    if factory is for_black_boxes:
        return for_black_boxes(layout, point, seed, noisy)
    built = build(factory, layout, point, seed)
    if not isinstance(built, AskTell):
        raise OptimizerError(
            f"{type(built).__name__} cannot search a black box: it must have ask and tell, as AskTellOptimizer of "
            "polystep.ask_tell has"
        )
    return built
