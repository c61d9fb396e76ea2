"""What one run says of itself: its axis, its method, where it was computed, and whether it used its budget."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

from polystep.records import TOO_MUCH, shared_its_core
from polystep.report.text import finite, plain

Run = Mapping[str, Any]
"""One row of the table of runs (`polystep.report.load_runs`)."""

COMPLETE_SHARE = 0.99
"""A run that used less of its budget is not complete."""
DEFAULT, THEORY, EQUAL_SECONDS = "default settings", "conditions of the theorem", "equal seconds"
PUBLISHED = {"first": "published settings, first edition", "revised": "published settings, revised edition"}
"""What readers call runs with the settings of an edition."""
_AXES = {
    ("published", "first"): PUBLISHED["first"],
    ("published", "revised"): PUBLISHED["revised"],
    ("equal_seconds", None): EQUAL_SECONDS,
    ("equal_evaluations", "revised"): "equal evaluations, revised edition",
    ("equal_evaluations", None): "equal evaluations",
    ("equal_steps", None): "equal steps",
    ("default", None): DEFAULT,
    ("controlled", None): "controlled comparison",
    ("theory", None): THEORY,
    ("tuning", None): "tuning",
}
EQUAL = {
    "equal_seconds": ("budget.seconds", "step_seconds", "seconds"),
    "equal_evaluations": ("budget.candidate_evaluations", "candidate_evaluations", "count"),
    "equal_steps": ("budget.steps", "steps", "count"),
}
"""What is the same for all methods under a protocol: the limit, what is spent of it, and its unit."""
LENT = ("equal_steps", "equal_evaluations")
"""Protocols in which the revised edition gives its rivals the budget of its published runs of PolyStep."""
APART = ("tuning", "controlled")
"""Protocols whose runs are shown by tables of their own and count for no rank."""
METHOD, TITLE = "polystep", "PolyStep"
"""The optimiser whose claims are judged, and what readers call it."""
LOOKS = ("evaluation.test_every", "evaluation.test_until", "evaluation.test_steps")
"""Settings, of this version and of earlier ones, that read the test set after training and select nothing."""
_SETTINGS = ("task.", "optimizer.", "budget.", "evaluation.")


def sign_of(direction: Any) -> int:
    """1 where larger scores are better, -1 where smaller ones are."""
    return -1 if direction == "minimize" else 1


def axis_of(run: Run) -> str:
    """What readers call the protocol of a run, with its edition where that matters."""
    protocol, edition = run["protocol"], run["edition"]
    return _AXES.get((protocol, edition)) or _AXES.get((protocol, None)) or plain(protocol)


def axis_order(axis: str) -> tuple[int, str]:
    """A key that sorts axes."""
    known = list(_AXES.values())
    return (known.index(axis) if axis in known else len(known), axis)


def context_of(run: Run) -> str:
    """Where a run was computed, as far as it decides how much fits into a second."""
    threads = finite(run["threads"])
    shown = "unknown threads" if threads is None else f"{threads:.0f} thread{'s' if threads > 1 else ''}"
    return ", ".join(plain(part) for part in (run["processor"], shown, run["device"]) if part != "cpu")


def budget_fault(run: Run) -> str:
    """Why a run says nothing about its budget: it used less, or more where budgets are equal, or had not all the seconds that
    passed; empty where it is complete.
    """
    share = finite(run["used_share"]) or 0.0
    if run["protocol"] in EQUAL:
        limit, spent, _ = EQUAL[run["protocol"]]
        share = (finite(run[spent]) or 0.0) / (finite(run.get(limit)) or math.inf)
        if share > TOO_MUCH:
            return "more than its budget"
    clocks = finite(run.get("cpu_seconds")), finite(run.get("wall_seconds"))
    if run["protocol"] == "equal_seconds" and shared_its_core(*clocks):
        return "on a busy machine"
    if run["ended_by"] in ("method", "divergence"):
        # it has nothing left to find, or is lost, so the rest of its budget could change nothing
        return ""
    return "" if share >= COMPLETE_SHARE else "part of its budget"


def lent(run: Run) -> Iterator[Run]:
    """A published run of PolyStep as those comparisons see it whose rivals get its budget; nothing for other runs."""
    if (run["optimizer"], run["protocol"], run["edition"]) == (METHOD, "published", "revised"):
        for protocol in LENT:
            limit, spent, _ = EQUAL[protocol]
            yield {**run, "protocol": protocol, limit: finite(run[spent])}


def uses_gradients(run: Run) -> bool:
    """Whether a run was seen to ask for gradients of any kind."""
    return any(str(use).startswith("gradient") for use in run["uses"])


def sees_units(run: Run) -> bool:
    """Whether a run was seen to look at the units of a network, which black-box methods cannot."""
    return "perturbednodes" in run["uses"]


def has_quantised_heads(run: Run) -> bool:
    """Whether outputs were rounded, which stops every gradient that the method asks for."""
    return run.get("optimizer.quantised_heads") is True


def method_title(run: Run) -> str:
    """The method, with the variant that the name of its settings adds, and the kind of gradient that it was seen to use."""
    name, method, title = str(run["optimizer"]), str(run["method"]), str(run["method_title"])
    kinds = sorted(str(use).partition(":")[2] for use in run["uses"] if str(use).startswith("gradient:"))
    if isinstance(asked := run.get("optimizer.gradient"), str):
        # of a policy's gradient only that there was one is seen
        kinds = sorted({asked if kind == "policy" else kind for kind in kinds})
    variant = name.removeprefix(f"{method}_") if name.startswith(f"{method}_") else ""
    told = [variant.replace("_", " ")] if variant not in ("", *kinds) else []
    if has_quantised_heads(run):
        told.append("quantised heads, no gradient")
    else:
        told += [f"{kind.replace('_', '-')} gradient" for kind in kinds if kind not in title]
    return plain(", ".join([title, *told]))


def settings_of(run: Run) -> dict[str, str]:
    """Every setting of a run that is not null, as text."""
    known = {key: value for key, value in run.items() if key.startswith(_SETTINGS) and value is not None}
    texts = {key: f"{value:g}" if isinstance(value, float) else plain(value) for key, value in known.items()}
    return {key: text for key, text in texts.items() if text != "nan"}


def shown_settings(run: Run) -> str:
    """`settings_of`, indented as files of settings are."""
    lines: list[str] = []
    opened: set[tuple[str, ...]] = set()
    for path, text in sorted((tuple(key.split(".")), text) for key, text in settings_of(run).items()):
        for depth, parent in enumerate(path[:-1]):
            if path[: depth + 1] not in opened:
                opened.add(path[: depth + 1])
                lines.append(f"{'  ' * depth}{parent}:")
        lines.append(f"{'  ' * (len(path) - 1)}{path[-1]}: {text}")
    return "\n".join(lines)
