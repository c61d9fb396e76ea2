"""Weighting rules of PolyStep side by side:  python -m scripts.weightings [records...]

Your runs of study=weighting, a row per rule and settings: test accuracy at the checkpoint that validation chose, and how far
the softmax is ahead, seed by seed. Make the runs first:  python -m scripts.sweep profile=weighting
"""

import sys
from collections.abc import Sequence
from typing import Any

import numpy
from numpy.typing import NDArray
from scipy.stats import permutation_test

from polystep.contracts import ExpectedError
from polystep.report.claims.intervals import interval
from polystep.report.groups import spread_of
from polystep.report.one_run import budget_fault
from polystep.report.published import published
from polystep.report.rows import interval_of
from polystep.report.table import Table, interval_column, number_column, spread_column, text_column
from polystep.report.text import Interval
from scripts.console import guarded
from scripts.tables import print_table, table_parser

STUDY, REFERENCE = "weighting", "softmax"
RULE = "optimizer.weighting.component"
NAMES = {"linear_weighting": "linear", "cheapest": "top_k"}
"""What a rule's yaml file is called, where its component has another name."""
VARIED = (
    "optimizer/weighting=",
    "optimizer.weighting.",
    "optimizer.temperature=",
    "optimizer.step_radius=",
    "optimizer.probe_radius=",
)
"""What runs of the study may change; others are not compared."""
EXACT = 2**14
"""Sign patterns up to which the test counts all of them."""


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; exit status 0 when a table was printed, 2 after an explained failure."""
    options = table_parser("scripts.weightings", "Show weighting rules side by side.").parse_args(arguments)
    return print_table(options, weighting_table)


def weighting_table(runs: Any) -> Table:
    """A row per rule and settings, the best first. ExpectedError where there are no finished runs of the study."""
    own = runs[(runs["status"] == "finished") & (runs["study"] == STUDY)]
    own = own[
        [
            all(item.startswith(VARIED) for item in run["altered"]) and not budget_fault(run)
            for run in own.to_dict("records")
        ]
    ]
    if not len(own):
        raise ExpectedError(
            f"there are no complete runs of study={STUDY} with its task and budget; make some with "
            f"python -m scripts.sweep profile={STUDY}"
        )
    groups = [group.sort_values("ended").drop_duplicates("seed", keep="last") for _, group in own.groupby("cell_id")]
    # of several settings of the softmax those of the study
    softmax = max(
        (g for g in groups if rule_of(g) == REFERENCE),
        key=lambda g: (not g["altered"].iloc[0], len(g)),
        default=own[:0],
    )
    rows = sorted((_row(group, softmax) for group in groups), key=lambda row: -row["test"].value)
    tested = [row for row in rows if row["p"] is not None]
    for row, corrected in zip(tested, holm([row["p"] for row in tested]), strict=True):
        row["holm"] = corrected
    columns = (
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
        "Mean over seeds with its 95 % interval. Ahead: difference to the softmax on the same seeds. p: two-sided "
        "sign-flip test of the mean difference, exact up to 14 seeds; with three it cannot be below 0.25. Corrected for the "
        "number of rows as Holm (1979) does.",
    )
    return Table("weightings", "Weighting rules", columns, rows, notes)


def rule_of(group: Any) -> str:
    """The rule that runs of one setting have."""
    name = str(group[RULE].iloc[0])
    if name == "cheapest" and group["optimizer.weighting.count"].iloc[0] == 1:
        return "greedy"
    return NAMES.get(name, name)


def _row(group: Any, softmax: Any) -> dict[str, Any]:
    rule, scores = rule_of(group), group.set_index("seed")["test_selected"]
    reported = published("revised", "snn_weighting", f"polystep_{rule}", "test_selected", "controlled")
    row: dict[str, Any] = {
        "rule": rule,
        **{name: group[f"optimizer.{name}"].iloc[0] for name in ("probe_radius", "step_radius", "temperature")},
        "seeds": len(scores),
        "test": interval_of(spread_of(list(scores))),
        "published": reported.spread if reported else None,
        "ahead": Interval(),
        "p": None,
        "holm": None,
        "unit": "fraction",
    }
    both = softmax.set_index("seed")["test_selected"].sub(scores).dropna()
    if len(both) > 1 and group["cell_id"].iloc[0] != softmax["cell_id"].iloc[0]:
        low, high = (float(end) for end in interval(both.to_numpy()))
        row |= {"ahead": Interval(float(both.mean()), low, high), "p": sign_flip(both.to_numpy())}
    return row


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
