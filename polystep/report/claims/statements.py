"""Statements that can be true or not, from yaml files; configs/statements/claims.yaml describes the format."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from polystep.contracts import ExpectedError
from polystep.report.published import Published, had_equal_steps, published
from polystep.validation import did_you_mean

EDITIONS = ("first", "revised", "ours")
FILES = "files"
"""The axis of conditions on the published numbers themselves, which no run can change."""
PUBLISHED = "published"
"""As an axis, the settings of the statement's edition; as `minus`, its published score of the same seed at the same step."""


class StatementError(ExpectedError):
    """A file of statements is malformed; the message names the file, the place and what is valid there."""


@dataclass(frozen=True)
class Score:
    """One score that a statement is about.

    task: the task's own name. method: the name of the settings. axis: instead of the one that the statement is judged under.
    where: settings, by their column, that tell variants apart, a value or a list of some; a run may differ from its study in
    these, and in all settings of a component that is named. metric: column of the table of runs. step: instead of it, the test
    score at this marked step. published: (task, method, metric) of the published value where it goes by other names.
    """

    task: str
    method: str
    axis: str = ""
    where: Mapping[str, Any] = field(default_factory=dict)
    metric: str = "test_selected"
    step: int | None = None
    published: tuple[str, str, str] | None = None

    def published_value(self, edition: str, axis: str) -> Published | None:
        """What the edition reports for this axis, else in its main table; None where it reports nothing of the kind."""
        if self.step is not None or edition not in ("first", "revised"):
            return None
        metric = "test_best" if (edition, self.metric) == ("first", "test_selected") else self.metric
        name = self.published or (self.task, self.method, metric)
        found = published(edition, *name, axis=axis) or published(edition, *name)
        return found if found and (axis != "equal_steps" or had_equal_steps(self.method, found)) else None

    def __str__(self) -> str:
        """What it is the score of, for sentences."""
        variant = ", ".join(f"{path.split('.', 1)[-1]}={_text(value)}" for path, value in self.where.items())
        at = f" at step {self.step}" if self.step is not None else ", last" if self.metric == "test_last" else ""
        return f"{self.method}{f' ({variant})' if variant else ''} on {self.task}{at}"


@dataclass(frozen=True)
class Condition:
    """at_least - tolerance <= value <= at_most + tolerance; a missing bound is infinite.

    The value is `score`, or how much better it is than `minus` (larger where larger scores are better). minus_published: the
    published score of the same seed and step is `minus`. rivals: `minus` is one of several rivals without gradients, and every
    other such rival that has run counts too. files: judged by published numbers alone. label: instead of names.
    """

    score: Score
    minus: Score | None = None
    minus_published: bool = False
    rivals: bool = False
    files: bool = False
    at_least: float = -math.inf
    at_most: float = math.inf
    label: str = ""

    @property
    def bounds(self) -> tuple[float, float]:
        """Lowest and highest value that meet the condition."""
        return self.at_least, self.at_most

    @property
    def compares(self) -> bool:
        """Whether the value is a difference of two scores."""
        return self.minus is not None or self.minus_published

    def __str__(self) -> str:
        """What is compared."""
        if self.label:
            return self.label
        if self.minus_published:
            return f"{self.score} minus published, seed by seed"
        if self.minus is None:
            return str(self.score)
        same = self.minus.task == self.score.task and not self.score.where and self.score.method != self.minus.method
        return f"{self.score.method if same else self.score} minus {self.minus}"


@dataclass(frozen=True)
class Statement:
    """Something that can be true or not: under each axis it holds where all of its conditions do.

    edition: whose statement it is. axes: the protocols it is judged under. seeds: those that count, named before anything ran.
    background, follows: what was published, and the consequence if it holds; of findings only.
    """

    id: str
    edition: str
    text: str
    axes: tuple[str, ...]
    seeds: tuple[int, ...]
    conditions: tuple[Condition, ...]
    background: str = ""
    follows: str = ""


def read_statements(path: Path) -> list[Statement]:
    """The statements of a yaml file; StatementError, naming the file and the place, where it is malformed."""
    try:
        content: Any = OmegaConf.to_container(OmegaConf.load(path))
        seeds, entries = [int(seed) for seed in content["seeds"]], content["statements"]
        found = [_statement(entry, seeds) for entry in entries]
    except (OSError, OmegaConfBaseException, YAMLError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise StatementError(f"{path} is no file of statements ({type(error).__name__}: {error})") from error
    except StatementError as error:
        raise StatementError(f"{path}: {error}") from error
    names = [statement.id for statement in found]
    if twice := {name for name in names if names.count(name) > 1}:
        raise StatementError(f"{path} has several statements of the name {', '.join(sorted(twice))}; give each its own")
    return found


def _statement(entry: Mapping[str, Any], seeds: Sequence[int]) -> Statement:
    name = str(entry["id"])
    _known(entry, ("id", "edition", "text", "axes", "seeds", "conditions", "background", "follows"), name)
    if entry["edition"] not in EDITIONS:
        raise StatementError(f"{name}: edition={entry['edition']} is none of {', '.join(EDITIONS)}")
    count = int(entry.get("seeds", 0))
    if not 2 <= count <= len(seeds) and entry["axes"] != [FILES]:
        raise StatementError(f"{name}: seeds={count} is not between 2 and the {len(seeds)} that the file lists")
    conditions = tuple(found for node in entry["conditions"] for found in _conditions(node, name))
    if not conditions:
        raise StatementError(f"{name} has no conditions, so it would hold whatever was measured")
    axes = tuple(str(axis) for axis in entry["axes"])
    texts = {key: " ".join(str(entry.get(key, "")).split()) for key in ("text", "background", "follows")}
    return Statement(name, entry["edition"], axes=axes, seeds=tuple(seeds[:count]), conditions=conditions, **texts)


def _conditions(node: Mapping[str, Any], name: str) -> Iterable[Condition]:
    """The conditions of one entry: one for every task and every rival that it lists."""
    _known(node, ("tasks", "score", "minus", "rivals", "files", "at_least", "at_most", "tolerance", "label"), name)
    if not node.keys() & {"at_least", "at_most"}:
        raise StatementError(f"{name} has a condition without at_least and at_most, which nothing could fail")
    tolerance = float(node.get("tolerance", 0))
    at_least = float(node.get("at_least", -math.inf)) - tolerance
    at_most = float(node.get("at_most", math.inf)) + tolerance
    for task in node.get("tasks") or [node["score"]["task"]]:
        score, label = _score({**node["score"], "task": task}, name), str(node.get("label", "")).replace("TASK", task)
        files, minus, other = bool(node.get("files")), node.get("minus"), {"task": task, "metric": score.metric}
        condition = Condition(score, files=files, at_least=at_least, at_most=at_most, label=label)
        if "rivals" in node:
            for method in node["rivals"]:
                yield replace(condition, minus=_score({**other, "method": method}, name), rivals=True)
        elif minus is None or minus == PUBLISHED:
            yield replace(condition, minus_published=minus is not None)
        else:
            yield replace(condition, minus=_score({**other, **minus}, name))


def _score(node: Mapping[str, Any], name: str) -> Score:
    _known(node, Score.__dataclass_fields__, name)
    other = node.get("published")
    if other is not None and len(other) != 3:
        raise StatementError(f"{name}: published={other!r} is not valid; expected [task, method, metric]")
    return Score(**{**node, "published": tuple(other) if other else None})


def _text(value: Any) -> str:
    return " or ".join(map(str, value)) if isinstance(value, list) else str(value)


def _known(node: Mapping[str, Any], valid: Iterable[str], name: str) -> None:
    for key in node:
        if key not in valid:
            raise StatementError(
                f"{name}: {key} is unknown{did_you_mean(str(key), valid)}; valid there: {', '.join(valid)}"
            )
