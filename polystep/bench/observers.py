"""What watches a run: the console and, where asked for, Weights & Biases. Watching never changes or stops a run."""

import os
import warnings
from collections.abc import Callable, Iterable
from typing import Any, Literal, Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from polystep.packages import optional_package
from polystep.records import Row


class Observer(Protocol):
    """Receives the events of a run."""

    def started(self, name: str, config: dict[str, Any], share: float) -> None:
        """The run begins, or continues with `share` of its budget used."""

    def progressed(self, row: Row, share: float) -> None:
        """A history row was added."""

    def ended(self, status: str, metrics: dict[str, Any]) -> None:
        """The run is over."""


class Observers:
    """Those who watch a run; one that fails is told nothing more, and the run goes on."""

    def __init__(self, observers: Iterable[Observer]):
        self._watching = list(observers)

    def tell(self, event: Callable[[Observer], None]) -> None:
        """Tell all of an event: `tell(lambda observer: observer.progressed(row, share))`."""
        for observer in tuple(self._watching):
            try:
                event(observer)
            except (Exception, SystemExit) as error:
                self._watching.remove(observer)
                warnings.warn(f"{type(observer).__name__} failed and is left out: {error!r}", stacklevel=3)


class ConsoleObserver:
    """A progress bar with a time estimate; one line per validation where the output is no terminal."""

    def __init__(self, console: Console):
        self._console = console
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f}%"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(elapsed_when_finished=False),
            TextColumn("{task.fields[state]}"),
            console=console,
            disable=not console.is_terminal,
            speed_estimate_period=60,
        )
        self._task = self._progress.add_task("", total=1.0, state="")
        self._name = self._title = self._state = ""

    def started(self, name: str, config: dict[str, Any], share: float) -> None:
        """Show the bar."""
        self._name, self._title = name, name.rsplit("-", 1)[0]
        self._say(f"run {name}" + (f": resuming at {share:.0%}" if share else ""))
        self._progress.update(self._task, description=self._title, completed=share)
        self._progress.start()

    def progressed(self, row: Row, share: float) -> None:
        """Advance the bar."""
        validation = "" if row["validation"] is None else f"validation {row['validation']:.4f}"
        loss = "" if row["loss"] is None else f"loss {row['loss']:.4f} "
        if validation:
            self._state = loss + validation
        self._progress.update(self._task, completed=share, state=self._state)
        if validation and not self._console.is_terminal:
            seconds = row["seconds"] or 0.0
            left = f", about {seconds * (1 - share) / share:.0f} s left" if share else ""
            self._say(
                f"  {self._title} {share:4.0%} step {row['step']} {loss}{validation}, {seconds:.0f} s of steps{left}"
            )

    def ended(self, status: str, metrics: dict[str, Any]) -> None:
        """Remove the bar and print the outcome."""
        self._progress.stop()
        known = [key for key in ("validation_selected", "test_selected", "test_last") if metrics.get(key) is not None]
        numbers = ", ".join(f"{key} {metrics[key]:.4f}" for key in known)
        self._say(f"{status}: {self._name}" + (f": {numbers}" if numbers else ""))

    def _say(self, line: str) -> None:
        self._console.print(line, highlight=False, soft_wrap=True)


class WandbObserver:
    """Logs history rows and final metrics to Weights & Biases (extra `wandb`); offline unless told otherwise."""

    def __init__(
        self,
        project: str = "polystep",
        mode: Literal["offline", "online"] = "offline",
        folder: str = "results/reproduction/wandb",
    ):
        wandb = optional_package("wandb", "logger=wandb", "wandb", "wandb")
        # without it even an offline run makes a connection attempt
        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
        self._wandb, self._project, self._mode, self._folder = wandb, project, mode, folder
        self._run: Any = None

    def started(self, name: str, config: dict[str, Any], share: float) -> None:
        """Open the W&B run."""
        os.makedirs(self._folder, exist_ok=True)
        self._run = self._wandb.init(
            project=self._project,
            name=name,
            config=config,
            mode=self._mode,
            dir=self._folder,
            resume="allow",
            id=name.rsplit("-", 1)[-1],
        )

    def progressed(self, row: Row, share: float) -> None:
        """Log the row."""
        self._run.log({key: value for key, value in row.items() if value is not None})

    def ended(self, status: str, metrics: dict[str, Any]) -> None:
        """Store the metrics and close the W&B run."""
        self._run.summary.update({"status": status, **metrics})
        self._run.finish()
