"""The command that fetches data sets, and the registry behind it."""

from pathlib import Path

import pytest

from scripts.fetch_data import main
from tasks.data import LOADERS, DataUnavailable, ImageDataset, UnknownDataset, load_dataset
from tasks.data.dataset import Progress


def unavailable(data_dir: Path, progress: Progress) -> ImageDataset:
    progress("tiny: trying [the only] source")
    raise DataUnavailable(f"tiny: not in {data_dir}; no source [a] delivered it")


def test_unknown_name_is_answered_with_the_valid_ones(tmp_path: Path) -> None:
    with pytest.raises(
        UnknownDataset,
        match=r"'mnits' is unknown \(did you mean mnist\?\); choose one of: mnist, fashion_mnist, digits",
    ):
        load_dataset("mnits", tmp_path)


def test_ready_data_set_gives_status_0_and_its_fingerprint(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--data-dir", str(tmp_path), "digits"]) == 0
    output = capsys.readouterr().out
    assert "digits: ready, 1437 training and 360 test images, 10 classes" in output
    assert load_dataset("digits", tmp_path).fingerprint in output


def test_expected_failure_gives_status_1_and_the_message(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(LOADERS, "tiny", unavailable)
    assert main(["--data-dir", str(tmp_path), "tiny"]) == 1
    captured = capsys.readouterr()
    assert "tiny: trying [the only] source" in captured.out
    assert f"tiny: not in {tmp_path}; no source [a] delivered it\n" in captured.out


def test_data_set_that_cannot_be_had_does_not_stop_the_next(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(LOADERS, "tiny", unavailable)
    assert main(["--data-dir", str(tmp_path), "tiny", "digits"]) == 1
    captured = capsys.readouterr()
    assert "digits: ready" in captured.out
    assert "tiny: not in" in captured.out


def test_misspelt_name_is_found_before_anything_is_fetched(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(LOADERS, "tiny", unavailable)
    assert main(["--data-dir", str(tmp_path), "tiny", "mnits"]) == 2
    captured = capsys.readouterr()
    assert "trying" not in captured.out
    assert "'mnits' is unknown" in captured.out
