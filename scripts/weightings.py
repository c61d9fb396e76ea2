"""Weighting rules of PolyStep side by side:  python -m scripts.weightings [records...]

Your runs of profile=weighting and profile=weighting_further, a row per rule: test accuracy at the checkpoint that validation
chose, and how far the softmax is ahead, seed by seed. Make the runs first:  python -m scripts.sweep profile=weighting
"""

import sys
from collections.abc import Sequence
from typing import Any

import numpy
from numpy.typing import NDArray
from scipy.stats import permutation_test

from polystep.bench.composition import Composer
from polystep.bench.launch import altered_overrides
from polystep.bench.profiles import read_profile
from polystep.contracts import ExpectedError
from polystep.report.claims.intervals import interval
from polystep.report.one_run import budget_fault
from polystep.report.published import published
from polystep.report.table import Table, interval_column, number_column, spread_column, text_column
from polystep.report.text import Interval
from scripts.console import CONFIGS, guarded
from scripts.tables import one_per_seed, print_table, table_parser

STUDY, REFERENCE = "weighting", "softmax"
RULE = "optimizer.weighting.component"
NAMES = {"linear_weighting": "linear", "cheapest": "top_k"}
"""What a rule's yaml file is called, where its component has another name."""
STAGES = {"weighting": "revised edition", "weighting_further": "one stage further"}
"""Profiles that have the runs, and whose choice their settings are."""
EXACT = 2**14
"""Sign patterns up to which the test counts all of them."""


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; exit status 0 when a table was printed, 2 after an explained failure."""
    options = table_parser("scripts.weightings", "Show weighting rules side by side.").parse_args(arguments)
    return print_table(options, weighting_table)


def weighting_table(runs: Any) -> Table:
    """A row per stage and rule, the best first; other settings are left out. ExpectedError where there is no complete run."""
    own = runs[(runs["status"] == "finished") & (runs["study"] == STUDY)]
    own = own.loc[[not budget_fault(run) for run in own.to_dict("records")]]
    rows = [row for profile in STAGES if len(own) for row in _rows(profile, own)]
    if not rows:
        raise ExpectedError(
            f"there are no complete runs of study={STUDY} with the settings of its profiles; make some with "
            f"python -m scripts.sweep profile={STUDY}"
        )
    columns = (
        text_column("stage", "Settings chosen by"),
        text_column("rule", "Rule"),
        number_column("probe_radius", "Probe radius", ""),
        number_column("step_radius", "Step radius", ""),
        number_column("temperature", "Temperature", ""),
        number_column("seeds", "Seeds"),
        interval_column("test", "Test"),
        spread_column("published", "Published, revised edition"),
        interval_column("ahead", "Softmax ahead", sign=True),
        number_column("p", "p", ""),
        number_column("holm", "p, corrected", ""),
    )
    notes = (
        "Mean over seeds with its 95 % interval. Ahead: difference to the softmax of the same stage on the same seeds. p: "
        "two-sided sign-flip test of the mean difference, exact up to 14 seeds; with three it cannot be below 0.25. Corrected "
        "for the number of rules as Holm (1979) does.",
    )
    return Table("weightings", "Weighting rules", columns, rows, notes)


def _rows(profile: str, runs: Any) -> list[dict[str, Any]]:
    """Rows of the settings that a profile has."""
    composer = Composer(CONFIGS)
    # seeds alter nothing, so each setting is composed once
    settings = {
        tuple(item for item in run.overrides if not item.startswith("seed=")) for run in read_profile(CONFIGS, profile)
    }
    planned = {frozenset(altered_overrides(composer, overrides)) for overrides in settings}
    chosen = runs.loc[[frozenset(altered) in planned for altered in runs["altered"]]]
    groups = [group for _, group in one_per_seed(chosen).groupby("cell_id")]
    softmax = next((group for group in groups if rule_of(group) == REFERENCE), runs[:0])
    rows = sorted((_row(profile, group, softmax) for group in groups), key=lambda row: -row["test"].value)
    tested = [row for row in rows if row["p"] is not None]
    for row, corrected in zip(tested, holm([row["p"] for row in tested]), strict=True):
        row["holm"] = corrected
    return rows


def rule_of(group: Any) -> str:
    """The rule that runs of one setting have."""
    name = str(group[RULE].iloc[0])
    if name == "cheapest" and group["optimizer.weighting.count"].iloc[0] == 1:
        return "greedy"
    return NAMES.get(name, name)


def _row(profile: str, group: Any, softmax: Any) -> dict[str, Any]:
    rule, scores = rule_of(group), group.set_index("seed")["test_selected"]
    reported = published("revised", "snn_weighting", f"polystep_{rule}", "test_selected", "controlled")
    row: dict[str, Any] = {
        "stage": STAGES[profile],
        "rule": rule,
        **{name: group[f"optimizer.{name}"].iloc[0] for name in ("probe_radius", "step_radius", "temperature")},
        "seeds": len(scores),
        "test": _interval(scores, feasible=(0, 1)),
        "published": reported.spread if reported and profile == STUDY else None,
        "ahead": Interval(),
        "p": None,
        "holm": None,
        "unit": "fraction",
    }
    both = softmax.set_index("seed")["test_selected"].sub(scores).dropna()
    if len(both) > 1 and rule != REFERENCE:
        row |= {"ahead": _interval(both), "p": sign_flip(both.to_numpy())}
    return row


def _interval(scores: Any, **limits: Any) -> Interval:
    low, high = (float(end) for end in interval(scores.to_numpy(), **limits))
    return Interval(float(scores.mean()), low, high)


def sign_flip(differences: NDArray[numpy.float64]) -> float:
    """Two-sided p-value of the mean of paired differences (n,) among those with all signs; drawn where they are too many."""
    found = permutation_test(
        (differences,),
        numpy.mean,
        permutation_type="samples",
        n_resamples=EXACT,
        random_state=numpy.random.default_rng(0),
    )
    return float(found.pvalue)


def holm(values: Sequence[float]) -> list[float]:
    """p-values of all rows, corrected for their number. Source: Holm, A Simple Sequentially Rejective Procedure (1979)."""
    corrected, largest = [0.0] * len(values), 0.0
    for rank, place in enumerate(sorted(range(len(values)), key=lambda place: values[place])):
        largest = max(largest, min(1.0, (len(values) - rank) * values[place]))
        corrected[place] = largest
    return corrected


if __name__ == "__main__":
    sys.exit(guarded(main))
