"""Two-stage grids that settings are chosen from, as many trials for every method.

A grid is a file grid/STUDY/TASK/OPTIMIZER.yaml: rising values by setting, nine combinations; `{times: [...]}` are multiples of
what trials have without it. STUDY, TASK and OPTIMIZER may be several, joined by "+". The second stage has nine combinations
again, around the best of the first: evenly (on a log scale) between its neighbours, or beyond the edge where the best sits at
one. The two stages share the best of the first and nothing else.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise, product
from pathlib import Path
from typing import Any

from polystep.bench.schema import ConfigError, read_yaml
from polystep.bench.studies import files_by_use

SIZE = 9
"""Combinations of a stage."""

Point = Mapping[str, float]
"""One value for each setting of a grid."""


@dataclass(frozen=True)
class Grid:
    """axes: rising positive values by setting, written as on a command line."""

    axes: Mapping[str, tuple[float, ...]]

    @property
    def points(self) -> list[Point]:
        """Every combination, the last setting fastest."""
        return [dict(zip(self.axes, values, strict=True)) for values in product(*self.axes.values())]

    def around(self, best: Point) -> "Grid":
        """The grid of the second stage."""
        return Grid({name: _around(values, best[name]) for name, values in self.axes.items()})


def grid_files(config_dir: Path) -> dict[tuple[str, ...], Path]:
    """The files of grids by study, task and optimiser; raises ConfigError where two serve the same."""
    return files_by_use([config_dir / "grid"], "STUDY/TASK/OPTIMIZER")


def read_grid(path: Path, value_of: Callable[[str], float]) -> Grid:
    """A grid's file; value_of: of a setting, in trials without the grid. Raises ConfigError where it has not nine combinations
    of rising positive values.
    """
    content = read_yaml(path, "a grid")
    if not isinstance(content, dict):
        raise ConfigError(f"{path} is not a grid: give lists of values by setting, optimizer.sigma: [0.01, 0.03, 0.1]")
    factors = {name: values["times"] for name, values in content.items() if _is_relative(values)}
    content |= factors
    for name, values in content.items():
        if not isinstance(values, list) or not all(type(value) in (int, float) for value in values):
            raise ConfigError(f"{path}: {name} must be a list of numbers, got {values!r}")
        if not values or min(values) <= 0 or any(first >= second for first, second in pairwise(values)):
            raise ConfigError(f"{path}: {name} must hold rising positive values, got {values!r}")
        if len(values) % 2 == 0 or len(values) == 1:
            raise ConfigError(
                f"{path}: {name} must hold three or nine values, so that one is in the middle, got {values!r}"
            )
    if math.prod(len(values) for values in content.values()) != SIZE:
        raise ConfigError(
            f"{path} must have {SIZE} combinations, as every grid: three by three values, or nine of one setting"
        )
    if wrong := [name for name in content if str(name).partition(".")[0] in ("task", "budget", "seed", "study")]:
        raise ConfigError(f"{path}: {wrong[0]} is what trials have in common; a grid varies settings of the optimizer")
    content |= {name: [_short(value_of(name) * factor) for factor in values] for name, values in factors.items()}
    for name, values in content.items():
        for best in values:
            if any(first >= second for first, second in pairwise(_around(values, best))):
                raise ConfigError(
                    f"{path}: around {name}={best} there are no {len(values)} different values for a second stage, whole ones "
                    f"or of four digits; give values that are further apart, whole ones also larger, got {values!r}"
                )
    return Grid({str(name): tuple(values) for name, values in content.items()})


def _is_relative(values: Any) -> bool:
    return isinstance(values, dict) and set(values) == {"times"}


def _around(values: Sequence[float], best: float) -> tuple[float, ...]:
    place, count = values.index(best), len(values)
    half = count // 2
    if place == 0:
        found = [best * (values[0] / values[1]) ** step for step in reversed(range(count))]
    elif place == count - 1:
        found = [best * (values[-1] / values[-2]) ** step for step in range(count)]
    else:
        below, above = values[place - 1] / best, values[place + 1] / best
        found = [best * (below if step < 0 else above) ** (abs(step) / (half + 1)) for step in range(-half, half + 1)]
    whole = all(isinstance(value, int) for value in values)
    return tuple(max(1, round(value)) if whole else _short(value) for value in found)


def _short(value: float) -> float:
    """Four digits are enough for a setting."""
    return float(f"{value:.4g}")
