"""Own runs that repeat committed ones: do they agree?"""

import math
from collections.abc import Sequence
from typing import Any

from pandas import DataFrame

from polystep.report.one_run import Run
from polystep.report.text import finite

TIMES_THE_SPREAD = 4.0
"""Where another processor rounds differently, a repetition is another draw of the same distribution over seeds."""
CLOCKS = ("seconds",)
"""Columns of a history that differ between repetitions."""


def repetitions(own: DataFrame, committed: DataFrame) -> list[dict[str, Any]]:
    """One row for each finished own run that repeats a committed one: the same settings, seed and data, no budget in seconds.

    verdict: "bit for bit", where all numbers are equal that both records hold, every validation and test score among them;
    "within the spread", where the difference of the last test scores is at most 4 standard deviations of the committed runs
    over seeds; "differs"; "unknown", where they differ and fewer than three such runs are committed.
    """
    if own.empty or committed.empty:
        return []
    found = []
    repeated = committed[committed["status"] == "finished"]
    originals = {run["settings_id"]: run for run in repeated[::-1].to_dict("records")}
    finished = own[own["status"] == "finished"].sort_values(["family", "task", "optimizer", "seed"])
    for run in finished.to_dict("records"):
        original = originals.get(run["settings_id"])
        if original is None or original["data"] != run["data"] or finite(run.get("budget.seconds")) is not None:
            continue
        scores = repeated.loc[repeated["cell_id"] == run["cell_id"], "test_last"]
        tolerance = TIMES_THE_SPREAD * float(scores.std()) if len(scores) >= 3 else math.nan
        if _numbers(run, original) == _numbers(original, run):
            verdict = "bit for bit"
        elif not math.isfinite(tolerance):
            verdict = "unknown"
        else:
            verdict = "within the spread" if abs(run["test_last"] - original["test_last"]) <= tolerance else "differs"
        names = {name: run[name] for name in ("task", "optimizer", "study", "seed", "unit")}
        scores_of_both = {"own": run["test_last"], "committed": original["test_last"]}
        found.append({**names, **scores_of_both, "tolerance": tolerance, "verdict": verdict})
    return found


def repetition_lines(rows: Sequence[dict[str, Any]]) -> list[str]:
    """A sentence that counts the verdicts, and a line for each run that does not agree."""
    if not rows:
        return []
    kinds = [row["verdict"] for row in rows]
    counts = ", ".join(f"{kinds.count(kind)} {kind}" for kind in dict.fromkeys(sorted(kinds)))
    lines = [f"{len(rows)} runs repeat committed ones: {counts}"]
    for row in rows:
        if row["verdict"] in ("differs", "unknown"):
            lines.append(
                f"  {row['verdict']}: {row['optimizer']} on {row['task']}, study {row['study']}, seed {row['seed']}: "
                f"{row['own']:.6g}, committed {row['committed']:.6g}"
            )
    return lines


def _numbers(run: Run, other: Run) -> tuple[Any, ...]:
    """What was computed, as far as the other run has it, too, and nothing that was timed; NaN as a text: it equals nothing."""
    shared = run["history"].keys() & other["history"].keys() - set(CLOCKS)
    history = {name: run["history"][name] for name in sorted(shared)}
    return tuple(str(part) for part in (history, run["test_selected"], run["test_last"], run["test_curve"]))
