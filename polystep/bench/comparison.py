"""Tables that compare the methods under one protocol: per task with paired tests, and over all tasks together."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from statistics import fmean

import numpy

from polystep.bench.groups import METHOD_OF_THE_PAPER, Group, best_first
from polystep.bench.quantities import ENOUGH_SEEDS, Difference, Estimate, Points, Quantity
from polystep.bench.rendering import Cell, Column, Table, file_stem
from polystep.bench.statistics import (
    Statistic,
    bootstrap_interval,
    holm,
    interquartile_mean,
    numpy_generator,
    paired_p_value,
)
from polystep.bench.tables import NAMES_WITHIN_PROTOCOL, PUBLISHED, SPREAD, name_cells, title_of

ENOUGH_PAIRS = 6
"""With fewer pairs no paired test can fall below 0.05."""

INTERVAL = ("low", "high")
_INTERVALS = (
    "Intervals: 95 %, bootstrap over seeds. IQM: interquartile mean, without the best and the worst quarter of the values "
    "(each rounded down); up to three values it is their mean."
)


def comparison_table(groups: Sequence[Group]) -> Table:
    """One row per group, best first within each task; `groups` share one protocol and are sorted by task.

    Scores are those of the test set at the validation-selected checkpoint.
    """
    protocol = groups[0].protocol
    rows = [row for _, members in groupby(groups, key=lambda group: group.task) for row in _task_rows(list(members))]
    columns = (
        *NAMES_WITHIN_PROTOCOL,
        Column("seeds", "Seeds"),
        Column("test_selected", "Test, validation-selected", ("mean", "std", "n")),
        Column("test_selected_points", "By seed", ("by_seed",)),
        Column("mean_interval", "Interval of the mean", INTERVAL),
        Column("iqm", "IQM (interval)", ("value", *INTERVAL)),
        Column("difference", "Difference", ("mean", "p_value", "p_holm", "n")),
        Column("reference", "Compared with"),
        *([Column("published_best_test", "Published, best test", PUBLISHED)] if protocol == "paper" else []),
    )
    notes = [
        *SPREAD,
        _INTERVALS,
        f"Difference: mean over the seeds that both have, to {METHOD_OF_THE_PAPER} (to the best method where it has not "
        "run; of several settings or methods the one with the best validation score). p: paired sign-flip test, two-sided, "
        "corrected by Holm's method for all differences on the task.",
        *_few_seeds(rows),
    ]
    if protocol == "paper":
        notes.append("Published: the highest of all evaluations on the test set during training, hence optimistic.")
    return Table(file_stem("comparison", protocol), title_of("Comparison", groups), columns, rows, tuple(notes))


def pooled_table(groups: Sequence[Group]) -> Table:
    """One row per method that has an accuracy on all tasks with accuracies; no rows below two such tasks.

    `groups` share one protocol. Intervals resample seeds within tasks.
    """
    protocol = groups[0].protocol
    accuracies = [group for group in groups if group.is_accuracy]
    tasks = sorted({group.task for group in accuracies})
    scores: dict[tuple[str, str], dict[str, Quantity]] = {}
    for group in accuracies:
        if group.selected:
            scores.setdefault((group.method, group.study), {})[group.task] = group.selected
    complete = {names: by_task for names, by_task in scores.items() if len(tasks) > 1 and len(by_task) == len(tasks)}
    rows = [_pooled_row(protocol, *names, by_task) for names, by_task in sorted(complete.items())]
    columns = (
        Column("method", "Method"),
        Column("study", "Study"),
        Column("protocol", ""),
        Column("tasks", "Tasks"),
        Column("runs", "Runs"),
        Column("mean", "Mean (interval)", ("value", *INTERVAL)),
        Column("iqm", "IQM (interval)", ("value", *INTERVAL)),
    )
    left_out = sorted(f"{method} (study {study})" for method, study in scores.keys() - complete.keys())
    notes = [
        f"Test accuracy, validation-selected, of all runs on the tasks {', '.join(tasks)}.",
        _INTERVALS + " Seeds are drawn within each task.",
    ]
    if left_out:
        notes.append(f"Without runs on all of these tasks, hence left out: {', '.join(left_out)}.")
    title = title_of("Accuracy over all tasks", groups)
    return Table(file_stem("pooled", protocol), title, columns, rows, tuple(notes))


def reference_group(groups: Sequence[Group]) -> Group | None:
    """What the methods on one task are compared with: the paper's method where it has run, else the best one.

    Of several candidates, the one with the best mean validation score: choosing by test scores would favour it.
    """
    known = [group for group in groups if group.selected and group.validation]
    candidates = [group for group in known if group.optimizer == METHOD_OF_THE_PAPER] or known
    sign = -1 if groups[0].direction == "maximize" else 1
    return min(candidates, key=lambda group: sign * group.validation.mean if group.validation else 0, default=None)


def _task_rows(groups: Sequence[Group]) -> list[dict[str, Cell]]:
    reference = reference_group(groups)
    differences = _differences([group for group in groups if group is not reference], reference)
    rows = []
    for group in best_first(groups):
        row = name_cells(group) | {"seeds": len(group.runs), "published_best_test": group.published_best}
        if score := group.selected:
            purpose = (group.task, group.protocol, group.study, group.method)
            row["test_selected"] = score
            row["test_selected_points"] = Points(score.by_seed, score.unit)
            values = [[value for _, value in score.by_seed]]
            # The mean stands in the column before.
            mean = estimate(values, numpy.mean, score.unit, purpose)
            row["mean_interval"] = None if mean.low is None else replace(mean, value=None)
            row["iqm"] = estimate(values, interquartile_mean, score.unit, purpose)
        if reference and group.method_and_study in differences:
            row |= {"difference": differences[group.method_and_study], "reference": reference.method}
        rows.append(row)
    return rows


def _differences(groups: Sequence[Group], reference: Group | None) -> dict[tuple[str, str], Difference]:
    """Differences to the reference, corrected as one family, by method and study."""
    if reference is None or reference.selected is None:
        return {}
    base = dict(reference.selected.by_seed)
    pairs = {
        group.method_and_study: [value - base[seed] for seed, value in group.selected.by_seed if seed in base]
        for group in groups
        if group.selected
    }
    p_values = {key: p_value for key, values in pairs.items() if (p_value := paired_p_value(values)) is not None}
    corrected = dict(zip(p_values, holm(list(p_values.values())), strict=True))
    return {
        key: Difference(fmean(values), p_values.get(key), corrected.get(key), len(values), reference.unit)
        for key, values in pairs.items()
        if values
    }


def _pooled_row(protocol: str, method: str, study: str, by_task: Mapping[str, Quantity]) -> dict[str, Cell]:
    values = [[value for _, value in score.by_seed] for score in by_task.values()]
    purpose = ("all tasks", protocol, study, method)
    return {
        "method": method,
        "study": study,
        "protocol": protocol,
        "tasks": len(by_task),
        "runs": sum(map(len, values)),
        "mean": estimate(values, numpy.mean, "fraction", purpose),
        "iqm": estimate(values, interquartile_mean, "fraction", purpose),
    }


def estimate(strata: Sequence[Sequence[float]], statistic: Statistic, unit: str, purpose: Sequence[str]) -> Estimate:
    """A statistic of all values and its bootstrap interval; `purpose` names the random numbers that it is drawn with."""
    low, high = bootstrap_interval(strata, statistic, numpy_generator(*purpose)) or (None, None)
    return Estimate(float(statistic([value for stratum in strata for value in stratum], axis=-1)), low, high, unit)


def _few_seeds(rows: Sequence[Mapping[str, Cell]]) -> list[str]:
    """Warnings about what so few seeds cannot show."""
    notes = []
    pairs = [cell.n for row in rows if isinstance(cell := row.get("difference"), Difference) and cell.n > 1]
    if pairs and min(pairs) < ENOUGH_PAIRS:
        notes.append(
            "Few seeds: with n common seeds the smallest possible p is 2^(1-n) before correction, here down to "
            f"n={min(pairs)}, that is {2 ** (1 - min(pairs)):.4g}. A p above 0.05 is then no sign of equality."
        )
    if any(isinstance(seeds := row.get("seeds"), int) and seeds < ENOUGH_SEEDS for row in rows):
        notes.append(f"Intervals from fewer than {ENOUGH_SEEDS} seeds are too narrow; one seed gives none.")
    return notes
