"""The page about the published runs: well-formed, and nothing follows before it is shown."""

from dataclasses import replace
from pathlib import Path

import pytest

from polystep.bench.claims.conditions import Verdict
from polystep.bench.claims.evidence import Evidence
from polystep.bench.claims.published_runs import find, findings_page, read_defects
from polystep.bench.profiles import read_profile
from polystep.bench.schema import ConfigError

CONFIGS = Path(__file__).parents[4] / "configs"
DEFECTS = read_defects(CONFIGS / "published_runs.yaml")


@pytest.mark.parametrize("defect", DEFECTS, ids=lambda defect: defect.name)
def test_released_files_bear_out_what_is_said_of_them(defect) -> None:
    (finding,) = find([defect], Evidence([], []))
    assert finding.shown_by_files
    assert "<" not in defect.published
    assert finding.verdict is (Verdict.NOT_RUN if defect.reruns else Verdict.HOLDS)
    assert finding.conclusion() == defect.follows or "Open until" in finding.conclusion()


def test_nothing_follows_from_files_that_say_otherwise() -> None:
    defect = next(defect for defect in DEFECTS if defect.name == "memory")
    impossible = replace(defect, files=(replace(defect.files[0], at_least=1e9),))
    (finding,) = find([impossible], Evidence([], []))
    assert finding.verdict is Verdict.FAILS
    assert "nothing follows" in finding.conclusion() and "| no |" in findings_page([finding])


def test_a_consequence_is_stated_once_reruns_show_it(make_run) -> None:
    defect = next(defect for defect in DEFECTS if defect.name == "adam_substitute")
    runs = [make_run("adam_surrogate", seed, 0.978 + seed / 1e6, study="default") for seed in (42, 123, 456)]
    runs += [make_run("adam", seed, 0.75, task="snn_smooth") for seed in (42, 123, 456)]
    evidence = Evidence(runs, [run.config for run in runs])
    assert defect.follows in findings_page(find([defect], evidence))
    assert defect.follows not in findings_page(find([defect], Evidence(runs[1:], [run.config for run in runs])))


def test_published_numbers_come_from_the_files(tmp_path: Path) -> None:
    text = findings_page(find(DEFECTS, Evidence([], [])))
    assert "93.36 % on the spiking network" in text and "standard deviation over seeds of 11.71 points" in text
    path = tmp_path / "published_runs.yaml"
    path.write_text(
        "statements: [{name: a, statement: b, follows: c, published: 'it is <snn polystep speed>', "
        "files: [{score: {task: snn, method: polystep}, at_least: 0}]}]"
    )
    with pytest.raises(ConfigError, match="<snn polystep speed> is not published"):
        read_defects(path)


def test_every_rerun_is_in_a_profile() -> None:
    """By method and study: what a defect waits for can be run by one command."""
    planned = [*read_profile(CONFIGS, "published_runs"), *read_profile(CONFIGS, "paper")]
    names = {
        tuple(sorted(part for part in run.overrides if part.startswith(("optimizer=", "study=")))) for run in planned
    }
    for defect in DEFECTS:
        for condition in defect.reruns.conditions if defect.reruns else ():
            for score in filter(None, (condition.score, condition.minus)):
                study = score.study or "paper"
                assert (f"optimizer={score.method}", f"study={study}") in names, (defect.name, score)
