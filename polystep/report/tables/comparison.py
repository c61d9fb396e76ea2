"""Per family and axis: every method on every task with intervals, and its difference to the paper's method."""

from collections.abc import Iterator
from itertools import groupby

from polystep.report import rows
from polystep.report.boards import Board
from polystep.report.groups import Group
from polystep.report.material import Material, family_section
from polystep.report.published import EDITIONS, published_score
from polystep.report.table import Row, Table, interval_column, number_column, spread_column
from polystep.report.text import Interval, file_stem

_RULES = (
    "Intervals: Student's t over seeds; of equal or saturated scores from the lower end of the median's, from six seeds on, to "
    "the largest mean that they leave possible, of such differences that of the median. Difference: mean over the seeds that "
    "both have. Of returns with published settings rank, interval and difference are those of the last policy. Ranks only "
    "among complete runs with the settings of their study, on the same data, with the same budget; for equal seconds also on "
    "one processor with the same threads and device, else they are compared apart (column 'compared within')."
)


def tables(material: Material) -> Iterator[Table]:
    """One table for each family and axis, the best first on every board; the first one of a family explains its others."""
    explained: dict[str, str] = {}
    for (family, axis), members in groupby(material.boards, key=lambda board: (board["family"], board.axis)):
        boards = list(members)
        edition = boards[0].edition
        # the interval stands after the score that it belongs to
        scores = [rows.TEST, spread_column("last", "Test, last")]
        place = 1 + (boards[0].groups[0].score == "test_last")
        studies = {group["study"] for board in boards for group in board.groups}
        within = {board.remark for board in boards}
        title = f"{family_section(family)}: {axis}, all runs"
        columns = [
            *(rows.TASK, rows.METHOD, rows.RANK),
            # what is the same in all rows is said once, or by the title
            *([rows.BOARD] if len(within) > 1 else []),
            *([rows.STUDY] if len(studies) > 1 else []),
            rows.SEEDS,
            *scores[:place],
            interval_column("interval", "95 % interval"),
            *scores[place:],
            rows.difference_column("minus PolyStep, paired"),
            *([spread_column(edition, f"Published, {EDITIONS[edition]}")] if edition else []),
            rows.STEP_SECONDS,
            number_column("candidates", "Candidates"),
        ]
        yield Table(
            file_stem("comparison", family, axis),
            ", ".join([title, *within]) if len(within) == 1 and any(within) else title,
            columns,
            [row for board in boards for row in _rows(board)],
            (explained.get(family, _RULES),),
            family_section(family),
        )
        explained.setdefault(family, f"Intervals, differences and ranks: as in the table {title}.")


def _rows(board: Board) -> list[Row]:
    """One row per group of a board, with its difference to the paper's method."""
    edition, scores = board.edition, {group.key: group.signed_mean() for group in board.ranked}
    ranks = {
        key: 1 + sum(other > score for other in scores.values()) for key, score in scores.items() if len(scores) > 1
    }
    return [
        {
            **rows.group_row(group, test="test_selected", last="test_last"),
            "board": board.remark,
            "rank": ranks.get(group.key),
            "complete": group.may_be_ranked,
            "interval": rows.score_interval(group, group.score)._replace(value=None),
            "difference": difference_of(group, board.own),
            "candidates": rows.mean_of(group, "candidate_evaluations"),
            **({edition: published_score(board.task, str(group["optimizer"]), edition)} if edition else {}),
        }
        for group in board.groups
    ]


def difference_of(group: Group, reference: Group | None) -> Interval:
    """Mean difference of the test scores over common seeds with its interval; unknown where either is not complete."""
    if reference is not None and reference is not group and group.may_be_ranked and reference.may_be_ranked:
        base = reference.values(group.score)
        pairs = [value - base[key] for key, value in group.values(group.score).items() if key in base]
        saturated = any(rows.is_saturated(one, group.score) for one in (group, reference))
        return rows.interval_of(pairs, saturated=saturated)
    return Interval()
