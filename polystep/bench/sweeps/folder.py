"""The folder of a sweep: which runs it submitted, and how those without a record ended.

- submitted.json: by identity of the settings, the submitted run's title, its job in a queue (None: the submitting process
  computes it and holds the folder), and its log where it has one;
- <identity>.json: written when a run of the sweep ends with a failure, {"status", "reason"}.
"""

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from polystep.bench.lock import read_lock
from polystep.bench.sweeps.plan import SweepRun
from polystep.files import StorageError, read_json, write_json


@dataclass(frozen=True)
class Submission:
    """One submitted run."""

    title: str
    job: str | None
    log: str | None


class SweepFolder:
    """Reads and writes one sweep's files."""

    def __init__(self, path: Path):
        self.path = path

    @classmethod
    def new(cls, sweeps: Path) -> "SweepFolder":
        """One named by the time, below `sweeps`: in UTC, for the order of names says which submission is the last one."""
        return cls(sweeps / datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d_%H-%M-%S_%f"))

    def log(self, run: SweepRun) -> Path:
        """Where a run's output goes if nothing else takes it."""
        return self.path / f"{run.identity}.log"

    def submit(self, runs: Sequence[SweepRun], jobs: Mapping[str, tuple[str | None, Path | None]]) -> None:
        """Note that `runs` were submitted; `jobs`: job and log of each identity."""
        noted = {}
        for run in runs:
            job, log = jobs[run.identity]
            noted[run.identity] = asdict(Submission(run.planned.title, job, None if log is None else str(log)))
        write_json(self.path / "submitted.json", noted)

    def submissions(self) -> dict[str, Submission]:
        """By identity; empty where the file cannot be read, for it only explains runs that left no record."""
        try:
            noted = read_json(self.path / "submitted.json")
            return {identity: Submission(**fields) for identity, fields in noted.items()}
        except (StorageError, AttributeError, TypeError):
            return {}

    def end(self, run: SweepRun, status: int, reason: str) -> None:
        """Note how a run ended that is not done."""
        write_json(self.path / f"{run.identity}.json", {"status": status, "reason": reason})

    def reason(self, identity: str) -> tuple[str, float] | None:
        """Why a run of the sweep is not done, and when it was noted (seconds, of the file); None where it did not say."""
        path = self.path / f"{identity}.json"
        try:
            return str(read_json(path)["reason"]), path.stat().st_mtime
        except (OSError, StorageError, KeyError, TypeError):
            return None

    def is_held(self) -> bool:
        """Whether the process that computes this sweep is still at work."""
        lock = read_lock(self.path)
        return lock is not None and lock[1]


def latest_submissions(sweeps: Path) -> dict[str, tuple[SweepFolder, Submission]]:
    """The last submission of each run, by identity."""
    found: dict[str, tuple[SweepFolder, Submission]] = {}
    for path in sorted(sweeps.glob("*/submitted.json")):
        folder = SweepFolder(path.parent)
        found |= {identity: (folder, submission) for identity, submission in folder.submissions().items()}
    return found
