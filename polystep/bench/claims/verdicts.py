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
    """Claims and defects, each with the configurations of complete runs; a run that equals none of them decides nothing."""

    claims: Sequence[Statement]
    complete_for_claims: Sequence[Mapping[str, Any]]
    defects: Sequence[Defect] = ()
    complete_for_defects: Sequence[Mapping[str, Any]] = ()


@dataclass(frozen=True)
class Verdicts:
    """What the records say about all statements."""

    claims: Sequence[Judgement]
    findings: Sequence[Finding]


def judge_all(statements: Statements, runs: Sequence[RunRecord]) -> Verdicts:
    """All claims and defects by the records of `runs`."""
    evidence = Evidence(runs, statements.complete_for_claims)
    judgements = [judge_statement(claim, evidence) for claim in statements.claims]
    return Verdicts(judgements, find(statements.defects, Evidence(runs, statements.complete_for_defects)))
