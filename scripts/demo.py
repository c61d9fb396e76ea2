"""A first look in a minute, without a download:  make demo

Trains a network of hard spiking neurons on the small digits that scikit-learn carries, by forward passes alone, and draws what
happened. Its numbers say nothing about the paper.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from polystep.contracts import ExpectedError
from scripts.console import EXIT_STATUS, explain, guarded, prepare, say, show
from scripts.report import write_report

FOLDER = Path("results/demo")
SETTINGS = ["task=snn_digits", "study=equal_seconds", f"records={FOLDER / 'records'}"]
METHODS = {"polystep": "PolyStep", "openai_es": "OpenAI-ES, an evolution strategy"}


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; exit status as that of scripts.run."""
    parser = argparse.ArgumentParser(
        prog="python -m scripts.demo", description="Train a spiking network on small digits, and draw what happened."
    )
    parser.parse_args(arguments)
    found = []
    try:
        say("A network of spiking neurons, 64-128-10, learns to read digits. Spikes have no gradient; none is used.")
        for optimizer, method in METHODS.items():
            say(f"{method}, eight seconds on one core:")
            outcome = prepare([*SETTINGS, f"optimizer={optimizer}"]).execute()
            if status := show(outcome):
                return status
            found.append((method, outcome.record))
        summary = write_report([FOLDER / "records"], FOLDER, {})
    except ExpectedError as error:
        return explain(error)
    except KeyboardInterrupt:
        return EXIT_STATUS["interrupted"]
    for method, record in found:
        spent = record.counters["candidate_evaluations"]
        say(f"{method}: test accuracy {record.scores['test_selected']:.1%}, {spent:,} candidates tried")
    for path in summary.written:
        if path.name in ("curves_networks_equal_seconds.svg", "report.html"):
            say(f"{'page' if path.suffix == '.html' else 'figure'}: {path.resolve()}")
    return EXIT_STATUS["finished"]


if __name__ == "__main__":
    sys.exit(guarded(main))
