"""Is the softmax of published and of our settings a finite difference or a selection: its rows along a training."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from polystep.report.table import Table, number_column, text_column
from polystep.weighting import Memoryless, Softmax
from scripts.theory.study import Found, Section
from scripts.theory.trajectories import build_polystep, settings_of, training_points


class Observed(Memoryless):
    """The softmax, which remembers the costs and the temperature that it was asked about last."""

    def __init__(self) -> None:
        self._softmax = Softmax()
        self.costs, self.temperature = torch.empty(0, 0), 0.0

    def weights(self, costs: Tensor, temperature: float) -> Tensor:
        """Row weights (P, V)."""
        self.costs, self.temperature = costs, temperature
        return self._softmax.weights(costs, temperature)


@dataclass(frozen=True)
class Saturation:
    """At points along one training per network, one step of every study from there, with the settings of its first and of its
    last step. A row of weights is saturated if one of its V weights is above 2/V.
    """

    tasks: Sequence[str]
    studies: Sequence[str]
    steps: Sequence[int]
    data_dir: str
    seed: int

    def run(self) -> Found:
        """One row per network, study, point and phase."""
        return {"saturation": [row for task in self.tasks for row in self._rows(task)]}

    def _rows(self, name: str) -> list[dict[str, Any]]:
        task, points = training_points(name, self.steps, self.seed, self.data_dir)
        objective = task.next_objective()
        rows = []
        for study in self.studies:
            settings = settings_of(study, name, self.seed, self.data_dir)
            last = settings["budget"]["steps"] - 1
            for trained in points:
                for phase, step, used in (("first step", 0, 0.0), ("last step", last, 1.0)):
                    observed = Observed()
                    optimizer = build_polystep(settings, task, trained.point, weighting=observed)
                    state = optimizer.state_dict()
                    state["counters"]["step"] = step
                    optimizer.load_state_dict(state)
                    optimizer.step(objective, used)
                    rows.append(
                        {
                            "task": name,
                            "study": study,
                            "point": trained.step,
                            "accuracy": trained.accuracy,
                            "settings": phase,
                        }
                        | row_statistics(observed.costs, observed.temperature)
                    )
        return rows

    def section(self, found: Found) -> Section:
        """The table, and which of three regimes each setting is in."""
        rows = [row | {"regime": regime(row)} for row in found["saturation"]]
        counts = {
            study: ", ".join(
                f"{sum(row['regime'] == kind and row['study'] == study for row in rows)} {kind}" for kind in REGIMES
            )
            for study in self.studies
        }
        table = Table(
            "theory_saturation",
            "Rows of the softmax at points along a training",
            (
                text_column("task", "Network"),
                text_column("study", "Settings of study"),
                number_column("point", "Trained steps"),
                number_column("accuracy", "Validation accuracy", "fraction"),
                text_column("settings", "as in its"),
                number_column("median_range", "Median cost range / ε", ""),
                number_column("high_range", "90 % quantile", ""),
                number_column("wide", "Rows with a range above ε", "fraction"),
                number_column("flat", "without any range", "fraction"),
                number_column("saturated", "Saturated rows", "fraction"),
                number_column("effective", "Effective share of vertices", "fraction"),
                text_column("regime", "The softmax is a"),
            ),
            rows,
        )
        told = "; ".join(f"study {study}: {text}" for study, text in counts.items())
        return Section(
            "Saturation along training",
            "Where is the softmax a finite difference, and where a selection of the cheapest vertices?",
            (table,),
            (),
            (
                f"{told}. A finite difference: the range of a row of costs is below half a temperature in nine rows "
                "of ten, so weights are linear in costs to a few per cent. A selection: it is above two "
                "temperatures in half of the rows. In between, neither.",
                "The points are those of a training with our default settings, not of published runs, which take "
                "hours. One batch, one rotation per particle; rows number in the hundreds or thousands, so shares "
                "are known to a point or two.",
            ),
        )


REGIMES = ("finite difference", "mixture", "selection")


def row_statistics(costs: Tensor, temperature: float) -> dict[str, float]:
    """Of costs (P, V): ranges over the temperature, shares of rows, and mean 1/(V sum_v W_v^2)."""
    weights = Softmax().weights(costs.double(), temperature)
    vertices = costs.shape[1]
    ranges = (costs.amax(1) - costs.amin(1)).double() / temperature
    median, high = torch.quantile(ranges, torch.tensor([0.5, 0.9], dtype=torch.float64)).tolist()
    return {
        "rows": len(costs),
        "temperature": temperature,
        "median_range": median,
        "high_range": high,
        "wide": float((ranges > 1).double().mean()),
        "flat": float((ranges == 0).double().mean()),
        "saturated": float((weights.amax(1) > 2 / vertices).double().mean()),
        "effective": float((1 / (vertices * weights.square().sum(1))).mean()),
    }


def regime(row: dict[str, Any]) -> str:
    """Which of REGIMES the ranges of a row of the table mean."""
    if row["high_range"] < 0.5:
        return REGIMES[0]
    return REGIMES[2] if row["median_range"] > 2 else REGIMES[1]
