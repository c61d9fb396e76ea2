"""What is asked of Slurm and of Ray, whether or not these are installed."""

import os
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from polystep.bench.sweeps import ray_cluster, slurm
from polystep.bench.sweeps.ray_cluster import RayLauncher
from polystep.bench.sweeps.slurm import SlurmLauncher


@pytest.mark.parametrize(("gib", "asked"), [(1.5, "1536M"), (4, "4096M"), (0.25, "256M"), (None, None)])
def test_slurm_gets_memory_in_whole_megabytes(
    gib: float | None, asked: str | None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    found: dict[str, Any] = {}

    class Executor:
        def __init__(self, folder: Path, max_num_timeout: int):
            pass

        def update_parameters(self, **parameters: Any) -> None:
            found.update(parameters)

        def submit_array(self, work: list[Any]) -> list[Any]:
            return [
                SimpleNamespace(job_id=str(place), paths=SimpleNamespace(stdout=None)) for place in range(len(work))
            ]

    monkeypatch.setattr(slurm, "optional_package", lambda *_: SimpleNamespace(SlurmExecutor=Executor))
    run = SimpleNamespace(identity="x", cores=3, gpus=0)
    folder = SimpleNamespace(path=tmp_path, submit=lambda runs, jobs: None)
    SlurmLauncher(memory_gib=gib).launch([run], folder, print, SimpleNamespace())  # type: ignore[arg-type, list-item]
    assert found.get("mem") == asked and found["cpus_per_task"] == 3


def test_ray_keeps_its_sockets_in_a_short_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    deep = tmp_path / ("x" * 120)
    deep.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(deep))
    monkeypatch.setattr(os, "environ", dict(os.environ))
    found: dict[str, Any] = {}
    stub = SimpleNamespace(init=lambda *address, **settings: found.update(settings))
    monkeypatch.setattr(ray_cluster, "optional_package", lambda *_: stub)
    RayLauncher()._connect()
    assert found["_temp_dir"] == "/tmp/ray"
