"""Own runs beside committed ones."""

import pytest

from polystep.contracts import ExpectedError
from polystep.report.compare import compare


def rows(shown):
    return {(row["method"], row["origin"]): row for row in shown.rows}


@pytest.fixture
def both(table, make_run):
    """The table of own runs and committed ones."""

    def make(own, committed):
        return table(*(run | {"origin": "own"} for run in own), *(run | {"origin": "committed"} for run in committed))

    return make


def test_differences_are_to_the_own_runs(both, make_run):
    mine = [make_run("snn", "mine", seed, test_selected=0.8) for seed in (1, 2)]
    theirs = [make_run("snn", "polystep", seed, test_selected=0.9) for seed in (1, 2)]
    (shown,), _ = compare(both(mine, theirs), "snn", "mine")
    assert rows(shown)["PolyStep", "committed"]["difference"].value == pytest.approx(0.1)
    assert rows(shown)["mine", "own"]["difference"].value is None
    assert "AMD EPYC" in shown.title, "the context is said once"


def test_published_returns_are_compared_by_the_last_policy(both, make_run):
    published = {"protocol": "published", "edition": "first"}
    mine, theirs = (
        [make_run("cartpole", name, seed, test_selected=500.0, test_last=last, **published) for seed in (1, 2)]
        for name, last in (("mine", 200.0), ("polystep", 150.0))
    )
    (shown,), _ = compare(both(mine, theirs), "cartpole", "mine")
    found = rows(shown)
    assert [row["test"].mean for row in found.values()] == [200.0, 150.0]
    assert found["PolyStep", "committed"]["difference"].value == -50.0
    assert shown.notes == ("Test scores of the last policy, as is published.",)


def test_a_repetition_stands_beside_the_committed_run(both, make_run):
    run = make_run("snn", "polystep")
    (shown,), _ = compare(both([run | {"test_selected": 0.5}], [run]), "snn", "polystep")
    assert {key: row["test"].mean for key, row in rows(shown).items()} == {
        ("PolyStep", "own"): 0.5,
        ("PolyStep", "committed"): 0.9,
    }


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        ({"processor": "other"}, "other processor"),
        ({"data": "other"}, "other data"),
        ({"budget.seconds": 60.0, "step_seconds": 60.0}, "budget.seconds=30"),
        ({"step_seconds": 15.0}, "part of its budget"),
        ({"step_seconds": 45.0}, "more than its budget"),
    ],
)
def test_what_cannot_be_compared_says_why(both, make_run, columns, reason):
    runs = both([make_run("snn", "mine", **columns)], [make_run("snn", "polystep")])
    (shown,), _ = compare(runs, "snn", "mine")
    row = rows(shown)["PolyStep", "committed"]
    assert row["difference"].value is None
    assert reason in row["remark"]


def test_runs_of_other_seeds_do_not_hinder_a_comparison(both, make_run):
    """The data of MAX-SAT belong to the seed: some of them are enough."""

    def runs(name, *seeds):
        return [make_run("snn", name, seed, data=f"of {seed}") for seed in seeds]

    (shown,), _ = compare(both(runs("mine", 1, 42), runs("polystep", 42, 123)), "snn", "mine")
    assert rows(shown)["PolyStep", "committed"]["remark"] == ""


def test_other_processors_do_not_matter_for_equal_steps(both, make_run):
    columns = {"protocol": "equal_steps", "budget.steps": 100, "steps": 100}
    runs = both([make_run("snn", "mine", processor="other", **columns)], [make_run("snn", "polystep", **columns)])
    (shown,), _ = compare(runs, "snn", "mine")
    assert rows(shown)["PolyStep", "committed"]["difference"].value is not None
    assert {row["context"] for row in shown.rows} == {"other, 1 thread", "AMD EPYC, 1 thread"}


def test_axes_of_one_side_are_named(both, make_run):
    runs = both([make_run("snn", "mine", protocol="default")], [make_run("snn", "polystep")])
    (shown,), sentences = compare(runs, "snn", "mine")
    assert [row["origin"] for row in shown.rows] == ["own"]
    assert sentences == ["equal seconds: only committed runs", "default settings: only your runs"]


def test_without_own_runs_those_that_exist_are_named(both, make_run):
    with pytest.raises(ExpectedError, match=r"task=snn; there are optimizer=mine task=snn"):
        compare(both([make_run("snn", "mine")], []), "snn", "other")
    with pytest.raises(ExpectedError, match=r"did you mean mine\?\); there are"):
        compare(both([make_run("snn", "mine")], []), "snn", "nine")
    with pytest.raises(ExpectedError, match="make one with"):
        compare(both([], [make_run("snn", "polystep")]), "snn", "other")
