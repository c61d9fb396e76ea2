"""What the figures draw, and that they can be written."""

from pathlib import Path

import numpy
import pytest
from matplotlib.lines import Line2D

from polystep.bench.figures import learning_curves, read_history, write_figure
from polystep.bench.files import StorageError
from polystep.bench.groups import Group, group_runs


def data(line: Line2D) -> tuple[numpy.ndarray, numpy.ndarray]:
    return numpy.asarray(line.get_xdata(), float), numpy.asarray(line.get_ydata(), float)


def histories(groups: list[Group]) -> dict:
    return {run.name: read_history(run.folder) for group in groups for run in group.runs if run.folder is not None}


def test_lines_are_validation_and_dots_are_test(add_run) -> None:
    groups = group_runs([add_run()])
    for axes, per_step in zip(learning_curves(groups, histories(groups)).axes, (8688, 0.25), strict=True):
        assert axes.get_xscale() == "log"
        lines = [data(line) for line in axes.lines if line.get_linestyle() == "-"]
        # The first line is the empty one of the legend; step 0 has no place on a logarithmic axis.
        steps = numpy.arange(20.0, 201.0, 20.0)
        numpy.testing.assert_allclose(lines[1], (steps * per_step, steps / 2.5))
        (dots,) = [data(line) for line in axes.lines if line.get_marker() == "o"]
        expected = numpy.array([[20.0, 100.0, 200.0], [40.0, 60.0, 89.0]])
        expected[0] *= per_step
        numpy.testing.assert_allclose(dots, expected)


def test_published_curve_and_headline_are_marked_as_published(add_run) -> None:
    groups = group_runs([add_run(), add_run(study="default"), add_run("openai_es")])
    figure = learning_curves(groups, histories(groups))
    for axes, first_cost in zip(figure.axes, (20 * 8688, 20.572), strict=True):
        (curve,) = [data(line) for line in axes.lines if line.get_linestyle() == "--"]
        assert (curve[0][0], curve[1][0]) == pytest.approx((first_cost, 43.29))
        (headline,) = [data(line) for line in axes.lines if line.get_linestyle() == ":"]
        assert headline[1] == pytest.approx(93.362)
    texts = [text.get_text() for text in figure.legends[0].get_texts()]
    assert "published polystep (test accuracy, RTX 5090), mean ± standard deviation of 5 seeds" in texts
    assert "published polystep, headline: 93.36 ± 0.22 % (best of all looks at the test set)" in texts
    assert sum("published" in text for text in texts) == 2


def test_one_colour_and_one_legend_entry_per_group(add_run) -> None:
    groups = group_runs([add_run(optimizer, seed) for optimizer in ("a", "b") for seed in (1, 2)])
    figure = learning_curves(groups, histories(groups))
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["a, study paper, n=2", "b, study paper, n=2"]
    colours = {line.get_color() for line in figure.axes[0].lines}
    assert len(colours) == 2


def test_a_run_without_readable_history_is_left_out(add_run) -> None:
    groups = group_runs([add_run(seed=1), add_run(seed=2)])
    known = histories(groups)
    del known[groups[0].runs[0].name]
    figure = learning_curves(groups, known)
    assert "polystep, study paper, n=1" in [text.get_text() for text in figure.legends[0].get_texts()]


def test_runs_without_candidates_and_other_metrics_are_drawn(add_run, tmp_path: Path) -> None:
    metric = {"name": "mean squared error", "direction": "minimize", "unit": ""}
    groups = group_runs([add_run("adam", metric=metric)])
    known = histories(groups)
    for history in known.values():
        history["candidate_evaluations"] = 0.0
    figure = learning_curves(groups, known)
    assert figure.axes[0].get_ylabel() == "mean squared error"
    assert all(path.stat().st_size for path in write_figure(figure, tmp_path, "curves"))


def test_files_are_not_blank_and_equal_for_equal_data(add_run, tmp_path: Path) -> None:
    from matplotlib.image import imread

    groups = group_runs([add_run()])
    contents = []
    for folder in (tmp_path / "first", tmp_path / "second"):
        paths = write_figure(learning_curves(groups, histories(groups)), folder, "curves")
        assert [path.name for path in paths] == ["curves.png", "curves.pdf"]
        contents.append([path.read_bytes() for path in paths])
        pixels = imread(paths[0])
        assert pixels.shape[:2] == (840, 1650)
        assert (pixels[..., :3].min(axis=2) < 0.5).mean() > 0.005
    assert contents[0] == contents[1]
    assert b"CreationDate" not in contents[0][1]


def test_a_failed_write_leaves_the_old_figure(add_run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    groups = group_runs([add_run()])
    figure = learning_curves(groups, histories(groups))
    folder = tmp_path / "figures"
    paths = write_figure(figure, folder, "curves")
    before = {path: path.read_bytes() for path in paths}

    def interrupted(target: Path, **options: object) -> None:
        Path(target).write_bytes(b"half a figure")
        raise KeyboardInterrupt

    monkeypatch.setattr(figure, "savefig", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_figure(figure, folder, "curves")
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


@pytest.mark.parametrize("content", [None, "", "step,loss\n1,2\n", "step,epoch\n1,2,3,4\n1\n", "\x00\xff"])
def test_damaged_histories_are_named(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "history.csv").write_text(content, encoding="latin-1")
    with pytest.raises(StorageError, match=r"history\.csv"):
        read_history(tmp_path)


def test_text_in_a_history_is_damage(add_run) -> None:
    folder = add_run().folder
    path = folder / "history.csv"
    path.write_text(path.read_text() + "1,2,oops,4,5,6,7\n")
    with pytest.raises(StorageError, match=r"history\.csv"):
        read_history(folder)
