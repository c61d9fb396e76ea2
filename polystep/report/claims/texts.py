"""Verdicts in words: a line per claim for a terminal, and the page about the published runs."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas

from polystep.report.claims.judge import FAILS, HOLDS, verdicts
from polystep.report.claims.statements import FILES, Statement
from polystep.report.text import finite, for_markdown, interval_text, number_text


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


def findings_page(edition: str, findings: Sequence[Statement], conditions: pandas.DataFrame) -> str:
    """The page of an edition: each finding with the numbers that bear it out, published ones and reruns, and what follows."""
    title, content = _PAGES[edition]
    lines = [
        f"# {title}",
        "",
        f"{content} What follows is stated only where all numbers bear it out: published ones (files), and reruns here (mean "
        "over seeds, 95 % interval).",
    ]
    for finding in (finding for finding in findings if finding.edition == edition):
        rows = conditions[conditions["claim"] == finding.id].to_dict("records")
        lines += ["", f"## {finding.text.rstrip('.')}", "", finding.background, ""]
        lines += ["| Numbers | From | Value | Must be | Verdict |", "| --- | --- | ---: | --- | --- |"]
        lines += [
            f"| {for_markdown(row['condition'])} | {'files' if row['axis'] == FILES else 'reruns'} | {value_text(row)} "
            f"| {bound_text(row)} | {row['verdict']} |"
            for row in rows
        ]
        found = {row["verdict"] for row in rows}
        conclusion = "Open until the missing reruns have been made." if found != {HOLDS} else finding.follows
        lines += ["", "Not borne out by these numbers, so nothing follows." if FAILS in found else conclusion]
    return "\n".join(lines) + "\n"


_PAGES = {
    "first": (
        "What the runs of the first edition really did",
        "Defects of the experiments that change a conclusion.",
    ),
    "revised": (
        "What the revised edition says, did and left open",
        "It withdrew or changed most numbers that the first edition's files do not bear out. Left are these.",
    ),
}
PAGES = {"first": "FIRST_EDITION.md", "revised": "REVISED_EDITION.md"}
"""The files of the pages about the editions."""


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
