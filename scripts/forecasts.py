"""Forecasts beside persistence, which repeats the last number:  python -m scripts.forecasts [records...]

Your runs of task=etth1, a row per method and study: mean squared errors at the checkpoint that validation chose, mean over
seeds with its 95 % interval. What has learnt nothing about a series still has persistence. For example, after
    python -m scripts.sweep task=etth1 optimizer=polystep,adam seed=1,2,3
"""

import sys
from collections.abc import Sequence
from typing import Any

from polystep.bench.composition import compose_config
from polystep.bench.launch import build_component
from polystep.contracts import ExpectedError
from polystep.report.rows import interval_of
from polystep.report.table import Table, interval_column, number_column, text_column
from scripts.console import CONFIGS, guarded
from scripts.tables import one_per_seed, print_table, results_of, table_parser

COLUMNS = (
    text_column("series", "Series"),
    text_column("method", "Method"),
    text_column("study", "Study"),
    number_column("candidates", "Candidates"),
    number_column("seeds", "Seeds"),
    interval_column("validation", "Validation error"),
    interval_column("test", "Test error"),
)
_WINDOWS = ("task.series", "task.history", "task.horizon")


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; exit status 0 when a table was printed, 2 after an explained failure."""
    parser = table_parser("scripts.forecasts", "Show forecasts beside persistence.")
    parser.add_argument("--data-dir", default="data", help="where the series are; default: data")
    options = parser.parse_args(arguments)
    return print_table(options, lambda runs: forecast_table(runs, options.data_dir))


def forecast_table(runs: Any, data_dir: str) -> Table:
    """The table; ExpectedError where there are no finished runs of forecasts, or their series cannot be had."""
    forecasts = results_of(runs, "task.component", "forecasting", _WINDOWS)
    if not len(forecasts):
        raise ExpectedError(
            "there are no finished runs of task=etth1; make some with python -m scripts.sweep task=etth1"
        )
    rows = []
    for windows, of_windows in one_per_seed(forecasts).groupby([*_WINDOWS]):
        shown: set[tuple[str, str]] = set()
        for (method, study, cell), group in of_windows.groupby(["optimizer", "study", "cell_id"]):
            candidates = group["candidate_evaluations"].median() or None
            # other settings of the same method
            title = f"{method} ({cell[:6]})" if (method, study) in shown else method
            shown.add((method, study))
            names = {"method": title, "study": study, "candidates": candidates, "seeds": len(group)}
            rows.append(_row(windows[0], names, group["validation_selected"], group["test_selected"]))
        floor = persistence(dict(zip(_WINDOWS, windows, strict=True)), data_dir)
        rows.append(_row(windows[0], {"method": "persistence"}, *([error] for error in floor)))
    return Table("forecasts", "Forecasts", COLUMNS, rows)


def persistence(windows: dict[str, Any], data_dir: str) -> tuple[float, float]:
    """Validation and test error of repeating the last number, over the windows that these settings describe."""
    # beside runs of other tasks, a column of whole numbers is one of fractions
    settings = [f"{name}={value if isinstance(value, str) else int(value)}" for name, value in windows.items()]
    composed, _ = compose_config(CONFIGS, ["task=etth1", f"data_dir={data_dir}", *settings])
    floor: tuple[float, float] = build_component(composed.task, "task").persistence()
    return floor


def _row(series: str, names: dict[str, Any], validation: Sequence[float], test: Sequence[float]) -> dict[str, Any]:
    errors = {"validation": interval_of(list(validation)), "test": interval_of(list(test))}
    return {"series": series, **names, "unit": "mse", **errors}


if __name__ == "__main__":
    sys.exit(guarded(main))
