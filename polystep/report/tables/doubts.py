"""What here can be doubted: published numbers that reruns do not bear out, and where a sceptic could attack our own."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby

from polystep.report.groups import Board, Group
from polystep.report.material import DOUBTS, Material, family_section
from polystep.report.published import EDITIONS, published_score
from polystep.report.rows import METHOD, SEEDS, TASK, group_row, interval_of
from polystep.report.table import Row, Table, number_column, spread_column, text_column
from polystep.report.tables.settings import trials_of
from polystep.report.text import ENOUGH_SEEDS, finite

_MANY_DEVIATIONS = 2


def tables(material: Material) -> Iterator[Table]:
    """Reruns that are apart from what is published, and one row per weak spot of the runs."""
    groups = [group for board in material.boards if board.edition for group in board.ranked]
    if groups:
        columns = (
            TASK,
            METHOD,
            text_column("edition", "Edition"),
            spread_column("published", "Published"),
            spread_column("test", "Here"),
            SEEDS,
            number_column("deviations", "Apart, in published deviations", "ratio"),
        )
        rows = [row for group in groups if (row := _apart(group))]
        note = (
            f"Of {len(groups)} means of complete runs with published settings, those with a published number that is more than "
            f"{_MANY_DEVIATIONS} published standard deviations away and outside the 95 % interval over our seeds. Claims that "
            "are not confirmed are in the first table of this report."
        )
        yield Table(
            "apart", "Published numbers that reruns do not bear out", columns, rows, (note,), DOUBTS, summary=True
        )
    if rows := [{"doubt": doubt, "where": where} for doubt, where in _doubts(material) if where]:
        shown = text_column("doubt", "A sceptic could say", 300), text_column("where", "Where", 400)
        note = "Found in the runs themselves each time that the report is made."
        yield Table("doubts", "Where our own numbers can be attacked", shown, rows, (note,), DOUBTS, summary=True)


def _apart(group: Group) -> Row | None:
    """The group beside what is published for it, scored alike (returns by the last policy), if those differ."""
    published = published_score(group["task"], group["optimizer"], group["edition"])
    scored = "test_selected" if group["unit"] else "test_last"
    test = group.spread(scored)
    if published is None or test is None or not published.std:
        return None
    _, low, high = interval_of(test)
    deviations = abs(test.mean - published.mean) / published.std
    if deviations <= _MANY_DEVIATIONS or (low is not None and high is not None and low <= published.mean <= high):
        return None
    row = group_row(group, test=scored)
    return {**row, "edition": EDITIONS[group["edition"]], "published": published, "deviations": deviations}


def _doubts(material: Material) -> Iterator[tuple[str, str]]:
    """Each weak spot, and where it is; empty where it is nowhere."""
    against_clock = [board for board in material.boards if board["protocol"] == "equal_seconds"]
    equal = [board for board in material.boards if _trials_study(board)]
    yield f"A mean rests on fewer than {ENOUGH_SEEDS} seeds.", _count(material.boards, _is_small)
    yield "Its settings were chosen by trials on another task of the family.", _count(equal, _borrows(material))
    yield "Its settings were chosen without trials on record.", _count(equal, _lacks_trials(material))
    first = [row for row in trials_of(material) if row["rank"] == 1 and row["edges"]]
    yield (
        "The best trial has the smallest or the largest value that was tried; better ones may lie beyond.",
        "; ".join(f"{row['method']} on {row['task']}: {row['edges']}" for row in first),
    )
    yield "Methods that are compared had unequal numbers of trials.", "; ".join(_unequal(material))
    yield "Runs that are compared were made by several versions of the code.", _count(material.boards, _several_commits)
    yield (
        "The machine had more to do than it has cores when a run against the clock began or ended, or it is not known.",
        _count(against_clock, _was_busy),
    )


def _count(boards: Sequence[Board], is_doubtful: Callable[[Group], bool]) -> str:
    """How many ranked groups of each axis are doubtful, and of which families of tasks."""
    found = []
    for axis, members in groupby(sorted(boards, key=lambda board: board.axis), key=lambda board: board.axis):
        groups = [group for board in members for group in board.ranked]
        doubtful = [group for group in groups if is_doubtful(group)]
        if doubtful:
            families = Counter(family_section(str(group["family"])) for group in doubtful)
            where = ", ".join(f"{family} {number}" for family, number in sorted(families.items()))
            found.append(f"{axis}: {len(doubtful)} of {len(groups)} means ({where})")
    return "; ".join(found)


def _is_small(group: Group) -> bool:
    return len(group.runs) < ENOUGH_SEEDS


def _several_commits(group: Group) -> bool:
    return len({run["commit"] for run in group.runs}) > 1


def _was_busy(group: Group) -> bool:
    loads = [(finite(run[name]), finite(run["cores"])) for run in group.runs for name in ("load_before", "load_after")]
    return any(load is None or cores is None or load > cores + 0.5 for load, cores in loads)


def _trials_study(item: Board | Group) -> str:
    """The study that settings of an equal budget are chosen by; empty for other protocols."""
    protocol = str(item["protocol"])
    return protocol.replace("equal_", "tuning_") if protocol.startswith("equal_") else ""


def _trials(material: Material) -> dict[tuple[str, str], list[Group]]:
    """Groups of trials by study and method."""
    found: dict[tuple[str, str], list[Group]] = {}
    for group in material.groups:
        if group["protocol"] == "tuning":
            found.setdefault((str(group["study"]), str(group["optimizer"])), []).append(group)
    return found


def _lacks_trials(material: Material) -> Callable[[Group], bool]:
    trials = _trials(material)

    def lacks(group: Group) -> bool:
        members = trials.get((_trials_study(group), str(group["optimizer"])), [])
        return group["family"] not in {trial["family"] for trial in members}

    return lacks


def _borrows(material: Material) -> Callable[[Group], bool]:
    trials, lacks = _trials(material), _lacks_trials(material)

    def borrows(group: Group) -> bool:
        members = trials.get((_trials_study(group), str(group["optimizer"])), [])
        return not lacks(group) and group["task"] not in {trial["task"] for trial in members}

    return borrows


def _unequal(material: Material) -> Iterator[str]:
    """The studies and tasks whose methods had unequal numbers of trials, with those numbers."""
    counts: dict[tuple[str, str], dict[str, int]] = {}
    for (study, method), groups in _trials(material).items():
        for group in groups:
            numbers = counts.setdefault((study, str(group["task"])), {})
            numbers[method] = numbers.get(method, 0) + 1
    for (study, task), numbers in sorted(counts.items()):
        if len(set(numbers.values())) > 1:
            yield f"{study} on {task}: {', '.join(f'{method} {number}' for method, number in sorted(numbers.items()))}"
