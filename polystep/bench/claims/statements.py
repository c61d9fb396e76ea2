"""Statements from yaml files: each a list of conditions, with one verdict per protocol and one over all."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from polystep.bench.claims.conditions import Condition, Outcome, Verdict, judge
from polystep.bench.claims.evidence import Evidence, Score
from polystep.bench.records import RunRecord
from polystep.bench.schema import ConfigError, unknown


@dataclass(frozen=True)
class Statement:
    """Something that can be true or not: it holds where all of its conditions do.

    studies: what each protocol that it is judged under is called for readers, and the study of its runs. seeds: those that
    count, named before anything ran, so that no choice of seeds can decide. remarks: further texts of the yaml file.
    """

    name: str
    statement: str
    conditions: tuple[Condition, ...]
    studies: Mapping[str, str]
    seeds: tuple[int, ...]
    remarks: Mapping[str, str]


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


@dataclass(frozen=True)
class Statements:
    """What a report judges, and the configurations of which a run is complete (others decide nothing)."""

    claims: Sequence[Statement]
    complete: Sequence[Mapping[str, Any]]

    def judge_claims(self, runs: Sequence[RunRecord]) -> list[Judgement]:
        """The claims of the paper by the records of `runs`."""
        evidence = Evidence(runs, self.complete)
        return [judge_statement(claim, evidence) for claim in self.claims]


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
    try:
        content: Any = OmegaConf.to_container(OmegaConf.load(path), resolve=True)
        common = {"studies": content.get("studies", {}), "seeds": content.get("seeds", [])}
        return [_statement(common | entry) for entry in content["statements"]]
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None
    except (OSError, OmegaConfBaseException, YAMLError, AttributeError, KeyError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise ConfigError(f"{path} is not a list of statements ({reason}); see configs/claims.yaml") from error


def _all_of(verdicts: Sequence[Verdict]) -> Verdict:
    if Verdict.FAILS in verdicts:
        return Verdict.FAILS
    if verdicts and all(verdict is Verdict.HOLDS for verdict in verdicts):
        return Verdict.HOLDS
    return Verdict.NOT_RUN if all(verdict is Verdict.NOT_RUN for verdict in verdicts) else Verdict.UNDECIDED


def _statement(entry: Mapping[str, Any]) -> Statement:
    name = str(entry["name"])
    conditions = tuple(condition for node in entry["conditions"] for condition in _conditions(node, name))
    studies = {str(protocol): str(study) for protocol, study in entry["studies"].items()}
    seeds = tuple(int(seed) for seed in entry["seeds"])
    if not conditions or not studies or not seeds:
        raise ConfigError(
            f"{name} lacks conditions, studies or seeds; without them it would hold whatever was measured"
        )
    known = ("name", "statement", "conditions", "studies", "seeds")
    remarks = {key: str(value) for key, value in entry.items() if key not in known}
    return Statement(name, str(entry["statement"]), conditions, studies, seeds, remarks)


def _conditions(node: Mapping[str, Any], name: str) -> list[Condition]:
    """The conditions of one entry: one for every task and every rival that it lists."""
    valid = ("tasks", "score", "minus", "at_least", "at_most", "tolerance", "near_published")
    for key in node:
        if key not in valid:
            raise ConfigError(unknown(f"{name}.conditions.{key}", key, valid))
    limits = {key: float(node[key]) for key in ("at_least", "at_most", "tolerance") if key in node}
    if not limits.keys() - {"tolerance"} and "near_published" not in node:
        raise ConfigError(
            f"{name} has a condition without at_least, at_most and near_published, which nothing could fail"
        )
    found = []
    for task in node.get("tasks") or [node["score"]["task"]]:
        score = _score({**node["score"], "task": task}, name)
        if "near_published" in node:
            limits |= _around_published(score, float(node["near_published"]), name)
        rivals = node.get("minus", [])
        rivals = rivals if isinstance(rivals, list) else [rivals]
        others = [_score({"task": task, **rival}, name) for rival in rivals]
        found += [Condition(score, other, **limits) for other in others or [None]]
    return found


def _around_published(score: Score, deviations: float, name: str) -> dict[str, float]:
    """Limits at so many published standard deviations around the published mean."""
    published = score.published_value()
    if published is None:
        raise ConfigError(f"{name}: nothing is published for {score}, so near_published cannot be judged")
    distance = deviations * published.std
    return {"at_least": published.mean - distance, "at_most": published.mean + distance}


def _score(node: Mapping[str, Any], name: str) -> Score:
    valid = [field.name for field in fields(Score)]
    for key in node:
        if key not in valid:
            raise ConfigError(unknown(f"{name}.score.{key}", key, valid))
    published = node.get("published")
    if published is not None and len(published) != 3:
        raise ConfigError(f"{name}: published={published!r} is not valid; expected [task, method, metric]")
    return Score(**{**node, "published": tuple(published) if published else None})
