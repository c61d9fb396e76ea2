"""Checks of settings that several methods share; the message names the setting, its value and what is allowed."""

import difflib
import math
import operator
import sysconfig
import traceback
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from numbers import Real
from typing import Any

from polystep.contracts import ExpectedError
from polystep.schedule import Moment, Schedule, as_schedule

_INSTALLED = tuple(sysconfig.get_path(kind) for kind in ("stdlib", "purelib"))


class SettingError(ExpectedError, ValueError):
    """A setting, or a schedule at some step, has a value that its method cannot use."""


def positive(value: float, name: str) -> float:
    """`value`, if it is above 0 and finite; else SettingError."""
    if not 0 < value < math.inf:
        raise SettingError(f"{name} must be a number above 0, got {value}")
    return value


def non_negative(value: float, name: str) -> float:
    """`value`, if it is at least 0 and finite; else SettingError."""
    if not 0 <= value < math.inf:
        raise SettingError(f"{name} must be a number of at least 0, got {value}")
    return value


def at_least(least: int, **settings: float) -> None:
    """SettingError for the first of the settings, given by their names, that is below `least`."""
    for name, value in settings.items():
        if not value >= least:
            raise SettingError(f"{name} must be at least {least}, got {value}")


def share_below_one(**settings: float) -> None:
    """SettingError for the first of the settings, given by their names, that is not in [0, 1)."""
    for name, value in settings.items():
        if not 0 <= value < 1:
            raise SettingError(f"{name} must lie in [0, 1), got {value}")


def one_of(choices: Sequence[str], **settings: str) -> None:
    """SettingError for the first of the settings, given by their names, that is none of `choices`."""
    for name, value in settings.items():
        if value not in choices:
            *others, last = map(repr, choices)
            raise SettingError(f"{name} must be {', '.join(others)} or {last}, got {value!r}")


def whole_number(value: Any) -> int | None:
    """A whole number of any type as a plain one, truth values aside; None for all else."""
    try:
        return None if isinstance(value, bool) else operator.index(value)
    except TypeError:
        return None


def whole_seed(seed: Any) -> int:
    """A seed as a plain number; SettingError where it is no whole one."""
    if (number := whole_number(seed)) is None:
        raise SettingError(f"seed must be a whole number, got {seed!r}")
    return number


def name_of(function: Any) -> str:
    """What a function is called, wherever it is defined; of a partial one that of the whole, of an object its class."""
    while isinstance(function, partial):
        function = function.func
    return str(getattr(function, "__name__", type(function).__name__))


def one_line(error: BaseException) -> str:
    """What an error says, in one line; its kind where it says nothing."""
    return " ".join(str(error).split()) or type(error).__name__


def first_line(error: BaseException) -> str:
    """The first line of what an error says, where a trace of calls may follow; its kind where it says nothing."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def place_of(error: BaseException) -> str:
    """Where an error was raised, as "FILE, line N": the last place outside of installed packages; of a syntax error itself."""
    if isinstance(error, SyntaxError):
        return f"{error.filename}, line {error.lineno}"
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if not frame.filename.startswith((*_INSTALLED, "<"))]
    last = (own or frames)[-1]
    return f"{last.filename}, line {last.lineno}"


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """A question after a blank, for the one of `names` that is nearest to `name`; nothing where none is near."""
    close = difflib.get_close_matches(name, list(names), n=1)
    return f" (did you mean {close[0]}?)" if close else ""


def with_place(error: BaseException) -> str:
    """Kind, place and message of an error, in one line."""
    return f"{type(error).__name__} in {place_of(error)}: {one_line(error)}"


@dataclass(frozen=True)
class PositiveSchedule:
    """A schedule that must stay above 0; with `may_vanish` it may also be 0, as a learning rate at its end."""

    schedule: Schedule
    name: str
    may_vanish: bool

    def at(self, now: Moment) -> float:
        """The value now; SettingError where it is out of range."""
        value = self.schedule.at(now)
        if not (0 < value < math.inf or (value == 0 and self.may_vanish)):
            bound = "at least 0" if self.may_vanish else "above 0"
            raise SettingError(
                f"{self.name} must be {bound} at every step, got {value} at step {now.step}; change the start, the end or the "
                "length of its schedule"
            )
        return value


def schedule_of_positive(value: float | Schedule, name: str) -> Schedule:
    """A schedule from a number above 0, or a given one, of which no value may be below 0; SettingError where that is not so."""
    if isinstance(value, Real) and not isinstance(value, bool):
        return as_schedule(positive(float(value), name), name)
    return _checked(value, name, may_vanish=True)


def positive_schedule(value: float | Schedule, name: str, may_vanish: bool = False) -> Schedule:
    """A schedule from a number above 0 or a schedule; SettingError for a number, or a first value, that is out of range."""
    if isinstance(value, Real) and not isinstance(value, bool):
        return schedule_of_positive(value, name)
    checked = _checked(value, name, may_vanish)
    checked.at(Moment(0, 0.0))
    return checked


def _checked(value: float | Schedule, name: str, may_vanish: bool) -> PositiveSchedule:
    try:
        return PositiveSchedule(as_schedule(value, name), name, may_vanish)
    except ValueError as error:
        raise SettingError(str(error)) from None
