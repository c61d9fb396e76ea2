"""Charts: what is drawn, and that nothing around decides how."""

import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy
import pytest

from polystep.report import figures
from polystep.report.charts import Chart, Dot, Line, Mark, Panel, Style, rows_of, styles_of
from polystep.report.drawing import render
from polystep.report.figures.performance_profiles import profile
from polystep.report.material import Material, modules_of
from polystep.report.svg import for_page
from polystep.report.text import plain

LOOK = Style("#117733", "o")


def chart(*panels, name="chart", title="Title"):
    return Chart(name, title, "Section", (panels,))


def curves(label="method", title="task"):
    return chart(Panel(title, lines=(Line(label, LOOK, [1.0, 10.0], [0.5, 0.1], [0.4, 0.1], [0.6, 0.2]),), log_y=True))


def svg(drawn):
    return render(drawn)["svg"]


def made(table, *runs, **judged):
    material = Material(table(*runs), **judged)
    return {found.name: found for module in modules_of(figures) for found in module.charts(material)}


def test_equal_charts_give_equal_bytes():
    assert render(replace(curves(), summary=True)) == render(replace(curves(), summary=True))
    assert render(replace(curves(), summary=True)).keys() == {"svg", "pdf"} and render(curves()).keys() == {"svg"}


@pytest.mark.parametrize("text", ["ba$_$in", "$", r"a\$b", r"\frac{", "x\udcff", "<b>&", "a" * 300, "漢字"])
def test_text_from_outside_is_drawn_as_it_is(text):
    """On one line, cut where it is too long, with a mark for what is no character."""
    for drawn in (curves(text, text), chart(Panel(text, dots=(Dot(text, 1.0, "#117733"),)), title=text)):
        shown = [found for found in ElementTree.fromstring(svg(drawn)).itertext() if found == plain(text)]
        assert len(shown) >= 2


def test_the_environment_of_matplotlib_is_ignored(tmp_path):
    (tmp_path / "matplotlibrc").write_text("text.usetex: true\nbackend: TkAgg\nsvg.fonttype: path\n")
    code = (
        "import sys; from polystep.report.charts import Chart, Dot, Panel; from polystep.report.drawing import render; "
        "chart = Chart('c', 't', 's', ((Panel('p', dots=(Dot('b', 1.0, '#117733'),)),),)); "
        "sys.stdout.buffer.write(render(chart)['svg'])"
    )
    odd = {"MPLBACKEND": "module://matplotlib_inline.backend_inline", "MATPLOTLIBRC": str(tmp_path / "matplotlibrc")}
    root, environment = Path(__file__).parents[3], os.environ | odd
    drawn = subprocess.run([sys.executable, "-c", code], cwd=root, env=environment, capture_output=True, check=True)
    assert drawn.stdout == svg(Chart("c", "t", "s", ((Panel("p", dots=(Dot("b", 1.0, "#117733"),)),),)))
    assert b"<text" in drawn.stdout


def test_the_page_gets_its_own_colours_and_no_identifiers_of_groups():
    page = for_page(svg(curves()), 'a "title" <b>')
    assert "currentColor" in page
    assert "#1d2126" not in page
    assert '<g id="' not in page
    assert "&quot;title&quot; &lt;b&gt;" in page
    ElementTree.fromstring(re.sub("xlink:href", "href", page))


def test_rows_of_panels_are_balanced():
    panels = [Panel(str(number)) for number in range(6)]
    assert [len(row) for row in rows_of(panels, 4)] == [3, 3]


def test_known_methods_look_alike_in_every_report():
    assert styles_of([])["polystep"] == styles_of(["aaa", "polystep"])["polystep"]
    assert styles_of(["mine"])["mine"].colour != styles_of(["mine"])["polystep"].colour


@pytest.mark.parametrize(("labels", "shown"), [(("loss", "loss"), ["loss"]), (("loss", "score"), ["loss", "score"])])
def test_a_row_says_once_what_all_its_panels_show(labels, shown):
    panels = [Panel("", (Line("a", LOOK, [1.0, 2.0], [1.0, 2.0]),), y_label=label) for label in labels]
    assert re.findall(">(loss|score)<", svg(chart(*panels)).decode()) == shown


def test_intervals_marks_and_levels_are_drawn():
    dots = (
        Dot("claim", 0.5, "#117733", 0.1, 0.9),
        Dot("published", 1.0, "#117733", published=True),
        Dot("none", None, "#000"),
    )
    panel = Panel("p", dots=dots, level=0.0, linear_within=1.0)
    ends = ({"low": None}, {"low": 0.2}, {"high": None}, {"high": 0.8})
    others = [replace(panel, dots=(replace(dots[0], **end), *dots[1:])) for end in ends]
    assert svg(chart(panel)) not in [svg(chart(other)) for other in (*others, replace(panel, level=None))]
    marked = chart(Panel("p", lines=curves().rows[0][0].lines, marks=(Mark("published", "<", 0.2),), level=0.3))
    assert b"published" in svg(marked)


def test_five_networks_show_four_kinds_of_methods_over_two_costs(table):
    (first, second) = made(table)["five_networks"].rows
    assert [panel.title for panel in first] == ["int8, 30 s", "snn, 30 s"]
    assert [line.label for line in first[0].lines] == [
        "PolyStep", "Finite differences", "Best other black-box method: OpenAI-ES", "Gradients: Adam, surrogate gradient",
    ]  # fmt: skip
    assert first[0].lines[0].y[-1] == pytest.approx(100 * (1 - 0.92), abs=2.5), "the error, in percent"
    assert [panel.x_label for panel in (first[0], second[0])] == ["step seconds", "sample forwards"]
    assert first[0].marks


def test_a_family_of_sizes_is_drawn_over_them(table):
    charts = made(table)
    assert list(charts["sizes_maxsat"].rows[0][0].lines[0].x) == [100, 1000, 100_000]
    assert "sizes_networks" not in charts


def test_scores_with_a_threshold_are_linear_and_others_distances(table):
    charts = made(table)
    control = charts["curves_control_equal_seconds"].rows[0][0]
    networks = charts["curves_networks_equal_seconds"].rows[0][0]
    assert (control.log_y, control.level) == (False, 475)
    assert networks.log_y
    assert networks.y_label == "100 % - accuracy"


def test_incomplete_repetitions_are_not_shown(table, make_run):
    published = {"protocol": "published", "edition": "first"}
    runs = [make_run("snn", "polystep", used_share=0.1, **published)]
    assert not any(name.startswith("scores") for name in made(table, *runs))
    runs = [make_run("snn", "polystep", **published)]
    (panel,) = made(table, *runs)["scores_networks_published_settings_first_edition"].rows[0]
    assert [dot.label for dot in panel.dots] == ["PolyStep (n=1)", "published"]


def test_performance_profiles_weigh_tasks_alike_and_need_all_of_them(table, make_run):
    tasks = ("maxsat_100v", "maxsat_1000v", "maxsat_100000v")
    runs = [
        make_run(task, name, seed, test_selected=0.9 - 0.1 * (task == tasks[0]) - 0.05 * (name == "openai_es") * seed)
        for task in tasks
        for name in ("polystep", "openai_es")
        for seed in range(1 + (task == tasks[0]))
    ]
    runs += [make_run(task, "walksat", test_selected=1.0) for task in tasks[1:]]
    (panel,) = made(table, *runs)["performance_profiles_maxsat"].rows[0]
    shares = {line.label: dict(zip(line.x.round(6), line.y.round(6), strict=True)) for line in panel.lines}
    assert shares == {
        "PolyStep": {10.0: 0.666667, 20.0: 1.0, 25.0: 1.0},
        "OpenAI-ES": {10.0: 0.666667, 20.0: 0.833333, 25.0: 1.0},
    }
    (rival,) = (line for line in panel.lines if line.label == "OpenAI-ES")
    assert rival.low[1] == pytest.approx(2 / 3) and rival.high[1] == 1.0
    assert "performance_profiles_maxsat" not in made(table, *(run for run in runs if run["task"] != tasks[0]))


def test_a_band_of_a_profile_holds_the_truth_as_often_as_it_says():
    generator, inside = numpy.random.default_rng(1), 0
    for _ in range(300):
        tasks = [generator.exponential(size=10) for _ in range(4)]
        _, low, high = profile(tasks, [0.7])
        inside += low[0] <= 1 - numpy.exp(-0.7) <= high[0]
    # the bootstrap of ten seeds is somewhat too narrow
    assert 0.88 <= inside / 300 <= 0.99
