"""Per family and axis: every method on every task with intervals, and its difference to the paper's method."""

from collections.abc import Iterator, Sequence

from polystep.report.groups import Board, Group, spread_of
from polystep.report.material import Material, family_section
from polystep.report.published import EDITIONS, published_score
from polystep.report.rows import (
    METHOD,
    RANK,
    SEEDS,
    STEP_SECONDS,
    STUDY,
    TASK,
    TEST,
    difference_column,
    group_row,
    interval_of,
    mean_of,
)
from polystep.report.table import Row, Table, interval_column, number_column, spread_column, text_column
from polystep.report.text import Interval, file_stem


def tables(material: Material) -> Iterator[Table]:
    """One table for each family and axis, the best first on every board."""
    boards: dict[tuple[str, str], list[Board]] = {}
    for board in material.boards:
        boards.setdefault((board["family"], board.axis), []).append(board)
    for (family, axis), members in boards.items():
        editions = {key: title for key, title in EDITIONS.items() if key == members[0].edition}
        columns = [
            TASK,
            text_column("board", "Compared within"),
            RANK,
            METHOD,
            STUDY,
            SEEDS,
            TEST,
            interval_column("interval", "95 % interval"),
            spread_column("last", "Test, last"),
            difference_column("minus PolyStep, paired"),
            *(spread_column(key, f"Published, {title}") for key, title in editions.items()),
            STEP_SECONDS,
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
    scores = {group.key: group.signed_mean() for group in board.ranked}
    ranks = {
        key: 1 + sum(other > score for other in scores.values()) for key, score in scores.items() if len(scores) > 1
    }
    rows: list[Row] = []
    for group in board.groups:
        row = {
            **group_row(group, test="test_selected", last="test_last"),
            "board": board.remark,
            "rank": ranks.get(group.key),
            "complete": group.is_complete,
            "interval": interval_of(group.spread("test_selected"))._replace(value=None),
            "difference": difference_of(group, board.own),
            "candidates": mean_of(group, "candidate_evaluations"),
            **{edition: published_score(board.task, str(group["optimizer"]), edition) for edition in editions},
        }
        rows.append(row)
    return rows


def difference_of(group: Group, reference: Group | None) -> Interval:
    """Mean difference of the test scores over common seeds with its interval; unknown where either is not complete."""
    pairs: list[float] = []
    if reference is not None and reference is not group and group.is_complete and reference.is_complete:
        base = reference.values("test_selected")
        pairs = [value - base[key] for key, value in group.values("test_selected").items() if key in base]
    return interval_of(spread_of(pairs))
