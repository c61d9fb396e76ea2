"""Optimisers that see losses alone, and the bookkeeping that they share, so that a method is its mathematics alone."""

from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor

from polystep.candidates import Candidates
from polystep.contracts import Objective, State, StepReport
from polystep.layout import ParameterLayout
from polystep.random import generator_state, restore_generator
from polystep.schedule import Moment
from polystep.subspace import Subspace
from polystep.validation import SettingError


class NonFiniteLossError(ArithmeticError):
    """Every candidate of a step has a NaN or infinite loss, so nothing tells where to go."""


class AskTellOptimizer(ABC):
    """Base of optimisers that see losses only: `step` is ask, evaluate, tell."""

    @abstractmethod
    def ask(self, used: float) -> Candidates:
        """The candidates of the next step, before which the share `used` of the budget is used; possibly none."""

    @abstractmethod
    def tell(self, losses: Tensor) -> StepReport:
        """Take the losses of the candidates last asked for and move."""

    def abandon(self) -> None:  # noqa: B027
        """Forget that candidates were asked for, so that the step can be begun again; for methods that remember it."""

    def step(self, objective: Objective, used: float) -> StepReport:
        """Ask, evaluate, tell; where that fails or is interrupted, the step can be repeated, with the same candidates."""
        candidates = self.ask(used)
        try:
            losses = objective.losses(candidates) if len(candidates) else torch.empty(0)
            return self.tell(losses)
        except BaseException:
            self.abandon()
            raise


class PointOptimizer(AskTellOptimizer):
    """An ask/tell method around one point: keeps the order of the calls, checks losses, counts steps.

    A method defines `_propose`, which changes nothing that the next step depends on but the generators of `_generators` or what
    its `_give_back` undoes, and `_learn`; it adds its memory to `_state` and `_restore`.
    """

    _generators: tuple[torch.Generator, ...] = ()
    """Those that `_propose` draws from; an abandoned step gives back what it drew."""

    def __init__(self, layout: ParameterLayout, point: Tensor):
        """`point`: start (D,), not changed."""
        self._point = layout.copy_of(point)
        self._step = 0
        self._now = Moment(0, 0.0)
        self._expected: int | None = None

    @abstractmethod
    def _propose(self) -> Candidates:
        """The candidates of step `_step`, which begins `_now`; possibly none."""

    @abstractmethod
    def _learn(self, losses: Tensor) -> dict[str, float]:
        """Move by the losses (N,) of the candidates last proposed, of which at least one is finite; returns diagnostics."""

    @property
    def solution(self) -> Tensor:
        """The current point (D,); do not change it in place."""
        return self._point

    def ask(self, used: float) -> Candidates:
        """The candidates of the next step, before which the share `used` of the budget is used."""
        if self._expected is not None:
            raise RuntimeError(
                "ask() was called twice without tell(); give the losses of the first candidates to tell()"
            )
        self._now = Moment(self._step, used)
        self._drawn_before = [generator_state(generator) for generator in self._generators]
        try:
            candidates = self._propose()
            if not hasattr(candidates, "dense"):
                raise TypeError(
                    f"{type(self).__name__}._propose must return candidates, such as DenseCandidates(points), got "
                    f"{type(candidates).__name__}"
                )
        except BaseException:
            self._give_back()
            raise
        self._expected = len(candidates)
        return candidates

    def tell(self, losses: Tensor) -> StepReport:
        """Move by the losses (N,) of the candidates last asked for.

        Raises NonFiniteLossError, with the state unchanged, where no loss is finite.
        """
        if self._expected is None:
            raise RuntimeError("tell() was called without ask(); ask for candidates first")
        if losses.shape != (self._expected,):
            raise ValueError(
                f"tell() expects losses of shape ({self._expected},), one per candidate, got {tuple(losses.shape)}"
            )
        finite = losses if all_finite(losses) else losses[torch.isfinite(losses)]
        if self._expected and not len(finite):
            raise NonFiniteLossError(
                f"all {self._expected} candidate losses of step {self._step} are NaN or infinite; check the model at its "
                "current point, or reduce the radius (or sigma) of the candidates"
            )
        diagnostics = self._learn(losses)
        if not isinstance(diagnostics, dict):
            raise TypeError(
                f"{type(self).__name__}._learn must return its diagnostics as a dict, which may be empty, got "
                f"{type(diagnostics).__name__}"
            )
        if self._expected:
            diagnostics = {"non_finite": float(len(losses) - len(finite))} | diagnostics
        self._expected = None
        self._step += 1
        return StepReport(float(finite.mean()) if len(losses) else None, diagnostics)

    def abandon(self) -> None:
        """Forget that candidates were asked for, so that the step can be begun again, with the same candidates."""
        if self._expected is not None:
            self._give_back()
        self._expected = None

    def _give_back(self) -> None:
        """Undo what `_propose` changed."""
        for generator, state in zip(self._generators, self._drawn_before, strict=True):
            restore_generator(generator, state)

    def state_dict(self) -> State:
        """Everything that the next step depends on; to be taken between steps."""
        if self._expected is not None:
            raise RuntimeError("state_dict() was called between ask() and tell(); finish the step first")
        return self._state()

    def load_state_dict(self, state: State) -> None:
        """Continue exactly where `state` was taken."""
        self._restore(state)
        self._expected = None

    def _state(self) -> State:
        # a copy, because some methods change their point in place
        return {"point": self._point.clone(), "counters": {"step": self._step}}

    def _restore(self, state: State) -> None:
        self._point, self._step = state["point"].clone(), state["counters"]["step"]


def all_finite(values: Tensor) -> bool:
    """Whether no value is NaN or infinite; where the sum is finite, which takes a single pass, all of them are."""
    return bool(torch.isfinite(values.sum())) or bool(torch.isfinite(values).all())


def replace_non_finite(losses: Tensor, floor: float = 1e6) -> Tensor:
    """NaN and infinite losses replaced by max(2 max|finite| + 1, floor), so that they repel."""
    if all_finite(losses):
        return losses
    finite = torch.isfinite(losses)
    largest = torch.where(finite, losses.abs(), 0.0).max()
    return torch.where(finite, losses, torch.clamp(2 * largest + 1, min=floor))


def search_space(
    subspace: Callable[..., Subspace] | None, layout: ParameterLayout, point: Tensor, seed: int
) -> Subspace | None:
    """The subspace, of single coordinates, that a method without particles searches from `point`; None: all parameters.

    Raises SettingError for one that holds a part of its coordinates at a time, as the method would never move the others.
    """
    if subspace is None:
        return None
    space = subspace(layout, particle_dimension=1, seed=seed, device=point.device)
    if space.particles != space.coordinates:
        raise SettingError(
            f"optimizer.subspace moves {space.particles} of its {space.coordinates} coordinates at a time, which only methods "
            "with particles redraw; choose another subspace, or none"
        )
    return space
