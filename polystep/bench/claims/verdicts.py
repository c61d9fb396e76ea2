"""Everything that a report judges by its records: the paper's claims, and the defects of its published runs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from polystep.bench.claims.evidence import Evidence
from polystep.bench.claims.published_runs import Defect, Finding, find
from polystep.bench.claims.statements import Judgement, Statement, judge_statement
from polystep.bench.records import RunRecord


@dataclass(frozen=True)
class Statements:
    """What to judge, and the configurations of which a run is complete: those of the claims, and further ones of the defects.

    A run that equals none of them decides nothing.
    """

    claims: Sequence[Statement]
    complete: Sequence[Mapping[str, Any]]
    defects: Sequence[Defect] = ()
    complete_reruns: Sequence[Mapping[str, Any]] = ()


@dataclass(frozen=True)
class Verdicts:
    """What the records say about all statements."""

    claims: Sequence[Judgement]
    findings: Sequence[Finding]


def judge_all(statements: Statements, runs: Sequence[RunRecord]) -> Verdicts:
    """The claims by complete runs of the paper's profile, the defects by these and their own reruns."""
    evidence = Evidence(runs, statements.complete)
    with_reruns = Evidence(runs, [*statements.complete, *statements.complete_reruns])
    return Verdicts(
        [judge_statement(claim, evidence) for claim in statements.claims], find(statements.defects, with_reruns)
    )
