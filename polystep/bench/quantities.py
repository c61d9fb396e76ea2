"""Numbers as tables show them: with their unit, and with what the seeds say about them."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

ENOUGH_SEEDS = 5
"""Below this many seeds a number is always shown with its number of seeds."""


class _Format(NamedTuple):
    scale: float
    number: str
    symbol: str = ""
    spread: bool = True


_FORMATS = {
    "fraction": _Format(100, ".2f", " %"),
    "difference of fraction": _Format(100, "+.2f", " points", spread=False),
    "seconds": _Format(1, ",.1f"),
    "bytes": _Format(1e-6, ",.0f", spread=False),
    "epochs": _Format(1, ",.4g", spread=False),
    "count": _Format(1, ",.0f", spread=False),
    "seconds per step": _Format(1000, ",.1f", " ms"),
}
_OTHER_FORMAT = _Format(1, ".4g")
_OTHER_DIFFERENCE = _Format(1, "+.4g", spread=False)


@dataclass(frozen=True)
class Quantity:
    """The mean over `n` seeds of a number, and its population standard deviation (None: unknown).

    `unit` decides how it is shown ("fraction": in percent; "bytes": in megabytes); `by_seed` holds the single values.
    """

    mean: float
    std: float | None
    n: int
    unit: str
    by_seed: tuple[tuple[int, float], ...] = ()

    def __str__(self) -> str:
        """Mean ± standard deviation, and n where it is below five."""
        form = _format(self.unit)
        if form.spread and self.std is not None:
            if form == _OTHER_FORMAT:
                form = form._replace(number=f",.{_decimals(max(abs(self.mean), self.std))}f")
            text = f"{_number(self.mean, form)} ± {_number(self.std, form)}{form.symbol}"
        else:
            text = _number(self.mean, form) + form.symbol
        return f"{text} (n={self.n})" if form.spread and self.n < ENOUGH_SEEDS else text


@dataclass(frozen=True)
class Points:
    """The values of single seeds, in order of seed."""

    by_seed: tuple[tuple[int, float], ...]
    unit: str

    def __str__(self) -> str:
        """The values, without their seeds."""
        form = _format(self.unit)
        return ", ".join(_number(value, form) for _, value in self.by_seed) + form.symbol


@dataclass(frozen=True)
class Estimate:
    """A statistic over seeds and the interval that it lies in; None: not to be shown, or unknown for lack of seeds."""

    value: float | None
    low: float | None
    high: float | None
    unit: str

    def __str__(self) -> str:
        """Value (low to high), or as much of it as there is."""
        form = _format(self.unit)
        value = "" if self.value is None else _number(self.value, form)
        if self.low is None or self.high is None:
            return value + form.symbol
        interval = f"{_number(self.low, form)} to {_number(self.high, form)}"
        return (f"{value} ({interval})" if value else interval) + form.symbol


@dataclass(frozen=True)
class Difference:
    """Mean difference of two methods over the `n` seeds that both have.

    `p_value` is that of the paired test alone, `p_holm` the one corrected for the family; None where one seed allows no
    test.
    """

    mean: float
    p_value: float | None
    p_holm: float | None
    n: int
    unit: str

    def __str__(self) -> str:
        """The difference, the corrected p-value, and n where it is below five."""
        form = _format(f"difference of {self.unit}")
        remarks = []
        if self.p_holm is not None:
            remarks.append("p < 0.001" if self.p_holm < 0.001 else f"p = {self.p_holm:.3f}")
        if self.n < ENOUGH_SEEDS:
            remarks.append(f"n={self.n}")
        return _number(self.mean, form) + form.symbol + (f" ({', '.join(remarks)})" if remarks else "")


@dataclass(frozen=True)
class CensoredMedian:
    """Median over seeds of what runs needed to reach something, where the seeds in `unreached` ended before.

    Where `exact` is false, the true median is above `median`; `by_seed` holds what each seed needed or ended at.
    """

    median: float
    exact: bool
    unit: str
    by_seed: tuple[tuple[int, float], ...]
    unreached: tuple[int, ...]

    def __str__(self) -> str:
        """The median, marked where it is a lower bound."""
        form = _format(self.unit)
        return ("" if self.exact else "> ") + _number(self.median, form) + form.symbol


def number(tree: Any, *path: str) -> float | None:
    """The finite number at `path` in nested dictionaries; None where there is none."""
    for key in path:
        tree = tree.get(key) if isinstance(tree, dict) else None
    known = isinstance(tree, int | float) and not isinstance(tree, bool) and math.isfinite(tree)
    return float(tree) if known else None


def text_of(value: float, unit: str) -> str:
    """The number with the symbol of its unit."""
    form = _format(unit)
    return _number(value, form) + form.symbol


def average(values: Mapping[int, float | None], unit: str) -> Quantity | None:
    """Mean and population standard deviation of the known values by seed; None where none is known."""
    known = {seed: value for seed, value in values.items() if value is not None}
    if not known:
        return None
    mean = math.fsum(known.values()) / len(known)
    # One value says nothing about the spread over seeds, and 0 would claim that there is none.
    std = math.sqrt(math.fsum((v - mean) ** 2 for v in known.values()) / len(known)) if len(known) > 1 else None
    return Quantity(mean, std, len(known), unit, tuple(sorted(known.items())))


def _format(unit: str) -> _Format:
    return _FORMATS.get(unit, _OTHER_DIFFERENCE if unit.startswith("difference of ") else _OTHER_FORMAT)


def _decimals(value: float) -> int:
    """Digits after the point that show four significant ones, of which a spread needs no more."""
    return 0 if value == 0 else max(0, 3 - math.floor(math.log10(value)))


def _number(value: float, form: _Format) -> str:
    return format(value * form.scale, form.number)
