"""WalkSAT, probSAT and RC2: kept scores against fresh ones, choices against their law, optima against enumeration."""

import itertools
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import njit

from baselines import clause_kernels as kernels
from baselines import clause_search
from baselines.clause_search import ChainSearch, Problem
from baselines.probsat import ProbSat, draw_by_break
from baselines.rc2 import Rc2
from baselines.walksat import WalkSat, break_least_or_walk
from polystep.bench.composition import compose_config
from polystep.bench.launch import build_run
from polystep.capabilities import CapabilityUnavailable
from polystep.conformance.objectives import QuadraticObjective, SomeClauses
from polystep.contracts import Spent
from polystep.evaluation.compilation import CompilationClock
from polystep.layout import ParameterLayout
from polystep.packages import MissingPackageError

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
SOLVERS = {"probsat": ProbSat, "walksat": WalkSat}


class Clauses:
    """Clauses as tasks show them to solvers, from lists of signed variables 1..n."""

    scale = 1.0

    def __init__(self, variables, clauses, weights=None, hard=None):
        self.variables = variables
        self.hard = None if hard is None else np.array(hard, bool)
        codes = [sorted(2 * (abs(literal) - 1) + (literal < 0) for literal in clause) for clause in clauses]
        self.codes = np.array([code for clause in codes for code in clause], np.uint32)
        self.starts = np.cumsum([0, *map(len, codes)], dtype=np.int64)
        self.weights = None if weights is None else np.array(weights, np.int64)

    def cost(self, values):
        """Weight of the clauses that an assignment of 0 and 1 leaves unsatisfied."""
        cost = 0
        for c in range(len(self.starts) - 1):
            codes = self.codes[self.starts[c] : self.starts[c + 1]].tolist()
            if not any(values[code // 2] != code % 2 for code in codes):
                cost += 1 if self.weights is None else int(self.weights[c])
        return cost

    def least_cost(self):
        return min(self.cost(values) for values in itertools.product([0, 1], repeat=self.variables))


class ClausesOnly:
    """An objective that only has clauses."""

    def __init__(self, clauses):
        self.clauses, self.spent = clauses, Spent()

    def losses(self, candidates):
        raise NotImplementedError

    def search(self, solver):
        found, spent = solver(self.clauses)
        self.spent += spent
        return found


@st.composite
def clause_sets(draw):
    variables = draw(st.integers(1, 7))
    clause = st.dictionaries(st.integers(1, variables), st.sampled_from([-1, 1]), min_size=1, max_size=5)
    rows = draw(st.lists(clause, min_size=1, max_size=20))
    weights = draw(st.none() | st.lists(st.integers(1, 9), min_size=len(rows), max_size=len(rows)))
    hard = draw(st.none() | st.lists(st.booleans(), min_size=len(rows), max_size=len(rows)))
    if hard is not None:
        weights = [
            1000 if is_hard else weight for is_hard, weight in zip(hard, weights or [1] * len(rows), strict=True)
        ]
    return Clauses(variables, [[v * sign for v, sign in row.items()] for row in rows], weights, hard)


def random_clauses(variables, count, length=3, seed=0):
    numbers = np.random.default_rng(seed)
    chosen = [numbers.choice(variables, length, replace=False) + 1 for _ in range(count)]
    return Clauses(variables, [(row * numbers.choice([-1, 1], length)).tolist() for row in chosen])


def solver(name, clauses, seed=0, **arguments):
    layout = ParameterLayout({"assignment": (clauses.variables,)})
    point = torch.randn(clauses.variables, generator=torch.Generator().manual_seed(seed))
    return SOLVERS[name](layout, point, seed, **arguments)


def best_cost(optimizer, clauses):
    return clauses.cost((optimizer.solution > 0).int().tolist())


@settings(max_examples=40, deadline=None)
@given(clause_sets(), st.sampled_from(sorted(SOLVERS)), st.integers(0, 40), st.integers(0, 2**32))
def test_kept_scores_equal_fresh_ones(clauses, name, flips, seed):
    optimizer = solver(name, clauses, seed)
    clock = CompilationClock()
    problem = Problem(clauses, clock)
    search = ChainSearch(problem, None, np.zeros(clauses.variables, np.uint8), seed, clock)
    kernel = kernels.build_search(type(optimizer).choose, clauses.weights is not None, clauses.hard is not None)
    # so that it is kept
    clock.compile(kernel, *search.arguments(optimizer.parameters(), np.empty(0, np.int32)))
    for _ in range(2):
        done, visits = search.run(kernel, flips, optimizer.parameters())
        assert (done < flips) == (flips > 0 and search.cost == 0 and done < flips)
        assert visits <= done * (len(clauses.starts) - 1)
        fresh = ChainSearch(problem, None, search.chain.values, seed, clock)
        assert np.array_equal(search._satisfiers, fresh._satisfiers)
        assert np.array_equal(search._breaks, fresh._breaks)
        assert search.cost == fresh.cost == clauses.cost(search.chain.values)
        assert sorted(search.chain.broken) == fresh.chain.broken.tolist()
        assert np.array_equal(search._broken[search._places[search.chain.broken]], search.chain.broken)
        soft, hard = search._sections()
        assert (search._broken[hard] < problem.hard).all() and (search._broken[soft] >= problem.hard).all()
        assert search.chain.best_cost == clauses.cost(search.chain.best) <= search.cost


@pytest.mark.parametrize("name", sorted(SOLVERS))
def test_finds_optima(name):
    for seed in range(5):
        clauses = random_clauses(10, 80, seed=seed)
        optimizer = solver(name, clauses, flips_per_step=20_000)
        report = optimizer.step(ClausesOnly(clauses), 0.0)
        assert best_cost(optimizer, clauses) == clauses.least_cost() == report.diagnostics["best"]
        assert report.finished == (clauses.least_cost() == 0)
        assert report.loss >= report.diagnostics["best"]


def partial_clauses(variables=40, hard=120, soft=60, seed=0):
    """Hard clauses that an assignment satisfies, and weighted units."""
    numbers = np.random.default_rng(seed)
    hidden = numbers.choice([-1, 1], variables + 1)
    rows = []
    while len(rows) < hard:
        row = ((numbers.choice(variables, 3, replace=False) + 1) * numbers.choice([-1, 1], 3)).tolist()
        if any(np.sign(literal) == hidden[abs(literal)] for literal in row):
            rows.append(row)
    units = (numbers.integers(1, variables + 1, soft) * numbers.choice([-1, 1], soft)).tolist()
    weights = numbers.integers(1, 50, soft).tolist()
    top = sum(weights) + 1
    clauses = [*([unit] for unit in units), *rows]
    return Clauses(variables, clauses, [*weights, *([top] * hard)], [False] * soft + [True] * hard)


@pytest.mark.parametrize("name", sorted(SOLVERS))
def test_hard_clauses_are_satisfied_and_soft_ones_almost_as_well_as_possible(name):
    for seed in range(4):
        clauses = partial_clauses(seed=seed)
        layout = ParameterLayout({"x": (clauses.variables,)})
        exact = Rc2(layout, torch.zeros(clauses.variables), 0)
        exact.step(ClausesOnly(clauses), 0.0)
        optimum = best_cost(exact, clauses)
        optimizer = solver(name, clauses, seed)
        optimizer.step(ClausesOnly(clauses), 0.0)
        assert optimum <= best_cost(optimizer, clauses) <= 1.25 * optimum < clauses.weights.max()


@pytest.mark.parametrize("name", sorted(SOLVERS))
def test_unsatisfied_hard_clauses_are_chosen_first(name):
    # (x1) is hard and false; nothing else can be flipped as long as it is
    clauses = Clauses(20, [[-v] for v in range(2, 21)] + [[1]], [1] * 19 + [20], [False] * 19 + [True])
    optimizer = solver(name, clauses, flips_per_step=1)
    optimizer._point = torch.tensor([-1.0] + 19 * [1.0])
    optimizer.step(ClausesOnly(clauses), 0.0)
    assert (optimizer.solution > 0).tolist() == [True] * 20


@pytest.mark.parametrize("name", sorted(SOLVERS))
def test_stops_where_everything_is_satisfied(name):
    clauses = random_clauses(300, 900)
    objective = ClausesOnly(clauses)
    optimizer = solver(name, clauses)
    for _ in range(2):
        assert optimizer.step(objective, 0.0).finished
        flips = objective.spent.candidate_evaluations
        assert best_cost(optimizer, clauses) == 0 and 0 < flips < 100_000
        # about nine clauses hold a variable
        assert flips < objective.spent.clause_checks < 20 * flips


@pytest.mark.parametrize("name", sorted(SOLVERS))
def test_chains_differ_and_threads_change_nothing(name, monkeypatch):
    clauses = random_clauses(60, 400)

    def run(threads, chains):
        monkeypatch.setattr(clause_search.numba, "get_num_threads", lambda: threads)
        optimizer = solver(name, clauses, chains=chains, flips_per_step=500)
        reports = [optimizer.step(ClausesOnly(clauses), 0.0) for _ in range(3)]
        return optimizer, [report.loss for report in reports]

    (alone, one), (_, two), (several, three) = run(1, 3), run(3, 3), run(1, 1)
    assert one == two != three
    assert best_cost(alone, clauses) <= best_cost(several, clauses)
    values = [chain.values for chain in alone._chains]
    assert not np.array_equal(values[0], values[1]) and not np.array_equal(values[1], values[2])


@njit
def choices(choose, literals, breaks, unit, parameters, generator, count):
    chosen = np.zeros(len(literals), np.int64)
    for _ in range(count):
        chosen[choose(literals, breaks, unit, parameters, generator)] += 1
    return chosen


def shares(choose, breaks, parameters, unit=1):
    literals = 2 * np.arange(len(breaks), dtype=np.uint32) + 1
    state = np.array([7], np.uint64)
    arguments = (literals, np.array(breaks), unit, np.array(parameters, float), state)
    return choices(choose, *arguments, 40_000) / 40_000


def test_probsat_draws_by_what_breaks():
    optimizer = solver("probsat", random_clauses(3, 3))
    expected = np.array([0.9, 1.9, 4.9]) ** -2.06
    found = shares(draw_by_break, [0, 1, 4], optimizer.parameters())
    assert found == pytest.approx(expected / expected.sum(), abs=0.01)
    assert shares(draw_by_break, [0, 70, 280], optimizer.parameters(), unit=70) == pytest.approx(found, abs=0.01)
    exponential = solver("probsat", random_clauses(3, 3), function="exponential", base=3.0)
    assert shares(draw_by_break, [0, 1, 2], exponential.parameters()) == pytest.approx(
        [9 / 13, 3 / 13, 1 / 13], abs=0.01
    )
    # what no table holds is as unlikely as its last entry
    assert shares(draw_by_break, [10**6, 10**7], exponential.parameters()) == pytest.approx([0.5, 0.5], abs=0.01)


def test_walksat_walks_only_where_something_breaks():
    assert shares(break_least_or_walk, [0, 3, 0], [1.0]) == pytest.approx([0.5, 0, 0.5], abs=0.01)
    assert shares(break_least_or_walk, [2, 3, 2], [0.0]) == pytest.approx([0.5, 0, 0.5], abs=0.01)
    assert shares(break_least_or_walk, [1, 3, 2], [1.0]) == pytest.approx([1 / 3] * 3, abs=0.01)
    assert shares(break_least_or_walk, [1, 3, 2], [0.6]) == pytest.approx([0.6, 0.2, 0.2], abs=0.01)
    assert shares(break_least_or_walk, [5], [0.6]) == [1]


@pytest.mark.parametrize("name", sorted(SOLVERS))
@pytest.mark.parametrize(
    ("arguments", "message"),
    [({"flips_per_step": 0}, "flips_per_step must be at least 1, got 0"), ({"chains": 0}, "chains must be at least 1")],
)
def test_settings_of_all_searches(name, arguments, message):
    with pytest.raises(ValueError, match=message):
        solver(name, SomeClauses(), **arguments)


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("probsat", {"function": "linear"}, "function must be 'polynomial' or 'exponential', got 'linear'"),
        ("probsat", {"base": 0.0}, "base must be a number above 0"),
        ("probsat", {"function": "exponential", "base": 0.9}, "base must be a finite number above 1, .*, got 0.9"),
        ("probsat", {"epsilon": -1.0}, "epsilon must be a number above 0"),
        ("walksat", {"noise": 1.5}, "noise must lie in"),
    ],
)
def test_settings(name, arguments, message):
    with pytest.raises(ValueError, match=message):
        solver(name, SomeClauses(), **arguments)


def test_the_start_is_what_the_point_says():
    clauses = SomeClauses()
    optimizer = solver("walksat", clauses)
    start = (optimizer.solution > 0).byte().numpy()
    optimizer.flips_per_step = 1
    optimizer.step(ClausesOnly(clauses), 0.0)
    assert (optimizer._chains[0].values != start).sum() == 1


def test_tasks_without_clauses_are_refused():
    class NoClauses:
        spent = Spent()

        def losses(self, candidates):
            raise NotImplementedError

    with pytest.raises(
        CapabilityUnavailable, match="works on clauses, which the task does not have; use it with task=maxsat"
    ):
        solver("probsat", SomeClauses()).step(NoClauses(), 0.0)


@pytest.mark.parametrize("optimizer", ["probsat", "walksat", "rc2"])
def test_runs_are_charged(optimizer, tmp_path):
    overrides = ["task=maxsat", "task.variables=50", f"optimizer={optimizer}", "budget.steps=2", "threads=1"]
    composed, choices_made = compose_config(CONFIGS, [*overrides, f"records={tmp_path}"])
    record = build_run(composed, choices_made).execute().record
    assert record.status == "finished"
    assert record.counters["clause_checks"] > 0
    assert record.scores["test_selected"] > 0.97
    assert record.clocks["evaluation"] > 0


class TestRc2:
    def solve(self, clauses, seconds=30.0):
        layout, start = ParameterLayout({"x": (clauses.variables,)}), torch.full((clauses.variables,), -3.0)
        optimizer = Rc2(layout, start, 0, seconds=seconds)
        return optimizer, optimizer.step(ClausesOnly(clauses), 0.0)

    @settings(max_examples=30, deadline=None)
    @given(clause_sets())
    def test_equals_enumeration(self, clauses):
        optimizer, report = self.solve(clauses)
        assert report.diagnostics == {"proven": 1.0, "lower_bound": clauses.least_cost()} and report.finished
        assert best_cost(optimizer, clauses) == clauses.least_cost() == report.loss

    def test_hard_clauses_are_never_paid_for(self):
        # without hard clauses, x1 false would cost 3 instead of 5
        clauses = Clauses(2, [[1], [-1, 2], [-1, -2]], [3, 5, 5], [True, False, False])
        optimizer, report = self.solve(clauses)
        assert optimizer.solution[0] == 1 and report.loss == 5

    def test_hard_clauses_hold_where_time_runs_out(self):
        easy = [[v, v + 1] for v in range(1, 400)]
        soft = random_clauses(400, 3000)
        rows = [soft.codes[a:b].tolist() for a, b in zip(soft.starts[:-1], soft.starts[1:], strict=True)]
        signed = [[(code // 2 + 1) * (-1 if code % 2 else 1) for code in row] for row in rows]
        clauses = Clauses(400, easy + signed, [3001] * 399 + [1] * 3000, [True] * 399 + [False] * 3000)
        optimizer, report = self.solve(clauses, seconds=0.5)
        assert report.loss is None and report.diagnostics["proven"] == 0
        assert best_cost(optimizer, clauses) <= 3000

    def test_hard_clauses_that_contradict_each_other(self):
        clauses = Clauses(1, [[1], [-1], [1]], [9, 9, 2], [True, True, False])
        optimizer, report = self.solve(clauses)
        assert report.loss == 9 and optimizer.solution[0] == 1

    def test_judges_the_searches(self):
        clauses = random_clauses(60, 270)
        _, report = self.solve(clauses)
        for name in SOLVERS:
            optimizer = solver(name, clauses)
            optimizer.step(ClausesOnly(clauses), 0.0)
            assert best_cost(optimizer, clauses) == report.loss

    def test_keeps_the_start_where_time_runs_out(self):
        clauses = random_clauses(400, 3000)
        optimizer, report = self.solve(clauses, seconds=0.2)
        assert report.loss is None and report.diagnostics["proven"] == 0
        assert torch.equal(optimizer.solution, torch.full((400,), -3.0))

    def test_solves_once_and_remembers(self):
        clauses = random_clauses(20, 60)
        optimizer, report = self.solve(clauses)
        again = Rc2(ParameterLayout({"x": (20,)}), torch.zeros(20), 0)
        again.load_state_dict(optimizer.state_dict())
        objective = ClausesOnly(clauses)
        assert again.step(objective, 0.0) == report and objective.spent == Spent()
        assert torch.equal(again.solution, optimizer.solution)

    def test_says_what_to_install(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "pysat.examples.rc2", None)
        with pytest.raises(
            MissingPackageError, match=r"needs the package python-sat; install it with: pip .* .\.\[bench\]."
        ):
            Rc2(ParameterLayout({"x": (5,)}), torch.zeros(5), 0)


def test_conformance_clauses_cannot_all_be_satisfied():
    optimizer = solver("walksat", SomeClauses())
    assert optimizer.step(QuadraticObjective(), 0.0).diagnostics["best"] > 0
