"""Decision trees beside CART of the same depth:  python -m scripts.trees [records...]

Your runs of task=tree, a row per set: test accuracy at the checkpoint that validation chose, mean over seeds with its 95 %
interval. CART learns from the training rows of the same seeds. For example, after
    python -m scripts.sweep task=tree task.dataset=wine,iris optimizer=polystep,adam_smooth seed=1,2,3
"""

import sys
from collections.abc import Sequence
from typing import Any

import pandas

from polystep.bench.composition import compose_config
from polystep.bench.launch import build_component
from polystep.contracts import ExpectedError
from polystep.report.rows import SHARES, cut, interval_of
from polystep.report.table import Table, interval_column, number_column, text_column
from polystep.report.text import Interval
from scripts.console import CONFIGS, guarded
from scripts.tables import one_per_seed, print_table, results_of, table_parser
from tasks.networks.cart import fit_cart
from tasks.networks.decision_tree import DecisionTree

CART = "CART"
_SETS = ("task.dataset", "task.network.depth", "task.validation_size")


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; exit status 0 when a table was printed, 2 after an explained failure."""
    options = table_parser("scripts.trees", "Show decision trees beside CART.").parse_args(arguments)
    return print_table(options, tree_table)


def tree_table(runs: Any) -> Table:
    """A row per set, a column per method and number of candidates; ExpectedError where there are no finished runs of trees."""
    trees = results_of(runs, "task.network.component", "decision_tree", _SETS)
    if not len(trees):
        raise ExpectedError("there are no finished runs of task=tree; make some with python -m scripts.sweep task=tree")
    rows, methods = [], set()
    for (name, depth, share), of_set in trees.groupby([*_SETS]):
        seeds = sorted(set(of_set["seed"]))
        row: dict[str, Any] = {"set": name, "depth": depth, "validation": share, "unit": "fraction"}
        of_cart = [cart_accuracy(name, int(depth), share, int(seed)) for seed in seeds]
        row[CART] = cut(interval_of(of_cart), SHARES)
        counts = {len(seeds)}
        for (method, cell), group in one_per_seed(of_set).groupby(["optimizer", "cell_id"]):
            limit = group.get("budget.candidate_evaluations", pandas.Series([None])).iloc[0]
            title = method if pandas.isna(limit) else f"{method}, {limit:,.0f} candidates"
            # other settings of the same method
            title = f"{title} ({cell[:6]})" if title in row else title
            row[title] = cut(interval_of(list(group["test_selected"])), SHARES)
            methods.add(title)
            counts.add(len(group))
        row["seeds"] = " to ".join(str(count) for count in sorted({min(counts), max(counts)}))
        rows.append(row)
    columns = (
        text_column("set", "Set"),
        number_column("depth", "Depth"),
        # where sets alone do not tell rows apart
        *([number_column("validation", "Validation size")] if len({row["validation"] for row in rows}) > 1 else []),
        text_column("seeds", "Seeds"),
        *(interval_column(title, title) for title in (CART, *sorted(methods))),
    )
    note = "Test accuracy at the checkpoint that validation chose, mean over seeds with its 95 % interval."
    return Table(
        "trees", "Decision trees", columns, [{**dict.fromkeys(methods, Interval()), **row} for row in rows], (note,)
    )


def cart_accuracy(name: str, depth: int, validation_size: float, seed: int) -> float:
    """Test accuracy of CART on the training part that a run of this seed has."""
    settings = {
        "task": "tree",
        "task.dataset": name,
        "task.network.depth": depth,
        "task.validation_size": f"{validation_size:g}",
        "seed": seed,
    }
    composed, _ = compose_config(CONFIGS, [f"{key}={value}" for key, value in settings.items()])
    task = build_component(composed.task, "task")
    batch = task.next_objective()
    classes = next(entry.shape[1] for entry in task.layout.entries if entry.name == "leaves")
    tree = DecisionTree(batch.inputs.shape[1], classes, depth)
    fit_cart(tree, batch.inputs, batch.targets, seed)
    return float(task.test(task.layout.point_of(tree)))


if __name__ == "__main__":
    sys.exit(guarded(main))
