"""Never more runs at a time than cores."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from polystep.bench.profiles import PlannedRun
from polystep.bench.sweeps import local
from polystep.bench.sweeps.folder import SweepFolder
from polystep.bench.sweeps.local import LocalLauncher, at_a_time
from polystep.bench.sweeps.plan import SweepRun

ROOT = Path(__file__).resolve().parents[4]


def take_cores(run: SweepRun, folder: SweepFolder, cores: int) -> int:
    """Fails where those at work together have more than two cores; notes how many they are, the first once it has company."""
    mine = folder.path / f"{cores}.{run.identity}.at_work"
    mine.touch()
    patience = time.monotonic() + (120 if run.identity == "0" else 0)
    while len(taken := cores_at_work(folder)) < 2 and time.monotonic() < patience:
        time.sleep(0.01)
    with (folder.path / "together").open("a") as file:
        file.write(f"{len(taken)}\n")
    time.sleep(0.1)
    mine.unlink()
    return int(sum(taken) > 2)


def cores_at_work(folder: SweepFolder) -> list[int]:
    return [int(path.name.partition(".")[0]) for path in folder.path.glob("*.at_work")]


class Silent:
    def started(self, run: SweepRun) -> None: ...
    def ended(self, run: SweepRun, status: int) -> None: ...


def succeed(run: SweepRun, folder: SweepFolder, cores: int) -> int:
    return 0


def launch_one(folder: Path) -> None:
    run = SweepRun(PlannedRun(()), "only", ("", ""), folder, 1, 0)
    assert LocalLauncher().launch([run], SweepFolder(folder / "sweep"), succeed, Silent()) == {"only": 0}


def test_a_long_path_of_the_folder_for_temporary_files_is_no_obstacle(tmp_path: Path) -> None:
    """Sockets, by which processes talk, cannot have such a path."""
    long = tmp_path / ("a" * 100)
    long.mkdir()
    program = f"import pathlib, {__name__} as here; here.launch_one(pathlib.Path({str(tmp_path)!r}))"
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | {"TMPDIR": str(long), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_cores_are_all_used_and_never_oversubscribed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "available_cores", lambda: 2)
    assert [at_a_time(cores) for cores in (1, 2, 3, None)] == [2, 1, 1, 1]
    wanted = [1, 1, 1, None, 1, 1, 2, None]
    runs = [SweepRun(PlannedRun((f"run={n}",)), str(n), ("", ""), tmp_path, cores, 0) for n, cores in enumerate(wanted)]
    statuses = LocalLauncher().launch(runs, SweepFolder(tmp_path / "sweep"), take_cores, Silent())
    assert statuses == {run.identity: 0 for run in runs}
    assert max(map(int, (tmp_path / "sweep" / "together").read_text().split())) == 2
