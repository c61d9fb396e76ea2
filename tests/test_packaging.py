"""What `pip install .` brings: the library alone, which works with torch and numpy alone."""

import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

PROGRAM = """
import sys
sys.path.insert(0, {folder!r})
for name in ("numba", "pandas", "hydra", "omegaconf", "rich", "safetensors", "sklearn", "matplotlib", "scipy"):
    sys.modules[name] = None
# what Windows does not have
for name in ("fcntl", "resource", "pwd"):
    sys.modules[name] = None
import torch, polystep
assert polystep.__file__.startswith({folder!r}), polystep.__file__
print(polystep.minimize(lambda x: ((x - 3) ** 2).sum(), [0.0, 0.0]).x.round(3).tolist())
model = torch.nn.Sequential(torch.nn.Linear(2, 4), torch.nn.ReLU(), torch.nn.Linear(4, 2))
data = torch.eye(2), torch.tensor([0, 1])
trainer = polystep.Trainer(model)
print(trainer.evaluation)
fit = trainer.fit([data], steps=30, validation=[data], progress=False)
print(fit.best < fit.history[0].validation)
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from copies, as a build leaves files beside what it builds."""
    pytest.importorskip("setuptools", minversion="77")
    folder = tmp_path_factory.mktemp("packaging")
    for name in ("polystep", "tasks", "baselines", "scripts"):
        shutil.copytree(ROOT / name, folder / "source" / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder / "source")
    offline = ["--no-deps", "--no-build-isolation", "--disable-pip-version-check", "--no-index"]
    command = [sys.executable, "-m", "pip", "wheel", *offline, "--wheel-dir", folder, folder / "source"]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    (found,) = folder.glob("*.whl")
    return found


def test_the_wheel_holds_the_library_and_all_of_it(wheel: Path) -> None:
    assert wheel.name.startswith("polystep_suite-")
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {name.partition("/")[0].partition("-")[0] for name in names} == {"polystep", "polystep_suite"}
    assert not [name for name in names if name.endswith("entry_points.txt")]
    documents = set((ROOT / "polystep").glob("*.md"))
    own = [path for path in (ROOT / "polystep").rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    assert not {path.relative_to(ROOT).as_posix() for path in own if path not in documents} - names


def test_the_library_works_with_torch_and_numpy_alone(wheel: Path, tmp_path: Path) -> None:
    assert PROJECT["dependencies"] == ["numpy", "torch"]
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "installed")
    program = PROGRAM.format(folder=str(tmp_path / "installed"))
    command = [sys.executable, "-W", "ignore", "-c", program]
    done = subprocess.run(
        command, cwd=tmp_path, env={"PATH": "", "HOME": str(tmp_path)}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    minimum, evaluation, learnt = done.stdout.splitlines()
    assert minimum == "[3.0, 3.0]" and learnt == "True"
    assert evaluation == "candidates are evaluated incrementally in torch: with numba they are faster"


def test_on_windows_commands_say_what_they_need() -> None:
    program = "import sys; sys.platform = 'win32'; import scripts.run"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1 and done.stderr.startswith("error: the commands need Linux or macOS")
    assert "Traceback" not in done.stderr
