"""What the tuning table shows."""

from pathlib import Path

from polystep.bench.groups import group_runs
from polystep.bench.rendering import to_markdown
from polystep.bench.report import build_report
from polystep.bench.tuning import tuning_table


def grid(add_run, optimizer: str, scores: dict[float, float]) -> list:
    return [
        add_run(
            optimizer,
            study="tuning",
            protocol="tuning",
            run_id=f"{optimizer}{sigma}",
            name=f"{optimizer}-{sigma}",
            config={"seed": 7, "optimizer": {"sigma": sigma}},
            metrics={"validation_selected": score, "test_selected": 0.111, "steps": 200},
        )
        for sigma, score in scores.items()
    ]


def test_settings_are_ranked_within_each_method_by_validation_alone(add_run) -> None:
    runs = grid(add_run, "spsa", {0.1: 0.4, 0.2: 0.6}) + grid(add_run, "openai_es", {1.0: 0.7, 2.0: 0.5})
    table = tuning_table(group_runs(runs))
    assert [(row["method"], row["rank"]) for row in table.rows] == [
        ("openai_es (sigma=1.0)", 1),
        ("openai_es (sigma=2.0)", 2),
        ("spsa (sigma=0.2)", 1),
        ("spsa (sigma=0.1)", 2),
    ]
    text = to_markdown(table)
    assert "70.00 %" in text and "11.1" not in text


def test_tuning_runs_appear_nowhere_else_in_a_report(add_run, tmp_path: Path) -> None:
    grid(add_run, "spsa", {0.1: 0.4})
    add_run("mezo")
    build_report(tmp_path / "records", tmp_path / "output")
    with_spsa = {path.name for path in (tmp_path / "output" / "tables").glob("*.csv") if "spsa" in path.read_text()}
    assert with_spsa == {"tuning.csv"}


def test_reports_without_tuning_runs_have_no_such_table(add_run, tmp_path: Path) -> None:
    add_run("mezo")
    build_report(tmp_path / "records", tmp_path / "output")
    assert not (tmp_path / "output" / "tables" / "tuning.csv").exists()


def test_each_tuning_study_has_ranks_of_its_own(add_run) -> None:
    runs = [
        add_run(
            "spsa", study=study, protocol="tuning", run_id=study, name=study, metrics={"validation_selected": score}
        )
        for study, score in {"tuning": 0.4, "tuning_evals": 0.3}.items()
    ]
    rows = tuning_table(group_runs(runs)).rows
    assert [(row["study"], row["rank"]) for row in rows] == [("tuning", 1), ("tuning_evals", 1)]
