"""What here can be doubted: published numbers that reruns do not repeat, and where a sceptic could attack our own."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby

from polystep.report.boards import Board
from polystep.report.claims.intervals import at_best
from polystep.report.groups import Group
from polystep.report.material import DOUBTS, Material, family_section
from polystep.report.one_run import settings_of
from polystep.report.published import EDITIONS, published_headline
from polystep.report.rows import METHOD, SEEDS, TASK, group_row, interval_of
from polystep.report.table import Row, Table, number_column, spread_column, text_column
from polystep.report.tables.settings import grid_of, trials_of
from polystep.report.text import ENOUGH_SEEDS, finite

_MANY_DEVIATIONS = 2
_ROUNDING = {"first": 0.0, "revised": 0.0005}
"""Half a unit of the last digit that an edition prints of fractions."""
_NOISE = 0.5
"""By so much the load of a machine passes the number of its cores although it does nothing else."""
_TRIALS = {
    "equal_seconds": ("tuning_seconds",),
    "equal_evaluations": ("tuning_evaluations", "tuning_seconds"),
    "equal_steps": ("tuning_steps",),
}
"""The studies whose trials choose settings for an equal budget; those of a later one where a method has none of an earlier."""

Doubtful = Callable[[Board, Group], bool]


def tables(material: Material) -> Iterator[Table]:
    """Means that are apart from what is published, and one row per weak spot of the runs."""
    reruns = [group for board in material.boards if board.edition for group in board.ranked]
    judged = [row for group in reruns if (row := _apart(group)) is not None]
    if judged:
        columns = (
            TASK,
            METHOD,
            text_column("edition", "Edition"),
            spread_column("published", "Published"),
            spread_column("test", "Here"),
            SEEDS,
            number_column("deviations", "Apart, in published deviations", "ratio"),
            text_column("note", "Published as"),
        )
        rows = [row for row in judged if row]
        note = (
            f"Of {len(judged)} means of complete runs with published settings, several seeds, and a published mean and spread, "
            f"those that are more than {_MANY_DEVIATIONS} published standard deviations away, rounding allowed for, and whose "
            "95 % interval (Student's t) does not hold the published mean. No deviations: all published seeds are equal or "
            "perfect. Here: the checkpoint that validation chose; of returns the last policy. Claims that are not confirmed "
            "are in the first table of this report."
        )
        title = "Published numbers that reruns do not repeat"
        yield Table("apart", title, columns, rows, (note,), DOUBTS, summary=True)
    if rows := [{"doubt": doubt, "where": where} for doubt, where in _doubts(material) if where]:
        shown = text_column("doubt", "A sceptic could say", 300), text_column("where", "Where", 400)
        note = "Found in the runs themselves each time that the report is made."
        yield Table("doubts", "Where our own numbers can be attacked", shown, rows, (note,), DOUBTS, summary=True)


def _apart(group: Group) -> Row | None:
    """The group beside what is published for it; empty where they agree, None where that cannot be judged."""
    edition = str(group["edition"])
    headline = published_headline(str(group["task"]), str(group["optimizer"]), edition)
    test = group.spread(group.score)
    if headline is None or test is None:
        return None
    published = headline.spread
    # by Student's t, saturated or not: what is published is a mean
    _, low, high = interval_of(list(group.values(group.score).values()))
    if published.std is None or low is None or high is None:
        return None
    rounding = _ROUNDING[edition] if group["unit"] == "fraction" else 0.0
    distance = max(abs(test.mean - published.mean) - rounding, 0.0)
    if distance <= _MANY_DEVIATIONS * published.std or low <= published.mean <= high:
        return {}
    sign = 1 if test.mean > published.mean else -1
    # the spread of perfect scores says nothing about how often one fails
    is_perfect = at_best(published.mean, finite(group["best"]))
    deviations = sign * distance / published.std if published.std and not is_perfect else None
    row = group_row(group, test=group.score)
    return {
        **row,
        "edition": EDITIONS[edition],
        "published": published,
        "deviations": deviations,
        "note": headline.note,
    }


def _doubts(material: Material) -> Iterator[tuple[str, str]]:
    """Each weak spot, and where it is; empty where it is nowhere."""
    boards = material.boards
    equal = [board for board in boards if board["protocol"] in _TRIALS]
    against_clock = [board for board in boards if board["protocol"] == "equal_seconds"]
    trials = [group for group in material.groups if group["protocol"] == "tuning"]
    yield f"A mean rests on fewer than {ENOUGH_SEEDS} seeds.", _count(boards, _is_small)
    yield (
        "No trial of the method is on record for this kind of budget and task.",
        _count(equal, lambda _, group: not (_is_of_edition(group) or _trials_for(trials, group))),
    )
    yield (
        "The method has trials, but none with the settings of a mean.",
        _count(equal, lambda _, group: bool(_trials_for(trials, group)) and not _grid_behind(trials, group)),
    )
    yield (
        "The settings of a mean were chosen on another task of its family.",
        _count(equal, lambda _, group: _is_borrowed(trials, group)),
    )
    yield (
        "The settings of a mean were chosen on the very formula that it is about.",
        _count(equal, lambda _, group: _chosen_on_it(trials, group)),
    )
    yield (
        "The best trial has the smallest or the largest value that was tried; better ones may lie beyond.",
        _edges(material),
    )
    yield "Methods that are compared had unequal numbers of trials.", "; ".join(_unequal(trials, equal))
    yield "A comparison has runs of several versions of the code.", _count(boards, _has_several_commits)
    yield (
        "The machine had more to do than it has cores when a run against the clock began or ended.",
        _count(against_clock, lambda _, group: any(load > cores + _NOISE for load, cores in _loads(group))),
    )
    yield (
        "Runs against the clock were made on other days than those of PolyStep; a machine may have been faster or slower then.",
        _count(against_clock, _is_of_other_days),
    )
    yield (
        "How much the machine had to do while a run went against the clock is not on record.",
        _count(against_clock, lambda _, group: len(_loads(group)) < 2 * len(group.runs)),
    )


def _count(boards: Sequence[Board], is_doubtful: Doubtful) -> str:
    """How many ranked groups of each axis are doubtful, and of which families of tasks."""
    found = []
    for axis, members in groupby(sorted(boards, key=lambda board: board.axis), key=lambda board: board.axis):
        groups = [(board, group) for board in members for group in board.ranked]
        doubtful = [group for board, group in groups if is_doubtful(board, group)]
        if doubtful:
            families = Counter(family_section(str(group["family"])) for group in doubtful)
            where = ", ".join(f"{family} {number}" for family, number in sorted(families.items()))
            found.append(f"{axis}: {len(doubtful)} of {len(groups)} means ({where})")
    return "; ".join(found)


def _is_small(_: Board, group: Group) -> bool:
    return len(group.values("test_selected")) < ENOUGH_SEEDS


def _has_several_commits(board: Board, _: Group) -> bool:
    return len({str(run["commit"]) for group in board.groups for run in group.runs}) > 1


def _is_of_other_days(board: Board, group: Group) -> bool:
    return board.own is not None and not _days(group) & _days(board.own)


def _days(group: Group) -> set[str]:
    return {str(run["started"])[:10] for run in group.runs}


def _loads(group: Group) -> list[tuple[float, float]]:
    """The known loads, before and after every run, with the number of cores."""
    known = [(finite(run[name]), finite(run["cores"])) for run in group.runs for name in ("load_before", "load_after")]
    return [(load, cores) for load, cores in known if load is not None and cores is not None]


def _is_of_edition(group: Group) -> bool:
    """Whether the settings are those that an edition published, which nobody here chose."""
    return bool(group["study"] == group["edition"])


def _trials_for(trials: Sequence[Group], group: Group) -> list[Group]:
    """Trials that the group's settings may come from: of its method on tasks of its family, for its kind of budget where there
    are any; none for those of an edition.
    """
    if _is_of_edition(group):
        return []
    alike = [trial for trial in trials if all(trial[name] == group[name] for name in ("optimizer", "family"))]
    by_study = ([trial for trial in alike if trial["study"] == study] for study in _TRIALS[str(group["protocol"])])
    return next(filter(None, by_study), [])


def _is_borrowed(trials: Sequence[Group], group: Group) -> bool:
    known = _trials_for(trials, group)
    return bool(known) and not any(_problem(trial) == _problem(group) for trial in known)


def _problem(group: Group) -> str:
    """The task, whichever instance: trials have formulas of their own, of the same size."""
    return str(group["task"]).partition("_seed")[0]


def _chosen_on_it(trials: Sequence[Group], group: Group) -> bool:
    """Whether trials and results have the same formula, which has no part that is held out."""
    if group["family"] != "maxsat":
        return False
    formulas = {run["data"] for run in group.runs}
    return any(run["data"] in formulas for trial in _trials_for(trials, group) for run in trial.runs)


def _edges(material: Material) -> str:
    """Of how many best trials that is so, by study; the table of trials names them."""
    best = [row for row in trials_of(material) if row["rank"] == 1]
    grids = Counter(str(row["study"]) for row in best)
    at_edge = Counter(str(row["study"]) for row in best if row["edges"])
    return "; ".join(f"{study}: {number} of {grids[study]} grids" for study, number in sorted(at_edge.items()))


def _unequal(trials: Sequence[Group], equal: Sequence[Board]) -> Iterator[str]:
    """The comparisons whose methods had unequal numbers of trials, with those numbers; methods without any are named apart."""
    for board in equal:
        numbers = {group.label: count for group in board.ranked if (count := len(_grid_behind(trials, group)))}
        if len(set(numbers.values())) > 1:
            listed = ", ".join(f"{method} {number}" for method, number in sorted(numbers.items()))
            yield f"{board.axis}, {board.task}: {listed}"


def _grid_behind(trials: Sequence[Group], group: Group) -> list[Group]:
    """The trials that the group's settings were chosen by: the largest grid that has them; empty where none does."""
    known = _trials_for(trials, group)
    grids: dict[object, list[Group]] = {}
    for trial in [trial for trial in known if _problem(trial) == _problem(group)] or known:
        grids.setdefault(grid_of(trial), []).append(trial)
    own = [grid for grid in grids.values() if any(_settings(trial) == _settings(group) for trial in grid)]
    return max(own, key=len, default=[])


def _settings(group: Group) -> dict[str, str]:
    return {name: value for name, value in settings_of(group.runs[0]).items() if name.startswith("optimizer.")}
