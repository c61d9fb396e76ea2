"""Verdicts in words."""

from dataclasses import replace

from polystep.report.claims.judge import judge, judge_own_first
from polystep.report.claims.statements import Condition, Score
from polystep.report.claims.texts import summary_lines
from polystep.report.page import findings_page
from tests.polystep.report.claims.table_of_runs import ABOVE, BAD, GOOD, LEADS, runs_of, statement, table


def test_a_terminal_gets_a_line_per_claim_that_says_where_its_runs_come_from():
    rows = runs_of(GOOD, origin="committed") + runs_of(BAD, origin="committed", axis="published")
    rows += runs_of(BAD, origin="own")
    claims = [statement(ABOVE, axes=("published", "equal_seconds")), statement(LEADS, id="leads")]
    lines = summary_lines(judge_own_first(table(rows), claims))
    assert lines == [
        "claim (first): published settings: does not hold (committed); equal seconds: does not hold (own). It is so.",
        "leads (first): equal seconds: undecided (committed). It is so.",
    ]
    assert summary_lines(judge(table(rows[:6]), claims[:1]))[0].startswith(
        "claim (first): published settings: not run; equal seconds: holds (committed)."
    )


def test_a_finding_follows_only_where_files_and_reruns_bear_it_out():
    on_files = Condition(Score("snn", "polystep"), Score("snn", "openai_es"), files=True, at_least=0.6)
    finding = replace(statement(on_files, ABOVE, id="found"), background="It was published.", follows="So it follows.")

    def page(rows, finding=finding):
        return findings_page("first", [finding], judge(table(rows), [finding]))

    good = page(runs_of(GOOD))
    assert "| polystep minus openai_es on snn | files | +60.24 points | at least +60.00 points | holds |" in good
    assert "| polystep on snn | reruns | 93.67 (92.81 to 94.52) % | at least 89.00 % | holds |" in good
    assert "It was published." in good and good.endswith("So it follows.\n")
    assert page([]).endswith("Open: runs are missing, or an interval contains its bound.\n") and "| — |" in page([])
    assert "so nothing follows" in page(runs_of(BAD))
    within = replace(finding, conditions=(replace(on_files, at_least=-0.5, at_most=0.5),))
    assert "within ±50.00 points | does not hold" in page([], within)


def test_each_edition_has_a_page_of_its_own_findings():
    findings = [
        replace(statement(ABOVE, id=name), edition=name, text=f"Of the {name}.") for name in ("first", "revised")
    ]
    conditions = judge(table([]), findings)
    first, revised = (findings_page(edition, findings, conditions) for edition in ("first", "revised"))
    assert first.startswith("# What the runs of the first edition really did\n")
    assert revised.startswith("# What the revised edition says, did and left open\n")
    assert "## Of the first" in first and "## Of the revised" not in first
    assert "## Of the revised" in revised and "## Of the first" not in revised
