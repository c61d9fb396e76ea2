"""Own runs that repeat committed ones: do they agree?"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy

if TYPE_CHECKING:
    from pandas import DataFrame, Series

TIMES_THE_SPREAD = 4.0
"""Where another processor rounds differently, a repetition is another draw of the same distribution over seeds."""
CLOCKS = ("seconds",)
"""Columns of a history that differ between repetitions."""


def repetitions(own: "DataFrame", committed: "DataFrame") -> list[dict[str, Any]]:
    """One row for each finished own run that repeats a committed one: the same settings, seed and data, no budget in seconds.

    verdict: "bit for bit", where every validation and test score is equal; "within the spread", where the difference of the
    last test scores is at most 4 standard deviations of the committed runs of other seeds; "differs"; "unknown", where
    they differ and fewer than three seeds are committed.
    """
    if own.empty or committed.empty:
        return []
    found = []
    repeated = committed[committed["status"] == "finished"].set_index("settings_id")
    for _, run in own[own["status"] == "finished"].sort_values(["family", "task", "optimizer", "seed"]).iterrows():
        if run["settings_id"] not in repeated.index or _is_limited_in_seconds(run):
            continue
        original = repeated.loc[[run["settings_id"]]].iloc[0]
        if original["data"] != run["data"]:
            continue
        difference = run["test_last"] - original["test_last"]
        spread = TIMES_THE_SPREAD * _spread(committed, run["cell_id"])
        if _numbers(run) == _numbers(original):
            verdict = "bit for bit"
        elif not numpy.isfinite(spread):
            verdict = "unknown"
        else:
            verdict = "within the spread" if abs(difference) <= spread else "differs"
        names = ("task", "optimizer", "study", "seed", "unit")
        found.append(
            {name: run[name] for name in names}
            | {"own": run["test_last"], "committed": original["test_last"], "tolerance": spread, "verdict": verdict}
        )
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


def _is_limited_in_seconds(run: "Series[Any]") -> bool:
    return bool(run.get("budget.seconds") is not None and numpy.isfinite(float(run.get("budget.seconds", numpy.nan))))


def _spread(committed: "DataFrame", cell: str) -> float:
    scores = committed.loc[(committed["cell_id"] == cell) & (committed["status"] == "finished"), "test_last"]
    return float(scores.std()) if len(scores) >= 3 else float("nan")


def _numbers(run: "Series[Any]") -> tuple[Any, ...]:
    """All that was computed, and nothing that was timed; NaN as a text, since it equals nothing."""
    history = {name: column for name, column in run["history"].items() if name not in CLOCKS}
    return tuple(str(part) for part in (history, run["test_selected"], run["test_last"], run["test_curve"]))
