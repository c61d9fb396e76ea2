"""MAX-SAT over sizes: which runs belong together, what stands beside them, what is missing, and what the figures show."""

import numpy
import pytest

from polystep.bench.curves import read_history
from polystep.bench.figures import method_looks
from polystep.bench.groups import group_runs
from polystep.bench.maxsat_figures import seconds_figure, size_figure
from polystep.bench.maxsat_scaling import maxsat_entries, maxsat_table, published_share
from polystep.bench.report import build_report

METRIC = {"name": "satisfied", "direction": "maximize", "unit": "fraction"}


@pytest.fixture
def add_maxsat_run(add_run):
    """A run on an instance of the published distribution, of `seed` on the instance of `instance_seed`."""

    def add(
        variables=1000, optimizer="polystep", seed=42, instance_seed=42, steps_budget=200, report="best_ever", **changes
    ):
        task = f"maxsat_{variables}v" + (f"_seed{instance_seed}" if instance_seed != 42 else "")
        config = {
            "seed": seed,
            "optimizer": {"name": optimizer, "report": report, "seed": seed},
            "task": {"variables": variables, "instance_seed": instance_seed},
            "budget": {"steps": steps_budget},
            "device": "cpu",
        }
        name = f"{task}-{optimizer}-{changes.get('study', 'paper')}-{seed}-{steps_budget}-{report}"
        settings = {"config": config, "name": name, "metric": METRIC, "data_fingerprint": task, "study": "paper"}
        return add_run(optimizer, seed=seed, task=task, **settings | changes)

    return add


def entries_of(runs):
    return maxsat_entries(group_runs(runs))


def histories_of(runs):
    return {run.name: read_history(run.folder) for run in runs}


def test_seeds_and_instances_of_a_size_are_pooled(add_maxsat_run):
    runs = [
        add_maxsat_run(test=0.95),
        add_maxsat_run(seed=1, test=0.96),
        add_maxsat_run(instance_seed=43, test=0.97),
        add_maxsat_run(100_000, test=0.98),
    ]
    small, large = entries_of(runs)
    assert (small.variables, small.method, len(small.runs)) == (1000, "polystep", 3)
    assert (large.variables, len(large.runs)) == (100_000, 1)
    assert small.satisfied.mean == pytest.approx(0.96) and small.satisfied.n == 3
    # every run takes 50 seconds for 200 steps of 8688 candidates
    assert small.seconds_per_step.mean == pytest.approx(0.25)
    assert small.candidates_per_second.mean == pytest.approx(8688 / 0.25)
    rows = maxsat_table([large, small]).rows
    assert [row["variables"] for row in rows] == [1000, 100_000]
    assert (rows[0]["instances"], rows[0]["runs"]) == (2, 3)


def test_settings_stay_apart_on_any_instance(add_maxsat_run):
    runs = [
        add_maxsat_run(test=0.95),
        add_maxsat_run(instance_seed=43, steps_budget=900, test=0.99),
        add_maxsat_run(instance_seed=43, test=0.97),
    ]
    entries = {entry.method: entry for entry in entries_of(runs)}
    assert set(entries) == {"polystep (budget.steps=200)", "polystep (budget.steps=900)"}
    assert len(entries["polystep (budget.steps=200)"].runs) == 2


def test_only_the_published_distribution_counts(add_run, add_maxsat_run):
    others = ("maxsat_uf250", "maxsat_1000v_planted", "maxsat_1000v_ratio3_seed1", "snn")
    assert entries_of([add_run(task=task, metric=METRIC) for task in others]) == []
    assert len(entries_of([add_maxsat_run()])) == 1


def test_published_values_stand_beside(add_maxsat_run):
    runs = [add_maxsat_run(100_000), add_maxsat_run(100_000, "probsat"), add_maxsat_run(100_000, "mezo")]
    rows = {row["method"]: row for row in maxsat_table(entries_of(runs)).rows}
    ours = rows["polystep"]
    assert ours["published"].mean == pytest.approx(0.979889) and ours["published"].n == 5
    assert ours["published_seconds_per_step"].mean == pytest.approx(3.744479)
    assert ours["published_candidates_per_second"].mean == pytest.approx(66_800_000 / 3744.479)
    # a published step of a local search is a flip
    assert rows["probsat"]["published_seconds_per_step"] is None
    assert rows["probsat"]["published_candidates_per_second"].mean > 10**6
    assert rows["mezo"]["published"] is rows["mezo"]["published_candidates_per_second"] is None
    assert published_share(1000, "walksat").mean == pytest.approx(1 - 6 / 4270, abs=1e-6)


def test_missing_sizes_are_named_where_there_is_something_to_compare_with(add_maxsat_run):
    notes = maxsat_table(entries_of([add_maxsat_run(), add_maxsat_run(100), add_maxsat_run(optimizer="mezo")])).notes
    missing = [note for note in notes if note.startswith("No finished run")]
    assert missing == [
        "No finished run of polystep, study paper, with 500, 5,000, 20,000, 100,000, 1,000,000 variables."
    ]
    everywhere = [add_maxsat_run(size, "cma_es") for size in (100, 500, 1000, 5000, 20_000, 100_000)]
    assert not [note for note in maxsat_table(entries_of(everywhere)).notes if note.startswith("No finished")]


def test_size_figure_shows_the_usual_and_the_best_settings_and_what_is_published(add_maxsat_run):
    runs = [
        add_maxsat_run(test=0.98),
        add_maxsat_run(steps_budget=900, test=0.99),
        add_maxsat_run(100_000, test=1.0),
        add_maxsat_run(optimizer="mezo", test=0.9),
        add_maxsat_run(optimizer="openai_es", test=0.9),
        add_maxsat_run(100_000, "openai_es", test=0.8),
        # what differs on one size alone is not shown, though it scores better
        add_maxsat_run(optimizer="openai_es", test=0.95, report="mean"),
    ]
    figure = size_figure(entries_of(runs), method_looks(["polystep", "mezo", "openai_es"]))
    left, right = figure.axes
    drawn = {line.get_label(): line for line in left.lines}
    ours = drawn["polystep, study paper"]
    assert ours.get_xdata() == pytest.approx([1000, 100_000])
    assert drawn["openai_es, study paper"].get_ydata() == pytest.approx([10, 20])
    # unsatisfied percentages, of which a logarithmic axis cannot show 0
    assert ours.get_ydata() == pytest.approx([1, 0.01])
    assert drawn["mezo, study paper"].get_ydata() == pytest.approx([10])
    # whether or not they have run
    published = {label: len(line.get_xdata()) for label, line in drawn.items() if label.startswith("published")}
    names = ("polystep", "openai_es", "cma_es", "probsat", "walksat")
    assert published == dict(zip([f"published {name}" for name in names], [7, 7, 6, 7, 7], strict=True))
    assert drawn["published polystep"].get_ydata()[5:] == pytest.approx([100 - 97.9889, 100 - 92.6139], abs=0.001)
    assert [text.get_text() for text in left.get_yticklabels()][:2] == ["87.5", "95"]
    assert {tuple(line.get_xdata()) for line in right.lines} >= {(1000, 100_000), (1000,)}


def test_seconds_figure_has_a_panel_for_each_size_that_was_run(add_maxsat_run):
    runs = [add_maxsat_run(1000), add_maxsat_run(1000, "probsat"), add_maxsat_run(100_000), add_maxsat_run(500)]
    looks = method_looks(["polystep", "probsat"])
    figure = seconds_figure(entries_of(runs), histories_of(runs), looks)
    assert [axes.get_title() for axes in figure.axes] == ["1,000 variables", "100,000 variables"]
    assert [len(axes.lines) for axes in figure.axes] == [2, 2]
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels == ["polystep, study paper", "probsat, study paper", "published polystep (wall time)"]
    published = figure.axes[1].lines[1]
    assert len(published.get_xdata()) == 50 and numpy.min(published.get_ydata()) == pytest.approx(2.01, abs=0.01)
    assert seconds_figure(entries_of(runs[3:]), histories_of(runs), looks) is None
    assert seconds_figure(entries_of(runs), {}, looks) is None


def test_the_report_shows_them_where_there_are_such_runs(add_maxsat_run, tmp_path):
    add_maxsat_run(1000)
    summary = build_report(tmp_path / "records", tmp_path / "output")
    written = {path.name for path in summary.written}
    assert {"maxsat_scaling.md", "maxsat_sizes.png", "maxsat_seconds.png"} <= written
    text = (tmp_path / "output" / "REPORT.md").read_text()
    assert "### MAX-SAT over sizes" in text and "![MAX-SAT over seconds](figures/maxsat_seconds.png)" in text
    assert "| maxsat_1000v | 98.09 ± 0.12 % |" in text


def test_runs_without_a_share_leave_the_figure_without_their_line(add_maxsat_run):
    runs = [add_maxsat_run(metrics={"steps": 200}), add_maxsat_run(optimizer="mezo", test=0.9)]
    left = size_figure(entries_of(runs), method_looks(["polystep", "mezo"])).axes[0]
    labels = [line.get_label() for line in left.lines if not line.get_label().startswith("published")]
    assert labels == ["mezo, study paper"]
