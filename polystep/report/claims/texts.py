"""Verdicts in words."""

from collections.abc import Mapping
from typing import Any

import pandas

from polystep.report.claims.judge import verdicts
from polystep.report.text import finite, interval_text, number_text


def summary_lines(conditions: pandas.DataFrame) -> list[str]:
    """One line per claim: its name, the verdict under each axis with where the runs come from, and what it says."""
    lines = []
    for (claim, edition, text), rows in verdicts(conditions).groupby(["claim", "edition", "statement"], sort=False):
        found = [
            f"{_plain(row['axis'])}: {row['verdict']}" + (f" ({row['source']})" if row["source"] else "")
            for row in rows.to_dict("records")
        ]
        lines.append(f"{claim} ({edition}): {'; '.join(found)}. {text}")
    return lines


def value_text(row: Mapping[str, Any]) -> str:
    """The value of a condition with its interval; a dash where it has none."""
    return interval_text(row["value"], row["low"], row["high"], row["unit"], row["difference"])


def bound_text(row: Mapping[str, Any]) -> str:
    """What the value must be."""
    low, high = row["bound_low"], row["bound_high"]
    if low == -high:
        return f"within ±{number_text(high, row['unit'], row['difference']).lstrip('+')}"
    known = [(word, bound) for word, bound in (("at least", low), ("at most", high)) if finite(bound) is not None]
    return " and ".join(f"{word} {number_text(bound, row['unit'], row['difference'])}" for word, bound in known)


def _plain(axis: str) -> str:
    return "published settings" if axis == "published" else axis.replace("_", " ")
