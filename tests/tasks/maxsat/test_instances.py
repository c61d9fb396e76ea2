"""Generators: the paper's against Python's own calls, the others against what they promise; kept instances."""

import random

import numpy as np
import pytest

from polystep import machine
from tasks.maxsat import instances
from tasks.maxsat.cache import kept_instance
from tasks.maxsat.formula import Formula
from tasks.maxsat.instances import paper_instance, planted_assignment, planted_instance, random_instance


def as_rows(formula):
    return formula.literals.reshape(-1, 3)


def published_generator(variables, clauses, seed):
    """The published procedure in Python's own calls."""
    generator = random.Random(seed)
    rows = []
    for _ in range(clauses):
        chosen = generator.sample(range(1, variables + 1), 3)
        rows.append([v if generator.random() < 0.5 else -v for v in chosen])
    return np.array(rows)


@pytest.mark.parametrize(
    ("variables", "clauses"), [(3, 12), (21, 89), (22, 93), (100, 426), (500, 2135), (1000, 4270), (5000, 21349)]
)
@pytest.mark.parametrize("seed", [42, 7])
def test_paper_instances_are_those_of_pythons_generator(variables, clauses, seed):
    formula = paper_instance(variables, seed=seed)
    assert formula.clauses == clauses
    assert np.array_equal(as_rows(formula), published_generator(variables, clauses, seed))


def test_paper_instances_do_not_depend_on_where_the_words_are_cut(monkeypatch):
    whole = paper_instance(1000)
    monkeypatch.setattr(instances, "BLOCK", 500)
    assert np.array_equal(paper_instance(1000).literals, whole.literals)


@pytest.mark.parametrize(("variables", "clauses"), [(20000, 85399), (100000, 426999), (1000000, 4270000)])
def test_published_clause_counts(variables, clauses):
    assert instances._clause_count(variables, 3, 4.27) == clauses


@pytest.mark.parametrize("generate", [random_instance, planted_instance])
def test_new_instances_have_distinct_variables_and_fair_counts(generate):
    rows = as_rows(generate(300, ratio=40.0, seed=5))
    assert rows.shape == (12000, 3)
    variables = np.sort(np.abs(rows), axis=1)
    assert (np.diff(variables, axis=1) > 0).all()
    counts = np.bincount(variables.reshape(-1), minlength=301)[1:]
    # 120 expected, standard deviation 11
    assert counts.min() > 60 and counts.max() < 180
    assert abs((rows > 0).mean() - 0.5) < 0.05
    assert not np.array_equal(rows, as_rows(generate(300, ratio=40.0, seed=6)))


def test_every_triple_of_few_variables_is_equally_likely():
    variables = np.sort(np.abs(as_rows(random_instance(5, ratio=4000.0))), axis=1)
    _, counts = np.unique(variables, axis=0, return_counts=True)
    # ten triples, 2000 each expected, standard deviation 42
    assert len(counts) == 10 and np.abs(counts - 2000).max() < 200


@pytest.mark.parametrize("length", [1, 2, 5])
def test_planted_assignment_satisfies_everything(length):
    formula = planted_instance(50, ratio=20.0, seed=3, length=length)
    truth = planted_assignment(50, seed=3).numpy()
    rows = formula.literals.reshape(-1, length)
    assert ((rows > 0) == truth[np.abs(rows) - 1]).any(axis=1).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"variables": 2}, "need as many variables, got 2"),
        ({"variables": 10, "ratio": 0.01}, "a ratio of 0.01"),
        ({"variables": 10, "ratio": -1.0}, "a ratio of -1.0"),
        ({"variables": 10, "ratio": float("inf")}, "a ratio of inf"),
        ({"variables": 2**31}, "at most 1073741823 variables, got 2147483648"),
    ],
)
@pytest.mark.parametrize("generate", [paper_instance, random_instance, planted_instance])
def test_impossible_instances_are_refused(generate, arguments, message):
    with pytest.raises(ValueError, match=message):
        generate(**arguments)


@pytest.mark.parametrize("generate", [paper_instance, random_instance, planted_instance])
def test_what_the_memory_cannot_hold_is_refused_before_it_is_drawn(generate, monkeypatch):
    monkeypatch.setattr(machine, "available_memory", lambda: 10**6)
    assert generate(1000).clauses == 4270
    with pytest.raises(ValueError, match=r"of 10000 variables and 42699 clauses needs about 0\.00507 GB"):
        generate(10_000)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Formula.of_clauses(2, []), "at least one clause"),
        (lambda: Formula.of_clauses(2, [[1], []]), "an empty clause"),
        (lambda: Formula.of_clauses(2, [[1, 3]]), "a variable v in 1..2"),
        (lambda: Formula.of_clauses(2, [[1, 0]]), "a variable v in 1..2"),
        (lambda: Formula.of_clauses(0, [[1]]), "variables, got 0"),
        (lambda: Formula.of_clauses(1, [[1]], [0]), "at least 1, got 0"),
        (lambda: Formula.of_clauses(1, [[1], [1]], [3]), "weights must have an entry for each of 2 clauses, got 1"),
        (lambda: Formula.of_clauses(1, [[1]], None, [True, False]), "hard must have an entry for each of 1 clauses"),
        (lambda: Formula.of_clauses(1, [[1], [1]], [2**62, 2**62]), "more than 2\\^62"),
    ],
)
def test_impossible_formulas_are_refused(build, message):
    with pytest.raises(ValueError, match=message):
        build()


def test_score_counts_soft_weight_and_puts_broken_hard_clauses_below_everything():
    formula = Formula.of_clauses(3, [[1], [2], [3], [-1]], [2, 3, 1, 1], [False, False, True, True])
    assert formula.score(np.array([], np.int64)) == 1
    assert formula.score(np.array([0])) == pytest.approx(0.6)
    assert formula.score(np.array([0, 1])) == 0
    assert formula.score(np.array([1, 3])) == -0.5
    only_hard = Formula.of_clauses(1, [[1]], None, [True])
    assert only_hard.score(np.array([], np.int64)) == 1
    assert only_hard.score(np.array([0])) == -1


def test_fingerprint_tells_formulas_apart():
    clauses = [[1, 2], [-1, 2]]
    known = {
        Formula.of_clauses(2, clauses).fingerprint,
        Formula.of_clauses(3, clauses).fingerprint,
        Formula.of_clauses(2, clauses[::-1]).fingerprint,
        Formula.of_clauses(2, [[1, 2, -1], [2]]).fingerprint,
        Formula.of_clauses(2, clauses, [1, 2]).fingerprint,
        Formula.of_clauses(2, clauses, None, [True, False]).fingerprint,
    }
    assert len(known) == 6
    assert Formula.of_clauses(2, clauses).fingerprint in known


class TestKeptInstances:
    recipe = {"instance": "random", "variables": 50}  # noqa: RUF012

    def build(self):
        self.built += 1
        return random_instance(50)

    @pytest.fixture(autouse=True)
    def nothing_built(self):
        self.built = 0

    def test_are_generated_once(self, tmp_path):
        first = kept_instance(tmp_path, self.recipe, self.build)
        second = kept_instance(tmp_path, self.recipe, self.build)
        assert first.fingerprint == second.fingerprint == random_instance(50).fingerprint
        assert self.built == 1
        kept_instance(tmp_path, {**self.recipe, "variables": 51}, self.build)
        assert self.built == 2
        assert not list(tmp_path.glob(".*"))

    @pytest.mark.parametrize(
        "harm", [lambda raw: raw[:-200], lambda raw: b"", lambda raw: raw.replace(b"\x01", b"\x02")]
    )
    def test_are_made_anew_where_damaged(self, tmp_path, harm, caplog):
        formula = kept_instance(tmp_path, self.recipe, self.build)
        (path,) = tmp_path.iterdir()
        path.write_bytes(harm(path.read_bytes()))
        assert kept_instance(tmp_path, self.recipe, self.build).fingerprint == formula.fingerprint
        assert self.built == 2
        assert "damaged" in caplog.text
        kept_instance(tmp_path, self.recipe, self.build)
        assert self.built == 2

    def test_a_folder_that_cannot_be_written_costs_time_only(self, tmp_path, caplog):
        blocked = tmp_path / "file"
        blocked.write_text("no folder")
        assert kept_instance(blocked / "maxsat", self.recipe, self.build).variables == 50
        assert "cannot be kept" in caplog.text
