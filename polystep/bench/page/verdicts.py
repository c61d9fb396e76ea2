"""Claims as cards and the defects of the published runs as a list."""

from collections import Counter
from collections.abc import Sequence

from polystep.bench.claims.conditions import Outcome, Verdict
from polystep.bench.claims.published_runs import Finding
from polystep.bench.claims.statements import Judgement
from polystep.bench.claims.tables import bound_text, least_published, published_unit
from polystep.bench.claims.verdicts import Verdicts
from polystep.bench.page.markup import Markup, element, join
from polystep.bench.page.tables import RunLinks, badge

_SHOWN_REASONS = 3


def verdict_counts(verdicts: Verdicts) -> Markup:
    """How many claims got each verdict."""
    counts = Counter(judgement.overall for judgement in verdicts.claims)
    items = [element("li", badge_of(verdict, f"{counts[verdict]} {verdict}")) for verdict in Verdict if counts[verdict]]
    return element("ul", *items, class_="counts", aria_label="Verdicts on the claims")


def badge_of(verdict: Verdict, text: str) -> Markup:
    """A text in the colour of a verdict."""
    return element("span", text, class_=f"badge {verdict.replace(' ', '-')}")


def claim_cards(judgements: Sequence[Judgement], links: RunLinks) -> Markup:
    """A card per claim: verdict, what is published, and what runs here give under each protocol."""
    return element("div", *(_card(judgement, links) for judgement in judgements), class_="cards")


def _card(judgement: Judgement, links: RunLinks) -> Markup:
    statement = judgement.statement
    rows = [
        element("dt", "Published"),
        element("dd", *_two_lines(least_published(statement.conditions) or "no such run")),
    ]
    for protocol in judgement.outcomes:
        rows += [element("dt", f"Here, {protocol}"), element("dd", *_measured(judgement, protocol, links))]
    rows += [element("dt", "Seeds"), element("dd", ", ".join(map(str, statement.seeds)))]
    reasons = judgement.reasons()
    more = [f"and {len(reasons) - _SHOWN_REASONS} more"] if len(reasons) > _SHOWN_REASONS else []
    why = element(
        "details",
        element("summary", "What is missing"),
        element("ul", *(element("li", reason) for reason in [*reasons[:_SHOWN_REASONS], *more])),
    )
    return element(
        "article",
        badge(judgement.overall),
        element("h3", statement.statement),
        element("dl", *rows),
        why if reasons else None,
        class_="card",
    )


def _measured(judgement: Judgement, protocol: str, links: RunLinks) -> list[Markup]:
    """The verdict under one protocol and the value that decides it, linked to its runs."""
    outcome = judgement.decisive(protocol)
    parts = [badge(judgement.verdict(protocol))]
    if outcome.value is not None:
        target = links.target(outcome.runs)
        text = str(outcome.value)
        parts += [Markup(" "), element("a", text, href=target) if target else element("span", text)]
        parts.append(_small(outcome, len(judgement.statement.conditions) > 1))
    return parts


def _small(outcome: Outcome, several: bool) -> Markup:
    bound = bound_text(outcome.condition, outcome.value.unit if outcome.value else published_unit(outcome.condition))
    return element("small", f"{outcome.condition}; must be {bound}" if several else f"must be {bound}")


def _two_lines(text: str) -> list[Markup]:
    value, colon, compared = text.partition(": ")
    return [element("span", value), *([element("small", compared)] if colon else [])]


def finding_list(findings: Sequence[Finding], links: RunLinks) -> Markup:
    """A foldable entry per defect."""
    return element("div", *(_finding(finding, links) for finding in findings), class_="findings")


def _finding(finding: Finding, links: RunLinks) -> Markup:
    defect = finding.defect
    tables = []
    if defect.files:
        rows = [
            element(
                "tr",
                element("td", compared),
                element("td", value, class_="number"),
                element("td", bound),
                element("td", badge_of(Verdict.HOLDS, "met") if met else badge_of(Verdict.FAILS, "not met")),
            )
            for compared, value, bound, met in finding.file_lines()
        ]
        tables.append(_evidence("Released files", rows))
    if finding.reruns:
        rows = []
        for compared, value, bound, verdict, runs in finding.rerun_lines():
            target = links.target(runs)
            shown = element("a", value, href=target) if target else value
            kind = "number" if verdict in (Verdict.HOLDS, Verdict.FAILS) else "quiet"
            cells = (
                element("td", compared),
                element("td", shown, class_=kind),
                element("td", bound),
                element("td", badge(verdict)),
            )
            rows.append(element("tr", *cells))
        tables.append(_evidence("Reruns here", rows))
    else:
        tables.append(element("p", "Nothing was rerun here.", class_="quiet"))
    inside = join(
        element("p", element("strong", "Published. "), defect.published),
        *tables,
        element("p", element("strong", "What follows. "), finding.conclusion()),
    )
    words = {
        Verdict.HOLDS: "shown",
        Verdict.FAILS: "not borne out",
        Verdict.UNDECIDED: "open",
        Verdict.NOT_RUN: "not rerun",
    }
    summary = element(
        "summary", element("span", defect.title.rstrip(".")), badge_of(finding.verdict, words[finding.verdict])
    )
    return element("details", summary, element("div", inside, class_="inside"))


def _evidence(title: str, rows: Sequence[Markup]) -> Markup:
    titles = (title, "Value (interval)", "Must be", "")
    head = element(
        "tr", *(element("th", name, scope="col", class_="number" if name.startswith("V") else None) for name in titles)
    )
    table = element("table", element("thead", head), element("tbody", *rows))
    return element("div", table, class_="scroll evidence", tabindex="0", role="region", aria_label=title)
