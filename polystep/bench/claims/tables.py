"""The claims ledger as tables: a row per claim, and a row per condition."""

import math
from collections.abc import Iterator, Sequence

from polystep.bench.claims.conditions import Condition, Outcome
from polystep.bench.claims.statements import Judgement
from polystep.bench.quantities import Points, text_of
from polystep.bench.rendering import Cell, Column, Table

_ESTIMATE = ("value", "low", "high")
_SHOWN_REASONS = 2


def claims_table(judgements: Sequence[Judgement]) -> Table:
    """One row per claim: what is published, what runs here give under each protocol, and the verdicts."""
    protocols = list(dict.fromkeys(protocol for judgement in judgements for protocol in judgement.outcomes))
    columns = [Column("claim", "Claim"), Column("published", "Published")]
    for protocol in protocols:
        key = protocol.replace(" ", "_")
        columns += [Column(key, protocol.capitalize()), Column(f"{key}_verdict", "Verdict there")]
    columns += [Column("seeds", "Seeds"), Column("verdict", "Verdict"), Column("reason", "Why undecided or not run")]
    return Table(
        "claims",
        "Claims of the paper",
        tuple(columns),
        [_claim(judgement) for judgement in judgements],
        (
            "A claim holds where all of its conditions hold (table of conditions); shown is the one with the least margin. "
            "In brackets: 95 % interval of the mean over seeds, by Student's t.",
            "Only complete runs count: the settings and the whole budget of the profiles, and exactly the seeds, that "
            "configs/claims.yaml names. Whatever is missing leaves a claim undecided or not run; it never makes it hold.",
            "Published settings: every method as in the paper. Equal budgets: the same seconds for every method on one core, "
            "each with tuned settings. The verdict over both is the worse one.",
        ),
    )


def conditions_table(judgements: Sequence[Judgement]) -> Table:
    """One row per condition and protocol."""
    rows: list[dict[str, Cell]] = [
        {
            "claim": judgement.statement.name,
            "protocol": protocol,
            "compared": str(outcome.condition),
            "bound": bound_text(outcome.condition, _unit(outcome)),
            "published": _published(outcome.condition, _unit(outcome)),
            "value": outcome.value,
            "by_seed": Points(outcome.by_seed, _unit(outcome)) if outcome.by_seed else None,
            "verdict": str(outcome.verdict),
            "reason": "; ".join(outcome.reasons),
            "sources": outcome.runs,
        }
        for judgement, protocol, outcome in _all(judgements)
    ]
    columns = (
        Column("claim", "Claim"),
        Column("protocol", "Protocol"),
        Column("compared", "What is compared"),
        Column("bound", "Must be"),
        Column("published", "Published"),
        Column("value", "Here (interval)", _ESTIMATE),
        Column("by_seed", "By seed", ("by_seed",)),
        Column("verdict", "Verdict"),
        Column("reason", "Why undecided or not run"),
    )
    return Table("claim_conditions", "Conditions of the claims", columns, rows)


def bound_text(condition: Condition, unit: str) -> str:
    """What the value must be, with the tolerance."""
    lowest, highest = condition.bounds
    if lowest == -highest:
        return f"within ±{text_of(highest, unit).lstrip('+')}"
    parts = [f"at least {text_of(lowest, unit)}"] if math.isfinite(lowest) else []
    parts += [f"at most {text_of(highest, unit)}"] if math.isfinite(highest) else []
    return " and ".join(parts) + (" (tolerance included)" if condition.tolerance else "")


def value_text(outcome: Outcome, several: bool) -> str:
    """The measured value with its interval, and what it is where a statement has several conditions."""
    if outcome.value is None:
        return ""
    return f"{outcome.value}: {outcome.condition}" if several else str(outcome.value)


def _claim(judgement: Judgement) -> dict[str, Cell]:
    statement = judgement.statement
    several = len(statement.conditions) > 1
    row: dict[str, Cell] = {
        "claim": statement.statement,
        "published": least_published(statement.conditions),
        "seeds": ", ".join(map(str, statement.seeds)),
        "verdict": str(judgement.overall),
        "reason": _first(judgement.reasons()),
        "sources": tuple(dict.fromkeys(name for _, _, outcome in _all([judgement]) for name in outcome.runs)),
    }
    for protocol in judgement.outcomes:
        key = protocol.replace(" ", "_")
        row[key] = value_text(judgement.decisive(protocol), several) or None
        row[f"{key}_verdict"] = str(judgement.verdict(protocol))
    return row


def _first(reasons: Sequence[str]) -> str:
    more = f"; and {len(reasons) - _SHOWN_REASONS} more" if len(reasons) > _SHOWN_REASONS else ""
    return "; ".join(reasons[:_SHOWN_REASONS]) + more


def least_published(conditions: Sequence[Condition]) -> str | None:
    """The published value that comes closest to a bound, or passes it furthest."""
    known = [(value, condition) for condition in conditions if (value := condition.published()) is not None]
    if not known:
        return None

    def margin(pair: tuple[float, Condition]) -> float:
        lowest, highest = pair[1].bounds
        return min(pair[0] - lowest, highest - pair[0])

    value, condition = min(known, key=margin)
    text = text_of(value, published_unit(condition))
    return f"{text}: {condition}" if len(conditions) > 1 else text


def _published(condition: Condition, unit: str) -> str | None:
    value = condition.published()
    return None if value is None else text_of(value, unit)


def published_unit(condition: Condition) -> str:
    """The unit of what is compared, as the name of a published metric tells it."""
    named = [score.published for score in (condition.score, condition.minus) if score and score.published]
    metric = named[0][2] if named else "accuracy"
    unit = "fraction" if metric.endswith("accuracy") else "MB" if metric.endswith("_mb_mean") else ""
    return f"difference of {unit}" if condition.minus or condition.minus_published else unit


def _unit(outcome: Outcome) -> str:
    return outcome.value.unit if outcome.value else published_unit(outcome.condition)


def _all(judgements: Sequence[Judgement]) -> Iterator[tuple[Judgement, str, Outcome]]:
    for judgement in judgements:
        for protocol, outcomes in judgement.outcomes.items():
            for outcome in outcomes:
                yield judgement, protocol, outcome
