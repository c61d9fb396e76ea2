"""MAX-SAT as a task: one instance, every step sees all of its clauses."""

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from polystep.component import component
from polystep.contracts import Metric, State, TaskInfo
from polystep.layout import ParameterLayout
from polystep.random import named_generator
from polystep.validation import at_least, one_of
from tasks.maxsat.cache import kept_instance
from tasks.maxsat.clauses import Clauses
from tasks.maxsat.dimacs import read_dimacs
from tasks.maxsat.evaluation import ClauseEvaluator, FusedClauseEvaluator
from tasks.maxsat.formula import GREATEST_TOTAL_WEIGHT, Formula
from tasks.maxsat.instances import paper_instance, planted_instance, random_instance
from tasks.maxsat.objective import MaxSatObjective
from tasks.maxsat.torch_evaluation import TorchClauseEvaluator

GENERATORS: dict[str, Callable[..., Formula]] = {
    "paper": paper_instance,
    "random": random_instance,
    "planted": planted_instance,
}
KEPT_FROM = 100_000
"""Variables from which on a generated instance is kept in the data folder; smaller ones are generated as fast as read."""
LONGEST_NAME = 40
"""Letters that are shown of a file's name."""
START_DEVIATION = 0.1
PUBLISHED_RATIO, PUBLISHED_SEED = 4.27, 42


@component(
    "maxsat", version=1, inert=("data_dir", "device"), variant=("instance", "variables", "ratio", "instance_seed")
)
class MaxSatTask:
    """Find the assignment that satisfies most clauses of one instance.

    x_v is true where theta_v > 0, and theta starts from N(0, 0.1^2). There is nothing to generalise to: `validate` and
    `test` both give the satisfied share of the instance. It is the weight of the satisfied soft clauses over that of all,
    or, where hard clauses are broken, minus the share of the hard clauses that are. Source: EDITIONS.md, MAX-SAT.
    """

    metric = Metric("satisfied", "maximize", "fraction", best=1.0)
    steps_per_epoch = 1

    def __init__(
        self,
        instance: str,
        data_dir: str,
        seed: int,
        variables: int = 1000,
        ratio: float = PUBLISHED_RATIO,
        instance_seed: int = PUBLISHED_SEED,
        cost: Literal["count", "fraction"] = "count",
        hard_weight: int | None = None,
        evaluation: Literal["fused", "torch"] = "fused",
        device: str = "cpu",
    ):
        """`instance`: "paper", "random" or "planted" for an instance of `variables`, `ratio` and `instance_seed`, or the path
        of a DIMACS file. `seed` decides nothing here, the task is deterministic. `cost`: unsatisfied weight in mean soft
        clauses (their number, where nothing is weighted) or as a fraction of the soft weight. `hard_weight`: what a broken
        hard clause costs, in the unit of the weights; None: more than all soft clauses. `evaluation`: the path that computes
        losses; both agree, "fused" runs on the CPU only and falls back to "torch" elsewhere.
        """
        one_of(("count", "fraction"), **{"task.cost": cost})
        if hard_weight is not None:
            at_least(1, **{"task.hard_weight": hard_weight})
        one_of(("fused", "torch"), **{"task.evaluation": evaluation})
        self.formula = _load(instance, Path(data_dir), variables, ratio, instance_seed)
        self.layout = ParameterLayout({"assignment": (self.formula.variables,)})
        self.info = _info(self.formula, instance, ratio, instance_seed)
        self._device = torch.device(device)
        scale = 1 / max(1, self.formula.soft_weight)
        if cost == "count":
            scale *= max(1, self.formula.soft_clauses)
        weights = _costs(self.formula, hard_weight)
        self._clauses = Clauses.of_formula(self.formula, weights, scale)
        self._evaluator: ClauseEvaluator
        if evaluation == "fused" and self._device.type == "cpu":
            self._evaluator = FusedClauseEvaluator(self._clauses)
        else:
            self._evaluator = TorchClauseEvaluator(self._clauses, self._device)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the instance."""
        return self.formula.fingerprint

    def initial_point(self, seed: int) -> Tensor:
        """0.1 N(0, I), shape (n,), drawn for `seed`."""
        generator = named_generator(seed, "initial point", device=self._device)
        return START_DEVIATION * torch.randn(self.layout.size, generator=generator, device=self._device)

    def next_objective(self) -> MaxSatObjective:
        """All clauses, as at every step."""
        return MaxSatObjective(self._clauses, self._evaluator)

    def validate(self, point: Tensor) -> float:
        """The satisfied share, as explained above."""
        return self.formula.score(self._evaluator.unsatisfied(point))

    def test(self, point: Tensor) -> float:
        """The same as `validate`: there is one instance and nothing to generalise to."""
        return self.validate(point)

    def state_dict(self) -> State:
        """There is no stream of data."""
        return {}

    def load_state_dict(self, state: State) -> None:
        """There is no stream of data."""


def _load(instance: str, data_dir: Path, variables: int, ratio: float, seed: int) -> Formula:
    if instance not in GENERATORS:
        path = Path(instance)
        if not path.is_file():
            raise ValueError(
                f"task.instance={instance} is neither a file nor one of {', '.join(GENERATORS)}; correct the path or the name"
            )
        return read_dimacs(path)
    build = partial(GENERATORS[instance], variables, ratio, seed)
    if variables < KEPT_FROM:
        return build()
    recipe: dict[str, Any] = {"instance": instance, "variables": variables, "ratio": ratio, "seed": seed}
    return kept_instance(data_dir / "maxsat", recipe, build)


def _info(formula: Formula, instance: str, ratio: float, seed: int) -> TaskInfo:
    """Generated instances go by what differs from the published one of their size, files by their name and their content."""
    size = f"{formula.variables:,} variables"
    cost = {"clause_checks": formula.clauses}
    if instance not in GENERATORS:
        shown = f"{_shown(Path(instance).name)}_{formula.fingerprint[:6]}"
        return TaskInfo(
            f"maxsat_{shown}", f"MAX-SAT {shown}, {size}", "maxsat", formula.variables, f"file {shown}", cost
        )
    parts = [instance] if instance != "paper" else []
    parts += [f"ratio{ratio:g}"] if ratio != PUBLISHED_RATIO else []
    parts += [f"seed{seed}"] if seed != PUBLISHED_SEED else []
    name = "_".join([f"maxsat_{formula.variables}v", *parts])
    title = ", ".join([f"MAX-SAT, {size}", *parts])
    return TaskInfo(name, title, "maxsat", formula.variables, " ".join(parts), cost)


def _shown(file: str) -> str:
    """A file's name without its endings, in letters that every font and file system has, and not too many of them."""
    stem = re.sub(r"\.w?cnf(\.\w+)?$", "", file, flags=re.IGNORECASE)
    return re.sub(r"[^A-Za-z0-9.+-]+", "_", stem).strip("_")[:LONGEST_NAME] or "file"


def _costs(formula: Formula, hard_weight: int | None) -> NDArray[np.int64] | None:
    """What each clause costs when it is unsatisfied; None: 1 each."""
    if formula.hard is None:
        return formula.weights
    hard_weight = hard_weight or formula.soft_weight + 1
    if formula.soft_weight + hard_weight * (formula.clauses - formula.soft_clauses) > GREATEST_TOTAL_WEIGHT:
        raise ValueError(
            f"with hard clauses at {hard_weight} each, the weights add up to more than 2^62; set a smaller task.hard_weight"
        )
    soft = 1 if formula.weights is None else formula.weights
    return np.where(formula.hard, hard_weight, soft).astype(np.int64)
