"""Control in reports: which runs count, what stands beside them, and what the figures show."""

import pytest

from polystep.bench.control_figures import return_figure, robustness_figure
from polystep.bench.control_scores import control_entries, control_table, published_return
from polystep.bench.curves import read_history
from polystep.bench.figures import method_looks
from polystep.bench.groups import group_runs
from polystep.bench.records import write_history
from polystep.bench.report import build_report

METRIC = {"name": "return", "direction": "maximize", "unit": ""}


@pytest.fixture
def add_control_run(add_run):
    """A run whose validation return rises by 100 every 1000 environment steps, from `start`."""

    def add(task="cartpole", optimizer="polystep", seed=42, start=0.0, test=500.0, steps=6, study="default", **changes):
        run = add_run(
            optimizer,
            seed=seed,
            task=task,
            test=test,
            study=study,
            **{"metric": METRIC, "history": False, "protocol": study} | changes,
        )
        rows = [
            {"step": n, "validation": start + 100 * n, "environment_steps": 1000 * n, "seconds": n / 10}
            for n in range(steps + 1)
        ]
        write_history(run.folder, [{"candidate_evaluations": n, **row} for n, row in enumerate(rows)])
        return run

    return add


def entries_of(runs):
    return control_entries(group_runs(runs))


def histories_of(runs):
    return {run.name: read_history(run.folder) for run in runs}


def test_environments_and_policies_are_read_off_the_tasks(add_control_run):
    tasks = ("acrobot_binary", "cartpole_int8", "cartpole", "cartpole_int8_hardened", "Pendulum-v1", "snn")
    found = [(entry.environment, entry.activation) for entry in entries_of([add_control_run(task) for task in tasks])]
    assert found == [("acrobot", "binary"), ("cartpole", "float"), ("cartpole", "int8")]


def test_published_returns_are_those_of_the_same_policy():
    assert published_return("cartpole", "float", "openai_es", "final_return").mean == pytest.approx(153.5, abs=0.05)
    assert published_return("cartpole", "int8", "ppo", "final_return").mean == pytest.approx(39.8, abs=0.05)
    assert published_return("acrobot", "binary", "polystep", "final_return").mean == pytest.approx(-76.4, abs=0.05)
    assert published_return("acrobot", "float", "cma_es", "final_return") is None


def test_solving_is_counted_in_environment_steps(add_control_run):
    runs = [add_control_run(seed=1), add_control_run(seed=2, start=-75.0), add_control_run(seed=3, start=-300.0)]
    (row,) = control_table(entries_of(runs), histories_of(runs)).rows
    solved = row["until_solved"]
    # returns of 500 after 5000 steps, of 525 after 6000, and of 300 at the end
    assert dict(solved.by_seed) == {1: 5000, 2: 6000, 3: 6000} and solved.unreached == (3,)
    assert (solved.median, solved.exact) == (6000, True)
    assert (row["seeds"], row["test_selected"].mean, row["test_last"].mean) == (3, 500, pytest.approx(499.99))
    assert row["iqm_last"].value == pytest.approx(499.99)
    assert row["published_last"].mean == pytest.approx(499.97, abs=0.01) and row["published_best"].mean == 500
    assert row["published_environment_steps"].mean == 51_456_000


def test_runs_without_counted_steps_have_no_such_number(add_control_run):
    run = add_control_run()
    history = read_history(run.folder).drop(columns="environment_steps")
    for histories in ({}, {run.name: history}):
        (row,) = control_table(entries_of([run]), histories).rows
        assert row["until_solved"] is None
        assert not return_figure(entries_of([run]), histories, method_looks([])).axes[0].lines[1:]


def test_return_figure_has_a_panel_for_each_policy_and_currency(add_control_run):
    runs = [
        add_control_run(),
        add_control_run("cartpole_binary"),
        add_control_run("cartpole_binary", "openai_es", study="paper", start=-20.0),
    ]
    figure = return_figure(entries_of(runs), histories_of(runs), method_looks(["polystep", "openai_es"]))
    assert [axes.get_title() for axes in figure.axes[:3]] == ["float policy", "int8 policy", "binary policy"]
    assert figure.get_suptitle() == "Return on cartpole, validation, protocol default"
    # the dotted line of what counts as solved, then one line per entry
    assert [len(axes.lines) for axes in figure.axes] == [2, 1, 3, 2, 1, 3]
    assert figure.axes[0].lines[1].get_xdata().tolist() == [1000, 2000, 3000, 4000, 5000, 6000]
    assert figure.axes[3].lines[1].get_xdata() == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.5, 0.6])
    assert figure.axes[2].lines[1].get_ydata()[-1] in (600, 580)
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels == ["openai_es, study paper", "polystep, study default"]


def test_lengths_of_episodes_are_compared_by_their_ratios(add_control_run):
    runs = [
        add_control_run("acrobot", start=-300.0, steps=2),
        add_control_run("acrobot", "openai_es", start=-350.0, steps=2),
    ]
    axes = return_figure(entries_of(runs), histories_of(runs), method_looks(["polystep", "openai_es"])).axes[0]
    places = axes.transData.transform([(1000, value) for value in (-400, -200, -100)])[:, 1]
    assert places[1] - places[0] == pytest.approx(places[2] - places[1]) and places[0] < places[1]
    # the worst return is a tick, which need not be in view
    assert -400 < axes.get_ylim()[0] < -250


def test_robustness_figure_shows_returns_beside_published_ones(add_control_run):
    runs = [
        add_control_run(seed=1),
        add_control_run(seed=2, test=400.0),
        add_control_run("acrobot_int8", "cma_es", test=-80.0),
        add_control_run("acrobot_int8", test=-85.0),
    ]
    figure = robustness_figure(entries_of(runs), method_looks(["polystep", "cma_es"]))
    by_title = {axes.get_title(): axes for axes in figure.axes}
    assert len(by_title) == 6 and not by_title["cartpole, binary"].patches
    ours, published = by_title["cartpole, float"].patches
    assert (ours.get_x(), ours.get_width()) == (0, pytest.approx(449.99))
    assert published.get_hatch() and published.get_width() == pytest.approx(499.97, abs=0.01)
    # bars of negative returns begin at the worst one
    widths = [bar.get_width() for bar in by_title["acrobot, int8"].patches]
    assert sorted(widths) == pytest.approx([414.99, 416.2, 419.99], abs=0.1)


def test_the_report_shows_them_where_there_are_such_runs(add_control_run, tmp_path):
    add_control_run()
    summary = build_report(tmp_path / "records", tmp_path / "output")
    written = {path.name for path in summary.written}
    assert {"control.md", "control_quantisation.png", "return_cartpole_default.png"} <= written
    # those of returns tell more
    assert not any(name.startswith(("learning_curves", "scores")) for name in written)
    text = (tmp_path / "output" / "REPORT.md").read_text()
    assert "### Control: float, int8 and binary policies" in text and "figures/return_cartpole_default.png" in text
