"""Per family and axis: every method on every task with intervals, and its difference to the paper's method."""

import math
from collections.abc import Iterator, Sequence
from typing import Any

from polystep.report.groups import Board, Group, spread_of
from polystep.report.material import Material, family_section
from polystep.report.published_scores import EDITIONS, edition_of, published
from polystep.report.table import (
    RUNS,
    Row,
    Table,
    interval_column,
    number_column,
    spread_column,
    spread_values,
    text_column,
)
from polystep.report.text import Spread, file_stem, finite


def tables(material: Material) -> Iterator[Table]:
    """One table for each family and axis, the best first on every board."""
    boards: dict[tuple[str, str], list[Board]] = {}
    for board in material.boards:
        boards.setdefault((board["family"], board.axis), []).append(board)
    for (family, axis), members in boards.items():
        editions = {key: title for key, title in EDITIONS.items() if key == edition_of(axis)}
        columns = [
            text_column("task", "Task"),
            text_column("board", "Compared within"),
            number_column("rank", "Rank"),
            text_column("method", "Method"),
            text_column("study", "Study"),
            number_column("seeds", "Seeds"),
            spread_column("test", "Test, validation-selected"),
            interval_column("interval", "95 % interval"),
            spread_column("last", "Test, last"),
            interval_column("difference", "minus PolyStep, paired", sign=True),
            *(spread_column(key, f"Published, {title}") for key, title in editions.items()),
            spread_column("step_seconds", "Step seconds", "seconds"),
            number_column("candidates", "Candidates"),
        ]
        yield Table(
            file_stem("comparison", family, axis),
            f"{family_section(family)}: {axis}, all runs",
            columns,
            [row for board in members for row in board_rows(board, editions)],
            (
                "Intervals: Student's t over seeds. Difference: mean over the seeds that both have. Ranks only among complete "
                "runs with the settings of their study, on the same data, with the same budget; for equal seconds also on "
                "one processor with the same threads and device, else they are compared apart (column 'compared within').",
            ),
            family_section(family),
        )


def board_rows(board: Board, editions: Sequence[str] | dict[str, str] = ()) -> list[Row]:
    """One row per group of a board, with its difference to the paper's method."""
    scores = {group.key: group.sign * score.mean for group in board.ranked if (score := group.spread("test_selected"))}
    ranks = {
        key: 1 + sum(other > score for other in scores.values()) for key, score in scores.items() if len(scores) > 1
    }
    rows: list[Row] = []
    for group in board.groups:
        score, candidates = group.spread("test_selected"), group.spread("candidate_evaluations")
        row: dict[str, Any] = {
            "task": board.task,
            "board": board.remark,
            "rank": ranks.get(group.key),
            "method": group.label,
            "study": group["study"],
            "seeds": len(group.runs),
            "unit": board["unit"],
            "complete": group.is_complete,
            **spread_values("test", score),
            **interval_values("interval", score),
            "interval": None,
            **spread_values("last", group.spread("test_last")),
            **difference_values(group, board.own),
            **spread_values("step_seconds", group.spread("step_seconds")),
            "candidates": candidates.mean if candidates and candidates.mean else None,
            RUNS: group.key,
        }
        for edition in editions:
            row |= spread_values(edition, published(board.task, str(group["optimizer"]), edition))
        rows.append(row)
    return rows


def difference_values(group: Group, reference: Group | None) -> dict[str, Any]:
    """Mean difference of the test scores over common seeds with its interval; unknown where either is not complete."""
    pairs: list[float] = []
    if reference is not None and reference is not group and group.is_complete and reference.is_complete:
        base = reference.values("test_selected")
        pairs = [value - base[key] for key, value in group.values("test_selected").items() if key in base]
    return interval_values("difference", spread_of(pairs))


def interval_values(key: str, spread: Spread | None) -> dict[str, Any]:
    """Mean and its 95 % interval by Student's t, mean ± t(0.975, n - 1) s / sqrt(n); no interval from one value."""
    if spread is None or spread.std is None:
        return {key: None if spread is None else spread.mean, f"{key}_low": None, f"{key}_high": None}
    from scipy.stats import t

    half = finite(t.ppf(0.975, spread.n - 1) * spread.std / math.sqrt(spread.n))
    if half is None:
        return {key: spread.mean, f"{key}_low": None, f"{key}_high": None}
    return {key: spread.mean, f"{key}_low": spread.mean - half, f"{key}_high": spread.mean + half}
