"""The page: verdicts first, then results by protocol, and at its end the runs that every number links to."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from polystep.bench.claims.conditions import Verdict
from polystep.bench.claims.tables import conditions_table
from polystep.bench.claims.verdicts import Verdicts
from polystep.bench.figures import Look
from polystep.bench.groups import Group
from polystep.bench.page.curves import learning_curve_section
from polystep.bench.page.markup import Markup, element, join
from polystep.bench.page.runs import group_details
from polystep.bench.page.tables import RunLinks, html_table
from polystep.bench.page.verdicts import claim_cards, finding_list, verdict_counts
from polystep.bench.rendering import Table

if TYPE_CHECKING:
    from pandas import DataFrame

_TEMPLATES = Path(__file__).with_name("templates")


@dataclass(frozen=True)
class Chapter:
    """A part of the page: tables, then a learning curve for each task of `groups`, which share one protocol."""

    title: str
    tables: list[Table]
    groups: Sequence[Group] = ()


@dataclass(frozen=True)
class PageContent:
    """All that the page shows. groups: all that cells may link to; gaps: what is missing, by kind."""

    verdicts: Verdicts | None
    chapters: Sequence[Chapter]
    groups: Sequence[Group]
    histories: Mapping[str, "DataFrame"]
    looks: Mapping[str, Look]
    gaps: Mapping[str, Sequence[str]]


def report_page(content: PageContent) -> str:
    """One HTML file that needs no other, neither beside it nor from the network."""
    links = RunLinks([[run.name for run in group.runs] for group in content.groups])
    parts = [
        *_verdict_chapters(content.verdicts, links),
        *(
            (chapter.title, join(*_chapter(chapter, content, links)))
            for chapter in content.chapters
            if any(table.rows for table in chapter.tables)
        ),
        ("Missing or unreadable", _gaps(content.gaps)),
        ("Runs", _runs(content, links)),
    ]
    anchors = [f"part-{place}" for place, _ in enumerate(parts)]
    items = [
        element("li", element("a", title, href=f"#{anchor}")) for anchor, (title, _) in zip(anchors, parts, strict=True)
    ]
    navigation = element("nav", element("ul", *items), aria_label="Parts of the report")
    sections = [
        element("section", element("h2", title), body, id=anchor)
        for anchor, (title, body) in zip(anchors, parts, strict=True)
    ]
    return _fill(
        (_TEMPLATES / "page.html").read_text(encoding="utf-8"),
        style=_template("style.css"),
        script=_template("page.js"),
        header=join(_header(content), navigation),
        main=join(*sections),
        footer=Markup(
            "Published numbers: arXiv 2605.01928 and its released result files. Every other number: the runs above."
        ),
    )


def _template(name: str) -> Markup:
    return Markup((_TEMPLATES / name).read_text(encoding="utf-8").strip())


def _fill(template: str, **parts: Markup) -> str:
    """The template with {{name}} replaced, in one pass, so that no part is searched for names."""
    pieces = template.split("{{")
    filled = [pieces[0]]
    for piece in pieces[1:]:
        name, _, rest = piece.partition("}}")
        filled += [parts[name], rest]
    return "".join(filled)


def _header(content: PageContent) -> Markup:
    runs = sum(len(group.runs) for group in content.groups)
    tasks = len({group.task for group in content.groups})
    methods = len({group.optimizer for group in content.groups})
    lead = (
        f"{runs} finished runs of {methods} methods on {tasks} tasks. Scores are read on the test set after training, at the "
        "checkpoint that validation chose. Follow any number to the runs behind it."
    )
    counts = verdict_counts(content.verdicts) if content.verdicts else None
    return element(
        "header",
        element(
            "div", element("h1", "Training without gradients: what holds"), element("p", lead, class_="lead"), counts
        ),
    )


def _verdict_chapters(verdicts: Verdicts | None, links: RunLinks) -> Iterator[tuple[str, Markup]]:
    if verdicts is None:
        return
    found = Counter(judgement.overall for judgement in verdicts.claims)
    lead = (
        "Each claim of the paper's abstract, and what would refute the method. Only complete runs of seeds that were named in "
        "advance count, so nothing holds for want of data."
    )
    if not found[Verdict.HOLDS] + found[Verdict.FAILS]:
        lead += " So far no claim is decided."
    table = conditions_table(verdicts.claims)
    details = element(
        "details", element("summary", "All conditions as one table"), html_table(table, links, verdicts=True)
    )
    yield "Claims", join(element("p", lead, class_="lead"), claim_cards(verdicts.claims, links), details)
    if verdicts.findings:
        lead = (
            "Defects of the published experiments that change a conclusion: what was published, what the released files say "
            "themselves, what reruns here show, and what follows."
        )
        yield (
            "What the published runs did",
            join(element("p", lead, class_="lead"), finding_list(verdicts.findings, links)),
        )


def _chapter(chapter: Chapter, content: PageContent, links: RunLinks) -> Iterator[Markup]:
    tables = [html_table(table, links) for table in chapter.tables if table.rows]
    yield from tables[:1]
    for place, (_, members) in enumerate(groupby(chapter.groups, key=lambda group: group.task)):
        groups = list(members)
        targets = [links.target([run.name for run in group.runs]) for group in groups]
        curves = learning_curve_section(groups, content.histories, content.looks, targets, is_open=place == 0)
        if curves is not None:
            yield curves
    yield from tables[1:]


def _gaps(gaps: Mapping[str, Sequence[str]]) -> Markup:
    parts = [
        element(
            "details",
            element("summary", f"{kind}: {len(sentences)}"),
            element("ul", *(element("li", sentence) for sentence in sentences)),
            class_="notes",
        )
        for kind, sentences in gaps.items()
        if sentences
    ]
    return join(*parts) if parts else element("p", "Nothing.")


def _runs(content: PageContent, links: RunLinks) -> Markup:
    lead = "Runs that differ in their seed only, with scores, curve, ledger, configuration and environment."
    details = [
        group_details(group, links.anchor(place), content.histories) for place, group in enumerate(content.groups)
    ]
    return join(element("p", lead, class_="lead"), *details)
