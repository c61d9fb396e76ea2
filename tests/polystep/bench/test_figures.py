"""The looks of methods, and that figures are written whole."""

from pathlib import Path

import pytest
from matplotlib.figure import Figure
from matplotlib.image import imread

from polystep.bench.figures import entry_label, logarithmic, method_looks, write_figure, write_figures
from polystep.bench.groups import group_runs
from polystep.files import StorageError


def figure() -> Figure:
    made = Figure(figsize=(6, 4), layout="constrained")
    made.subplots().bar([1, 2], [3, 4])
    return made


def test_known_methods_look_the_same_in_every_report() -> None:
    alone = method_looks(["spsa"])
    among_others = method_looks(["spsa", "aaa", "polystep", "zzz"])
    assert alone["spsa"] == among_others["spsa"]
    assert alone["polystep"] == among_others["polystep"]


def test_no_two_of_many_methods_look_alike() -> None:
    looks = method_looks(f"method {i}" for i in range(50))
    assert len(set(looks.values())) == len(looks) > 50
    # the methods of the paper differ by colour alone
    assert len({looks[name].colour for name in ("polystep", "openai_es", "cma_es", "spsa", "adam")}) == 5


def test_labels_name_the_study_only_where_studies_differ(add_run) -> None:
    first, second = group_runs([add_run(), add_run(study="default")])
    assert entry_label(first, [first], 80) == "polystep"
    assert entry_label(first, [first, second], 80) == "polystep, study default"
    assert entry_label(first, [first, second], 14) == "polystep,\nstudy default"


def test_files_are_not_blank_and_equal_for_equal_data(tmp_path: Path) -> None:
    contents = []
    for folder in (tmp_path / "first", tmp_path / "second"):
        paths = write_figure(figure(), folder, "bars")
        assert [path.name for path in paths] == ["bars.png", "bars.pdf"]
        contents.append([path.read_bytes() for path in paths])
        pixels = imread(paths[0])
        assert pixels.shape[:2] == (480, 720)
        assert (pixels[..., :3].min(axis=2) < 0.5).mean() > 0.1
    assert contents[0] == contents[1]
    assert b"CreationDate" not in contents[0][1]


def test_a_failed_write_leaves_the_old_figure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = figure()
    folder = tmp_path / "figures"
    paths = write_figure(made, folder, "bars")
    before = {path: path.read_bytes() for path in paths}

    def interrupted(target: Path, **options: object) -> None:
        target.write(b"half a figure")
        raise KeyboardInterrupt

    monkeypatch.setattr(made, "savefig", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_figure(made, folder, "bars")
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


def test_many_figures_are_those_of_single_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawn in several processes, where there are several cores."""
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: {0, 1})
    (reference,) = {path.read_bytes() for path in write_figure(figure(), tmp_path, "one") if path.suffix == ".png"}
    many = [(f"figure{place}", figure) for place in range(8)]
    written = write_figures(many, tmp_path / "many")
    assert [path.name for path in written[::2]] == [f"{name}.png" for name, _ in many]
    assert all(path.read_bytes() == reference for path in written[::2])
    with pytest.raises(StorageError, match="cannot write"):
        write_figures(many, tmp_path / "one.png")


def test_logarithmic_axes_are_labelled_in_words_that_one_reads_at_a_glance() -> None:
    def labels(low: float, high: float) -> list[str]:
        made = Figure()
        axes = made.subplots()
        logarithmic(axes, "x")
        axes.set_xlim(low, high)
        made.draw_without_rendering()
        ticks = [*axes.xaxis.get_major_ticks(), *axes.xaxis.get_minor_ticks()]
        return [tick.label1.get_text() for tick in ticks if low <= tick.get_loc() <= high and tick.label1.get_text()]

    assert labels(0.05, 2e6) == ["0.1", "1", "10", "100", "1k", "10k", "100k", "1M"]
    assert labels(1.5e6, 3e7) == ["10M", "2M", "5M", "20M"]
