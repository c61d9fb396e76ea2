"""Statements from yaml files: each a list of conditions, with one verdict per protocol and one over all."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from polystep.bench.claims.conditions import Condition, Outcome, Verdict, judge
from polystep.bench.claims.evidence import Evidence, Score
from polystep.bench.schema import ConfigError, unknown

Parsed = TypeVar("Parsed")

PUBLISHED = "published"
"""As `minus` of a condition: the published score of the same seed at the same step."""


@dataclass(frozen=True)
class Statement:
    """Something that can be true or not: it holds where all of its conditions do.

    studies: what each protocol that it is judged under is called for readers, and the study of its runs. seeds: those that
    count, named before anything ran, so that no choice of seeds can decide.
    """

    name: str
    statement: str
    conditions: tuple[Condition, ...]
    studies: Mapping[str, str]
    seeds: tuple[int, ...]


@dataclass(frozen=True)
class Judgement:
    """A statement with the outcomes of its conditions by protocol."""

    statement: Statement
    outcomes: Mapping[str, tuple[Outcome, ...]]

    def verdict(self, protocol: str) -> Verdict:
        """The verdict under one protocol: it holds where all conditions do, and fails where one certainly does."""
        return _all_of([outcome.verdict for outcome in self.outcomes[protocol]])

    @property
    def overall(self) -> Verdict:
        """The verdict over all protocols: a statement that fails under one of them does not hold."""
        return _all_of([self.verdict(protocol) for protocol in self.outcomes])

    def decisive(self, protocol: str) -> Outcome:
        """The outcome that decides: the one with the least margin, of those with the worst verdict where none is measured."""
        outcomes = self.outcomes[protocol]
        worst = self.verdict(protocol)
        candidates = [outcome for outcome in outcomes if outcome.verdict is worst] or list(outcomes)
        return min(candidates, key=lambda outcome: outcome.margin)

    def reasons(self) -> list[str]:
        """Why nothing was decided, each reason once."""
        outcomes = [outcome for outcomes in self.outcomes.values() for outcome in outcomes]
        return list(dict.fromkeys(reason for outcome in outcomes for reason in outcome.reasons))


def judge_statement(statement: Statement, evidence: Evidence) -> Judgement:
    """Every condition under every protocol of the statement."""
    return Judgement(
        statement,
        {
            protocol: tuple(judge(condition, evidence, study, statement.seeds) for condition in statement.conditions)
            for protocol, study in statement.studies.items()
        },
    )


def read_statements(path: Path) -> list[Statement]:
    """The statements of a yaml file; its format is described at the top of configs/claims.yaml.

    Raises ConfigError, naming the file and the place, where it is malformed.
    """
    return read_entries(path, _statement)


def complete_profiles(path: Path) -> list[str]:
    """The profiles whose runs count as complete for the statements of a yaml file.

    Raises ConfigError, naming the file, where it names none.
    """
    try:
        content: Any = OmegaConf.to_container(OmegaConf.load(path))
        profiles = [str(name) for name in content["profiles"]]
    except (OSError, OmegaConfBaseException, YAMLError, AttributeError, KeyError, TypeError) as error:
        raise ConfigError(f"{path} names no profiles ({error}); without them no run would count as complete") from error
    return profiles


def read_entries(path: Path, parse: Callable[[Mapping[str, Any]], Parsed]) -> list[Parsed]:
    """What `parse` makes of each of the statements in a yaml file, with the studies and seeds that they share.

    Raises ConfigError, naming the file and the place, where it is malformed.
    """
    try:
        content: Any = OmegaConf.to_container(OmegaConf.load(path), resolve=True)
        common = {"studies": content.get("studies", {}), "seeds": content.get("seeds", [])}
        return [parse(common | entry) for entry in content["statements"]]
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None
    except (OSError, OmegaConfBaseException, YAMLError, AttributeError, KeyError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise ConfigError(f"{path} is not a list of statements ({reason}); see configs/claims.yaml") from error


def parse_conditions(nodes: Sequence[Mapping[str, Any]], name: str) -> tuple[Condition, ...]:
    """The conditions of the statement `name`; raises ConfigError for one that is malformed or that nothing could fail."""
    return tuple(condition for node in nodes for condition in _conditions(node, name))


def _all_of(verdicts: Sequence[Verdict]) -> Verdict:
    if Verdict.FAILS in verdicts:
        return Verdict.FAILS
    if verdicts and all(verdict is Verdict.HOLDS for verdict in verdicts):
        return Verdict.HOLDS
    return Verdict.NOT_RUN if all(verdict is Verdict.NOT_RUN for verdict in verdicts) else Verdict.UNDECIDED


def _statement(entry: Mapping[str, Any]) -> Statement:
    name = str(entry["name"])
    conditions = parse_conditions(entry["conditions"], name)
    studies = {str(protocol): str(study) for protocol, study in entry["studies"].items()}
    seeds = tuple(int(seed) for seed in entry["seeds"])
    if not conditions or not studies or not seeds:
        raise ConfigError(
            f"{name} lacks conditions, studies or seeds; without them it would hold whatever was measured"
        )
    return Statement(name, str(entry["statement"]), conditions, studies, seeds)


def _conditions(node: Mapping[str, Any], name: str) -> list[Condition]:
    """The conditions of one entry: one for every task and every rival that it lists."""
    valid = ("tasks", "score", "minus", "at_least", "at_most", "tolerance", "label")
    for key in node:
        if key not in valid:
            raise ConfigError(unknown(f"{name}.conditions.{key}", key, valid))
    limits = {key: float(node[key]) for key in ("at_least", "at_most", "tolerance") if key in node}
    if not limits.keys() - {"tolerance"}:
        raise ConfigError(f"{name} has a condition without at_least and at_most, which nothing could fail")
    found = []
    for task in node.get("tasks") or [node["score"]["task"]]:
        score = _score({**node["score"], "task": task}, name)
        label = str(node.get("label", "")).replace("TASK", task)
        rivals = node.get("minus", [])
        if rivals == PUBLISHED:
            found.append(Condition(score, None, True, label, **limits))
            continue
        rivals = rivals if isinstance(rivals, list) else [rivals]
        others: list[Score | None] = [_score({"task": task, **rival}, name) for rival in rivals]
        found += [Condition(score, other, False, label, **limits) for other in others or [None]]
    return found


def _score(node: Mapping[str, Any], name: str) -> Score:
    valid = [field.name for field in fields(Score)]
    for key in node:
        if key not in valid:
            raise ConfigError(unknown(f"{name}.score.{key}", key, valid))
    published = node.get("published")
    if published is not None and len(published) != 3:
        raise ConfigError(f"{name}: published={published!r} is not valid; expected [task, method, metric]")
    return Score(**{**node, "published": tuple(published) if published else None})
