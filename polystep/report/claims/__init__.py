"""Statements about results, judged by the table of runs: the claims of both editions, and what the published runs did."""

from polystep.report.claims.judge import judge, judge_own_first, verdicts
from polystep.report.claims.statements import Condition, Score, Statement, StatementError, read_statements
from polystep.report.claims.texts import summary_lines

__all__ = [
    "Condition",
    "Score",
    "Statement",
    "StatementError",
    "judge",
    "judge_own_first",
    "read_statements",
    "summary_lines",
    "verdicts",
]
