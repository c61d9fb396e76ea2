"""What the published runs really did: each defect with what was published, what its files and our reruns show, what follows."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from polystep.bench.claims.conditions import Condition, Verdict
from polystep.bench.claims.evidence import Evidence
from polystep.bench.claims.statements import (
    Judgement,
    Statement,
    judge_statement,
    parse_conditions,
    read_entries,
)
from polystep.bench.claims.tables import bound_text, published_unit, value_text
from polystep.bench.published import published_number, published_score
from polystep.bench.quantities import text_of
from polystep.bench.rendering import escape_markdown
from polystep.bench.schema import ConfigError

_NUMBER = re.compile(r"<(\w+)\s+(\w+)\s+(\w+)(\s+std)?>")


@dataclass(frozen=True)
class Defect:
    """A defect of the published runs.

    published: what was published, with its numbers. files: what the published numbers themselves must show. reruns: what runs
    here must show; None where nothing is to be rerun. follows: the consequence, if all of it is shown.
    """

    name: str
    title: str
    published: str
    files: tuple[Condition, ...]
    reruns: Statement | None
    follows: str


@dataclass(frozen=True)
class Finding:
    """A defect, and whether files and reruns bear it out."""

    defect: Defect
    reruns: Judgement | None

    @property
    def shown_by_files(self) -> bool:
        """Whether the published numbers meet all conditions on them."""
        values = [(condition, condition.published()) for condition in self.defect.files]
        return all(value is not None and condition.admits(value) for condition, value in values)

    @property
    def verdict(self) -> Verdict:
        """Of files and reruns together; reruns that are missing leave it open."""
        if not self.shown_by_files:
            return Verdict.FAILS
        return self.reruns.overall if self.reruns else Verdict.HOLDS

    def file_lines(self) -> Iterator[tuple[str, str, str, bool]]:
        """What is compared, its published value, what it must be, and whether it is."""
        for condition in self.defect.files:
            value, unit = condition.published(), published_unit(condition)
            shown = "unknown" if value is None else text_of(value, unit)
            yield str(condition), shown, bound_text(condition, unit), value is not None and condition.admits(value)

    def rerun_lines(self) -> Iterator[tuple[str, str, str, Verdict, tuple[str, ...]]]:
        """What is compared, its value here or why there is none, what it must be, the verdict, and the runs behind it."""
        for outcomes in self.reruns.outcomes.values() if self.reruns else ():
            for outcome in outcomes:
                unit = outcome.value.unit if outcome.value else published_unit(outcome.condition)
                shown = value_text(outcome, several=False) or "; ".join(outcome.reasons)
                yield str(outcome.condition), shown, bound_text(outcome.condition, unit), outcome.verdict, outcome.runs

    def conclusion(self) -> str:
        """The consequence where it is borne out, else what is open."""
        if self.verdict is Verdict.HOLDS:
            return self.defect.follows
        if self.verdict is Verdict.FAILS:
            return "Not borne out by the numbers above, so nothing follows."
        return "Open until the missing reruns have been made (profile published_runs)."


def read_defects(path: Path) -> list[Defect]:
    """The defects of configs/published_runs.yaml, with the published numbers put in.

    Raises ConfigError, naming the file and the place, where it is malformed or a number is not published.
    """
    return read_entries(path, _defect)


def find(defects: Sequence[Defect], evidence: Evidence) -> list[Finding]:
    """Each defect with what the runs show."""
    return [Finding(defect, judge_statement(defect.reruns, evidence) if defect.reruns else None) for defect in defects]


def findings_page(findings: Sequence[Finding]) -> str:
    """PUBLISHED_RUNS.md."""
    lines = [
        "# What the published runs really did",
        "",
        "Defects of the published experiments that change a conclusion: what was published, what the released files say "
        "themselves, what reruns here show, and what follows. A consequence is stated only where files and reruns bear it out.",
    ]
    for finding in findings:
        defect = finding.defect
        lines += [
            "",
            f"## {escape_markdown(defect.title.rstrip('.'))}",
            "",
            f"**Published.** {escape_markdown(defect.published)}",
        ]
        if defect.files:
            lines += ["", "| Released files | Value | Must be | Met |", "| --- | ---: | --- | --- |"]
            lines += [
                _row(compared, value, bound, "yes" if met else "no")
                for compared, value, bound, met in finding.file_lines()
            ]
        if finding.reruns:
            lines += ["", "| Reruns here | Value (interval) | Must be | Verdict |", "| --- | ---: | --- | --- |"]
            lines += [_row(*line[:3], str(line[3])) for line in finding.rerun_lines()]
        else:
            lines += ["", "Nothing was rerun here."]
        lines += ["", f"**What follows.** {escape_markdown(finding.conclusion())}"]
    return "\n".join(lines) + "\n"


def _row(*cells: str) -> str:
    return "| " + " | ".join(map(escape_markdown, cells)) + " |"


def _defect(entry: Mapping[str, Any]) -> Defect:
    name = str(entry["name"])
    files = parse_conditions(entry.get("files", []), name)
    conditions = parse_conditions(entry.get("conditions", []), name)
    if not files and not conditions:
        raise ConfigError(f"{name} has neither files nor conditions, so nothing would show it")
    reruns = None
    if conditions:
        studies = {str(protocol): str(study) for protocol, study in entry["studies"].items()}
        reruns = Statement(name, str(entry["statement"]), conditions, studies, tuple(map(int, entry["seeds"])))
    published = _NUMBER.sub(lambda found: _published_text(name, *found.groups()), str(entry["published"]))
    return Defect(name, str(entry["statement"]), published, files, reruns, str(entry["follows"]))


def _published_text(name: str, task: str, method: str, metric: str, std: str | None) -> str:
    score = published_score(task, method, metric)
    value = score.std if std and score else published_number(task, method, metric)
    if value is None:
        raise ConfigError(f"{name}: <{task} {method} {metric}> is not published")
    unit = "fraction" if metric.endswith("accuracy") else "count" if metric.endswith("_mean") else ""
    return text_of(value, f"difference of {unit}").lstrip("+") if std else text_of(value, unit)
