"""ETTh1 from a file of its form, and what is said where there is none."""

import hashlib
from pathlib import Path

import numpy as np
import pytest

from scripts.fetch_data import main
from tasks.data import DataCorrupt, DataUnavailable
from tasks.data import series as module
from tasks.data.series import Series, load_series, make_sines
from tasks.data.verified_file import VerifiedFile

NUMBERS = np.random.default_rng(0).normal(20, 8, 14500).round(3)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder with such a file, whose hash is expected instead of that of ETTh1; nothing can be fetched."""
    lines = ["date,HUFL,OT", *(f"2016-07-01 00:00:00,{index}.5,{number}" for index, number in enumerate(NUMBERS))]
    content = "\n".join(lines).encode()
    (tmp_path / "etth1").mkdir()
    (tmp_path / "etth1" / "ETTh1.csv").write_bytes(content)
    monkeypatch.setattr(module, "_ETTH1", VerifiedFile("ETTh1.csv", hashlib.sha256(content).hexdigest()))
    monkeypatch.setattr(module, "_MIRRORS", ())
    return tmp_path


def test_months_are_standardised_by_those_of_training(folder: Path) -> None:
    parts = load_series("etth1", folder, print).parts()
    assert [len(part) for part in parts] == [8640, 2880, 2880]
    assert parts[0].dtype == np.float32
    mean, deviation = NUMBERS[:8640].mean(), NUMBERS[:8640].std()
    np.testing.assert_allclose(np.concatenate(parts), (NUMBERS[:14400] - mean) / deviation, rtol=1e-5, atol=1e-5)


def test_a_file_with_another_content_is_refused(folder: Path) -> None:
    (folder / "etth1" / "ETTh1.csv").write_text("date,OT\n")
    with pytest.raises(DataCorrupt, match=r"ETTh1\.csv is corrupt or truncated"):
        load_series("etth1", folder, print)


def test_without_the_file_it_is_said_what_to_do(folder: Path) -> None:
    (folder / "etth1" / "ETTh1.csv").unlink()
    with pytest.raises(DataUnavailable, match=r"(?s)1 of 1 files are not in .*ETTh1\.csv.*choose task\.series=sines"):
        load_series("etth1", folder, print)


def test_it_is_fetched_by_the_command_and_the_rest_goes_on_without_it(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--data-dir", str(folder), "etth1"]) == 0
    assert "etth1: ready, 8640 training, 2880 validation and 2880 test numbers" in capsys.readouterr().out
    (folder / "etth1" / "ETTh1.csv").unlink()
    assert main(["--data-dir", str(folder), "etth1", "sines"]) == 1
    captured = capsys.readouterr()
    assert "sines: ready, 720 training" in captured.out and "ETTh1.csv" in captured.out


def test_fingerprints_tell_series_apart() -> None:
    own = make_sines(Path(), print)
    changed = Series(own.name, own.values + np.arange(len(own.values)), own.train, own.validation, own.test)
    assert own.fingerprint == make_sines(Path(), print).fingerprint != changed.fingerprint
