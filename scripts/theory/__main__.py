"""Check statements about the method:  python -m scripts.theory [STUDY ...] [STUDY.PARAMETER=VALUE ...]

Every study leaves theory/STUDY.json, with its parameters and the commit; THEORY.md, tables/theory_* and figures/theory_* are
written from these files. configs/theory.yaml lists the studies.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from polystep.bench.context import describe_context
from polystep.contracts import ExpectedError
from scripts.console import RESULTS, console, explain, guarded, say, show_data_sources
from scripts.theory.page import write_section_files, write_theory_page
from scripts.theory.parameters import read_parameters
from scripts.theory.study import compute, store


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; exit status 0 when the page was written, 2 after an explained failure."""
    parser = argparse.ArgumentParser(prog="python -m scripts.theory", description="Check statements about the method.")
    parser.add_argument(
        "choices", nargs="*", metavar="STUDY or STUDY.PARAMETER=VALUE", help="studies (default: all) and parameters"
    )
    parser.add_argument("--output", type=Path, default=RESULTS, help="folder of the results (default: %(default)s)")
    parser.add_argument("--draw", action="store_true", help="compute nothing: write the page of what is there again")
    options = parser.parse_args(arguments)
    try:
        chosen = {} if options.draw else read_parameters(options.choices)
        show_data_sources()
        # once: what studies write is no change of the code behind those that follow
        context = describe_context("cpu")
        for name, parameters in chosen.items():
            _compute(name, parameters, context, options.output)
        page = write_theory_page(options.output)
    except ExpectedError as error:
        return explain(error)
    say(f"page: {page}")
    return 0


def _compute(name: str, parameters: dict[str, Any], context: dict[str, Any], output: Path) -> None:
    console.print(f"{name} ...", end=" ", markup=False, highlight=False)
    evidence = compute(name, parameters, context)
    store(evidence, output / "theory")
    write_section_files(evidence.section(), output)
    console.print(f"{evidence.seconds:.0f} s", markup=False, highlight=False)


if __name__ == "__main__":
    sys.exit(guarded(main))
