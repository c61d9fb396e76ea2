"""Never more runs at a time than cores."""

import time
from pathlib import Path

import pytest

from polystep.bench.profiles import PlannedRun
from polystep.bench.sweeps import local
from polystep.bench.sweeps.folder import SweepFolder
from polystep.bench.sweeps.local import LocalLauncher, at_a_time
from polystep.bench.sweeps.plan import SweepRun


def take_cores(run: SweepRun, folder: SweepFolder, cores: int) -> int:
    """Fails where those at work together have more than two cores."""
    mine = folder.path / f"{cores}.{run.identity}.at_work"
    mine.touch()
    taken = sum(int(path.name.partition(".")[0]) for path in folder.path.glob("*.at_work"))
    time.sleep(0.1)
    mine.unlink()
    return int(taken > 2)


class Silent:
    def started(self, run: SweepRun) -> None: ...
    def ended(self, run: SweepRun, status: int) -> None: ...


def test_cores_are_never_oversubscribed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "own_cores", lambda: 2)
    assert [at_a_time(cores) for cores in (1, 2, 3, None)] == [2, 1, 1, 1]
    wanted = [1, 1, 1, None, 1, 1, 2, None]
    runs = [SweepRun(PlannedRun((f"run={n}",)), str(n), ("", ""), tmp_path, cores, 0) for n, cores in enumerate(wanted)]
    statuses = LocalLauncher().launch(runs, SweepFolder(tmp_path / "sweep"), take_cores, Silent())
    assert statuses == {run.identity: 0 for run in runs}
