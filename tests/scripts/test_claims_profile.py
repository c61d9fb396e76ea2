"""The profile of the claims holds every run that a claim asks for, and no other."""

from collections.abc import Iterator

from polystep.bench.profiles import PlannedRun, read_profile
from polystep.bench.schema import read_yaml
from polystep.report.claims.evidence import OWN_BUDGETS
from polystep.report.claims.statements import read_statements
from polystep.report.one_run import METHOD
from scripts.console import CONFIGS

Wanted = tuple[str, str, str, str, int]
"""Task, method, protocol, edition and seed of a run."""
STUDIES = {path.stem: read_yaml(path, "a study")["study"] for path in (CONFIGS / "study").glob("*.yaml")}


def planned(run: PlannedRun) -> Wanted:
    """What a run of the profile is known by in a table of runs."""
    chosen = dict(item.split("=", 1) for item in run.overrides)
    task, study = chosen["task"], STUDIES[chosen["study"]]
    if "task.variables" in chosen:
        task = f"{task}_{chosen['task.variables']}v"
    if chosen.get("task.activation", "float") != "float":
        task = f"{task}_{chosen['task.activation']}"
    return task, chosen["optimizer"], study["protocol"], study["edition"] or "", int(chosen["seed"])


def asked() -> Iterator[tuple[Wanted, Wanted]]:
    """Every run that decides a claim: with settings of the claim's edition, and with those of no edition, which serve as well
    where that edition has no budgets of its own. Where it gives rivals the budget of PolyStep's published runs, those serve.
    """
    for claim in read_statements(CONFIGS / "statements" / "claims.yaml"):
        for axis in claim.axes:
            for score in [one for condition in claim.conditions for one in (condition.score, condition.minus) if one]:
                protocol = score.axis or axis
                if (claim.edition, protocol) in OWN_BUDGETS and score.method == METHOD:
                    protocol = "published"
                for seed in claim.seeds:
                    own = score.task, score.method, protocol, claim.edition, seed
                    yield own, own if (claim.edition, protocol) in OWN_BUDGETS else (*own[:3], "", seed)


def test_the_profile_holds_every_run_that_a_claim_asks_for() -> None:
    there = set(map(planned, read_profile(CONFIGS, "claims")))
    assert not [own for own, other in asked() if own not in there and other not in there]


def test_the_profile_holds_no_other_run() -> None:
    wanted, runs = {run for pair in asked() for run in pair}, read_profile(CONFIGS, "claims")
    assert not [run.title for run in runs if planned(run) not in wanted]
    assert len({run.overrides for run in runs}) == len(runs)
