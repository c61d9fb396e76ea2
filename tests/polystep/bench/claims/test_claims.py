"""The committed claims: well-formed, complete, and backed by the published data they speak of."""

from pathlib import Path

import pytest

from polystep.bench.claims.conditions import Verdict
from polystep.bench.claims.evidence import Evidence
from polystep.bench.claims.statements import judge_statement, read_statements
from polystep.bench.claims.tables import claims_table, conditions_table
from polystep.bench.rendering import to_csv, to_markdown

CLAIMS = read_statements(Path(__file__).parents[4] / "configs" / "claims.yaml")


def test_every_claim_is_not_run_without_records() -> None:
    assert len(CLAIMS) == 9
    assert {judge_statement(claim, Evidence([], [])).overall for claim in CLAIMS} == {Verdict.NOT_RUN}


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.name)
def test_published_values_are_known_and_meet_the_claim(claim) -> None:
    values = [condition.published() for condition in claim.conditions]
    if claim.name in ("snn_ceiling", "falsifier"):
        assert values == [None], "no surrogate-gradient run was published"
        return
    for condition, value in zip(claim.conditions, values, strict=True):
        lowest, highest = condition.bounds
        assert value is not None and lowest <= value <= highest, condition


def test_the_ledger_of_a_claim_that_holds(make_run) -> None:
    claim = next(claim for claim in CLAIMS if claim.name == "snn_rivals")
    runs = [
        make_run(method, seed, test + seed / 1e6, study=study)
        for method, test in (("polystep", 0.93), ("openai_es", 0.30), ("cma_es", 0.16), ("spsa", 0.2))
        for seed in claim.seeds
        for study in claim.studies.values()
    ]
    judgement = judge_statement(claim, Evidence(runs, [run.config for run in runs]))
    assert judgement.overall is Verdict.HOLDS
    table = to_markdown(claims_table([judgement]))
    assert "+60.24 points: polystep minus openai_es on snn" in table
    assert "+63.00 (+63.00 to +63.00) points: polystep minus openai_es on snn" in table
    assert [cell.strip() for cell in table.splitlines()[2].split("|")].count("holds") == 3
    details = to_csv(conditions_table([judgement])).splitlines()
    assert len(details) == 1 + 3 * 2
    assert all("holds" in line for line in details[1:])
    assert len(claims_table([judgement]).rows[0]["sources"]) == len(runs)


def test_an_empty_ledger_says_why() -> None:
    judgements = [judge_statement(claim, Evidence([], [])) for claim in CLAIMS]
    text = to_markdown(claims_table(judgements))
    assert "| holds |" not in text
    assert "no finished run of polystep on snn, study paper" in text
