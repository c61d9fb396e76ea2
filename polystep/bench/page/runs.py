"""What stands behind a cell: the runs of a group with their scores, curve, ledger, configuration and environment."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from polystep.bench.curves import validation_curve
from polystep.bench.groups import Group, step_seconds
from polystep.bench.identity import identifying_settings
from polystep.bench.page.charts import Series, chart_with_legend, line_chart, swatch
from polystep.bench.page.markup import Markup, element, join
from polystep.bench.quantities import number, text_of
from polystep.bench.records import RunRecord
from polystep.bench.rendering import MISSING
from polystep.records import CLOCKS

if TYPE_CHECKING:
    from pandas import DataFrame

_CURRENCIES = ("candidate_evaluations", "sample_forwards", "backward_passes", "clause_checks", "environment_steps")
_SEED_COLOURS = ("#4477AA", "#EE6677", "#228833", "#CCBB44", "#66CCEE", "#AA3377", "#BBBBBB")

Value = Callable[[RunRecord], str | None]


def group_details(group: Group, anchor: str, histories: Mapping[str, "DataFrame"]) -> Markup:
    """The folded-away part of the page that links lead to."""
    return element(
        "details",
        element("summary", f"{group.task} · {group.method} · study {group.study} · protocol {group.protocol}"),
        element("div", *_content(group, histories), class_="inside"),
        id=anchor,
        class_="group",
    )


def _content(group: Group, histories: Mapping[str, "DataFrame"]) -> list[Markup | None]:
    seeds = [f"seed {run.labels['seed']}" for run in group.runs]
    settings = identifying_settings(_without(group.runs[0].config, "seed"))
    return [
        _curve(group, histories),
        _by_run("Scores", seeds, group.runs, _scores(group)),
        _by_run("Ledger", seeds, group.runs, _spent()),
        _by_run("Provenance", seeds, group.runs, _provenance()),
        element(
            "details",
            element("summary", "Configuration (all seeds)"),
            element("pre", "\n".join(_yaml(settings))),
        ),
        element(
            "details",
            element("summary", "Environment of the first run"),
            element("pre", "\n".join(_yaml(group.runs[0].environment))),
        ),
    ]


def _curve(group: Group, histories: Mapping[str, "DataFrame"]) -> Markup | None:
    """Validation scores over step seconds, a line per seed."""
    scale = 100 if group.unit == "fraction" else 1
    series = []
    for position, run in enumerate(group.runs):
        if run.name in histories:
            curve = validation_curve(histories[run.name], "seconds")
            points = [(float(x), float(y) * scale) for x, y in zip(curve.cost, curve.score, strict=True)]
            colour = _SEED_COLOURS[position % len(_SEED_COLOURS)]
            series.append(Series(points, colour, f"seed {run.labels['seed']}"))
    chart = line_chart(
        series, "step seconds", f"validation {group.score_name}", False, f"Validation of {group.title}", scale == 100
    )
    if chart is None:
        return element("p", "No curve: no readable history.", class_="quiet")
    return chart_with_legend(chart, [join(swatch(line), " ", line.label) for line in series])


def _scores(group: Group) -> dict[str, Value]:
    def score(name: str) -> Value:
        def value(run: RunRecord) -> str | None:
            known = number(run.metrics, name)
            return None if known is None else text_of(known, group.unit)

        return value

    found: dict[str, Value] = {
        "Test, validation-selected": score("test_selected"),
        "Test, last": score("test_last"),
        "Validation, selected": score("validation_selected"),
        "Selected at step": _count("metrics", "selected_step"),
        "Steps": _count("metrics", "steps"),
    }
    return found


def _spent() -> dict[str, Value]:
    found: dict[str, Value] = {name.replace("_", " "): _count("ledger", "spent", name) for name in _CURRENCIES}
    found["step seconds"] = lambda run: None if (seconds := step_seconds(run)) is None else text_of(seconds, "seconds")
    for clock in CLOCKS:
        found[f"clock: {clock}"] = _amount("seconds", "ledger", "clocks", clock)
    found["wall seconds"] = _amount("seconds", "ledger", "wall_seconds")
    found["peak memory (MB)"] = _amount("bytes", "ledger", "peak_memory_bytes")
    return found


def _provenance() -> dict[str, Value]:
    return {
        "Record": lambda run: run.name,
        "Started": lambda run: str(run.started),
        "Ended": lambda run: run.ended,
        "Commit": lambda run: str(run.environment.get("git_commit") or "") or None,
        "Uncommitted changes": lambda run: "yes" if run.environment.get("git_dirty") else "no",
        "Processor": lambda run: str(run.environment.get("processor") or "") or None,
        "Device, threads": lambda run: f"{run.environment.get('device')}, {run.environment.get('threads')}",
        "Data": lambda run: run.data_fingerprint[:12],
    }


def _amount(unit: str, section: str, *path: str) -> Value:
    def value(run: RunRecord) -> str | None:
        known = number(getattr(run, section), *path)
        # what nothing was spent of is left out
        return text_of(known, unit) if known else None

    return value


def _count(section: str, *path: str) -> Value:
    return _amount("count", section, *path)


def _by_run(title: str, seeds: Sequence[str], runs: Sequence[RunRecord], rows: Mapping[str, Value]) -> Markup | None:
    """A table with a column per run; rows that no run has a value for are left out."""
    lines = []
    for name, value in rows.items():
        cells = [value(run) for run in runs]
        if any(cell is not None for cell in cells):
            lines.append(
                element(
                    "tr",
                    element("th", name, scope="row"),
                    *(element("td", MISSING if cell is None else cell, class_="number") for cell in cells),
                )
            )
    if not lines:
        return None
    head = element(
        "tr", element("th", title, scope="col"), *(element("th", s, scope="col", class_="number") for s in seeds)
    )
    table = element("table", element("thead", head), element("tbody", *lines))
    return element("div", table, class_="scroll", tabindex="0", role="region", aria_label=title)


def _without(value: Any, key: str) -> Any:
    return {k: _without(v, key) for k, v in value.items() if k != key} if isinstance(value, dict) else value


def _yaml(tree: Any, indent: str = "") -> list[str]:
    """Nested settings, one a line."""
    lines = []
    for key, value in tree.items():
        if isinstance(value, dict) and value:
            lines += [f"{indent}{key}:", *_yaml(value, indent + "  ")]
        else:
            lines.append(f"{indent}{key}: {value}")
    return lines
