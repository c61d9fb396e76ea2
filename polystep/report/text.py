"""Numbers as readers see them, and text from outside made harmless for every format that it enters."""

import hashlib
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

MISSING = "—"
ENOUGH_SEEDS = 5
"""Below this many seeds a mean is shown with its number of seeds."""
LONGEST = 100
"""Characters of a text from outside that readers see; its file or record has the rest."""

_LARGEST = 1e300
"""What is larger, by damage, is shown as this."""


class Unit(NamedTuple):
    """How numbers of a unit are shown: multiplied by `scale`, with `form`, followed by `symbol`.

    form: None for as many decimals as four significant digits need. difference: the symbol of a difference.
    """

    scale: float
    form: str | None
    symbol: str = ""
    difference: str = ""


UNITS = {
    "fraction": Unit(100, ",.2f", " %", " points"),
    "seconds": Unit(1, None, " s", " s"),
    "bytes": Unit(1e-6, ",.0f", " MB"),
    "MB": Unit(1, ",.0f", " MB"),
    "count": Unit(1, ",.0f"),
    "ratio": Unit(1, ",.1f"),
    "difference": Unit(1, ".1e"),
}


class Spread(NamedTuple):
    """Mean over `n` seeds and sample standard deviation (None for one seed)."""

    mean: float
    std: float | None
    n: int


class Interval(NamedTuple):
    """A value with the ends of its interval; None for what is not known."""

    value: float | None = None
    low: float | None = None
    high: float | None = None


def unit_of(name: Any) -> Unit:
    """The unit of that name; numbers of any other are shown with four significant digits."""
    return UNITS.get(name, Unit(1, None)) if isinstance(name, str) else Unit(1, None)


def finite(value: Any) -> float | None:
    """`value` as a number, None where it is none or not finite."""
    known = isinstance(value, int | float) and not isinstance(value, bool)
    try:
        return float(value) if known and math.isfinite(value) else None
    except OverflowError:
        return None


def number_text(value: Any, unit: Any, sign: bool = False) -> str:
    """The number with the symbol of its unit; a dash where there is none."""
    return interval_text(value, None, None, unit, sign)


def spread_text(spread: Spread | None, unit: Any) -> str:
    """Mean ± standard deviation, and n where it is below five."""
    if spread is None or finite(spread.mean) is None:
        return MISSING
    known = [number for number in (finite(spread.mean), finite(spread.std)) if number is not None]
    texts, symbol = _digits(known, unit)
    if spread.std and not texts[-1].strip("0."):
        # seeds differ, though by less than is shown
        texts[-1] = f"<{texts[-1][:-1]}1"
    return " ± ".join(texts) + symbol + (f" (n={spread.n})" if spread.n < ENOUGH_SEEDS else "")


def interval_text(value: Any, low: Any, high: Any, unit: Any, sign: bool = False) -> str:
    """Value (low to high), or as much of it as there is; with `sign` as a difference."""
    numbers = [finite(value), finite(low), finite(high)]
    if all(number is None for number in numbers):
        return MISSING
    texts, symbol = _digits([number or 0.0 for number in numbers], unit, sign)
    shown, lowest, highest = (None if n is None else text for n, text in zip(numbers, texts, strict=True))
    ends = [f"from {lowest}" if highest is None else lowest] if lowest else []
    ends += [f"to {highest}"] if highest else []
    return " ".join(([shown] if shown else []) + ([f"({' '.join(ends)})"] if ends else [])) + symbol


def _digits(values: Sequence[float], unit: Any, sign: bool = False) -> tuple[list[str], str]:
    """The numbers with as many decimals as the largest needs, and the symbol that follows them."""
    form = unit_of(unit)
    scaled = [max(-_LARGEST, min(value * form.scale, _LARGEST)) for value in values]
    largest = max(map(abs, scaled))
    decimals = max(0, 3 - math.floor(math.log10(largest))) if largest > 1e-9 else 0
    if all(round(value, decimals).is_integer() for value in scaled):
        decimals = 0
    shown = ".3e" if largest >= 1e15 else form.form or f",.{decimals}f"
    return [format(value, ("+" if sign else "") + shown) for value in scaled], form.difference if sign else form.symbol


def told(sentences: Mapping[str, bool]) -> str:
    """Those of the sentences that are true."""
    return " ".join(sentence for sentence, is_so in sentences.items() if is_so)


def short_number(value: float) -> str:
    """A number for an axis: 12k, 3M, 2e-3."""
    for size, suffix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.4g}{suffix}"
    if 0 < abs(value) < 0.01:
        digits, power = f"{value:.3e}".split("e")
        return f"{float(digits):g}e{int(power)}"
    return f"{value:.4g}"


def plain(value: Any, longest: int = LONGEST) -> str:
    """Text from outside on one line, in characters that every encoding can take, cut where it is too long."""
    text = str(value).encode("utf-8", "replace").decode("utf-8")
    text = "".join(character if character.isprintable() else " " for character in text)
    text = " ".join(text.split())
    if len(text) <= longest:
        return text
    start = text[: longest - 1]
    # at a word's end, if it has words
    return f"{start.rpartition(' ')[0] or start}…"


def for_markdown(value: Any) -> str:
    """`plain` text with every character that Markdown would interpret escaped; underscores within words stay."""
    return re.sub(r"([\\`*<>\[\]|$~]|(?<!\w)_|_(?!\w))", r"\\\1", plain(value, 10 * LONGEST))


def for_figure(value: Any) -> str:
    """`plain` text in which matplotlib finds no formula."""
    return plain(value).replace("$", r"\$")


def file_stem(*parts: Any) -> str:
    """A file name without suffix that tells `parts`, in letters that every file system takes and of bounded length."""
    exact = "_".join(map(str, parts))
    stem = re.sub(r"[^A-Za-z0-9.-]+", "_", exact)
    # commas and spaces are of our own making and never tell two names apart
    if len(stem) <= LONGEST and re.fullmatch(r"[A-Za-z0-9_., -]+", exact):
        return stem
    return f"{stem[:LONGEST]}_{hashlib.sha256(exact.encode('utf-8', 'replace')).hexdigest()[:6]}"
