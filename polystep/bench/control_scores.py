"""Control: returns of float, int8 and binary policies, and what they cost, beside what is published."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from polystep.bench.comparison import INTERVAL, estimate
from polystep.bench.costs import median_cost
from polystep.bench.groups import Group, best_first
from polystep.bench.published import published_score
from polystep.bench.quantities import CensoredMedian, Quantity
from polystep.bench.rendering import Cell, Column, Table
from polystep.bench.statistics import interquartile_mean
from polystep.bench.tables import MEASURED, PUBLISHED, SPREAD

if TYPE_CHECKING:
    from pandas import DataFrame

ENVIRONMENT_STEPS = "environment_steps"
SOLVED = {"cartpole": 475.0, "acrobot": -100.0}
"""Return from which an environment counts as solved: Gymnasium's threshold."""
ACTIVATIONS = ("float", "int8", "binary")
_TASK = re.compile(rf"({'|'.join(SOLVED)})(?:_(int8|binary))?")
_PUBLISHED_METHODS = {"polystep": "polystep", "openai_es": "es", "ppo": "ppo", "dqn": "dqn"}


@dataclass(frozen=True)
class Entry:
    """One group of runs, and what its task stands for."""

    environment: str
    activation: str
    group: Group

    def published(self, metric: str) -> Quantity | None:
        """A published metric of the same method, environment and activation; None where there is none."""
        return published_return(self.environment, self.activation, self.group.optimizer, metric)

    def until_solved(self, histories: Mapping[str, "DataFrame"]) -> CensoredMedian | None:
        """Environment steps until the first validation that counts as solved, median over seeds; None where unknown."""
        runs = [run for run in self.group.runs if ENVIRONMENT_STEPS in histories.get(run.name, ())]
        return median_cost(runs, histories, ENVIRONMENT_STEPS, "count", SOLVED[self.environment]) if runs else None


def control_entries(groups: Sequence[Group]) -> list[Entry]:
    """The groups on environments that something is published for; by environment, then activation, best last score first."""
    entries = [
        Entry(named[1], named[2] or "float", group)
        for group in groups
        if (named := _TASK.fullmatch(group.task)) is not None
    ]
    order = (
        {id(group): place for place, group in enumerate(best_first([entry.group for entry in entries]))}
        if entries
        else {}
    )
    return sorted(
        entries, key=lambda entry: (entry.environment, ACTIVATIONS.index(entry.activation), order[id(entry.group)])
    )


def published_return(environment: str, activation: str, optimizer: str, metric: str) -> Quantity | None:
    """A published metric, such as final_return; None where there is none."""
    suffix = "" if activation == "float" else f"_nondiff_{activation}"
    method = _PUBLISHED_METHODS.get(optimizer)
    score = published_score(environment, f"{method}{suffix}", metric) if method else None
    return score and Quantity(score.mean, score.std, score.n_seeds, "")


def control_table(entries: Sequence[Entry], histories: Mapping[str, "DataFrame"]) -> Table:
    """One row per entry."""
    rows = [_row(entry, histories) for entry in entries]
    columns = (
        Column("environment", "Environment"),
        Column("activation", "Policy"),
        Column("method", "Method"),
        Column("study", "Study"),
        Column("protocol", "Protocol"),
        Column("seeds", "Seeds"),
        Column("test_selected", "Test, validation-selected", MEASURED),
        Column("test_last", "Test, last", MEASURED),
        Column("iqm_last", "IQM of the last (interval)", ("value", *INTERVAL)),
        Column("published_last", "Published, last", PUBLISHED),
        Column("published_best", "Published, best of run", PUBLISHED),
        Column("until_solved", "Environment steps until solved, median", ("median", "exact", "by_seed", "unreached")),
        Column("environment_steps", "in total", ("mean", "by_seed")),
        Column("published_environment_steps", "in total, published", ("mean",)),
        Column("step_seconds", "Step seconds", MEASURED),
    )
    notes = (
        *SPREAD,
        "Returns: means over fresh episodes that neither training nor selection has seen. Published, of 3 seeds: the last over "
        "48 to 96 episodes; the best of run over the episodes that it was the best on, hence optimistic.",
        "IQM: interquartile mean; interval: 95 %, bootstrap over seeds. Solved: the first validation of at least "
        + ", ".join(f"{value:g} ({name})" for name, value in SOLVED.items())
        + "; > marks a lower bound. Steps of validation and test are not counted; published totals of PolyStep and OpenAI-ES "
        "count every episode at its greatest length.",
        "Published int8 and binary PPO and DQN had quantised heads through which no gradient flows: quantised_heads=true here.",
    )
    return Table("control", "Control: float, int8 and binary policies", columns, rows, notes)


def _row(entry: Entry, histories: Mapping[str, "DataFrame"]) -> dict[str, Cell]:
    group, last = entry.group, entry.group.last
    purpose = (group.task, group.protocol, group.study, group.method, "last")
    total = entry.published("rl_env_steps")
    return {
        "environment": entry.environment,
        "activation": entry.activation,
        "method": group.method,
        "study": group.study,
        "protocol": group.protocol,
        "seeds": len(group.runs),
        "test_selected": group.selected,
        "test_last": last,
        "iqm_last": last and estimate([[value for _, value in last.by_seed]], interquartile_mean, last.unit, purpose),
        "published_last": entry.published("final_return"),
        "published_best": entry.published("best_return"),
        "until_solved": entry.until_solved(histories),
        "environment_steps": group.over_seeds("count", "ledger", "spent", ENVIRONMENT_STEPS),
        "published_environment_steps": total and Quantity(total.mean, None, total.n, "count"),
        "step_seconds": group.step_seconds(),
    }
