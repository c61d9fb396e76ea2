"""Every path gives what counting clause by clause gives, exactly."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from polystep.candidates import DenseCandidates, ParticleCandidates, SeededCandidates
from polystep.layout import ParameterLayout
from polystep.sampled_space import SampledSpace
from polystep.subspace import FullSpace
from polystep.weighting import Softmax
from tasks.maxsat import workers
from tasks.maxsat.clauses import Clauses
from tasks.maxsat.evaluation import FusedClauseEvaluator
from tasks.maxsat.formula import Formula
from tasks.maxsat.instances import random_instance
from tasks.maxsat.torch_evaluation import TorchClauseEvaluator


@st.composite
def formulas(draw):
    """Small formulas with repeated literals, tautologies, pairs within a clause, unused variables, weights and hard clauses."""
    variables = draw(st.integers(1, 9))
    literal = st.builds(lambda v, sign: v * sign, st.integers(1, variables), st.sampled_from([-1, 1]))
    clauses = draw(st.lists(st.lists(literal, min_size=1, max_size=6), min_size=1, max_size=25))
    weight = draw(st.sampled_from([None, 3, 2**40, 2**57]))
    count = len(clauses)
    drawn = st.lists(st.integers(1, weight or 1), min_size=count, max_size=count)
    return Formula.of_clauses(variables, clauses, None if weight is None else draw(drawn))


def brute_force(formula, points):
    """Unsatisfied weight of each point, clause by clause."""
    losses = []
    for point in points.tolist():
        lost = 0
        for c in range(formula.clauses):
            clause = formula.literals[formula.starts[c] : formula.starts[c + 1]].tolist()
            if not any((point[abs(literal) - 1] > 0) == (literal > 0) for literal in clause):
                lost += 1 if formula.weights is None else int(formula.weights[c])
        losses.append(lost)
    return losses


def evaluators(formula, scale=1.0):
    clauses = Clauses.of_formula(formula, formula.weights, scale)
    return FusedClauseEvaluator(clauses), TorchClauseEvaluator(clauses, torch.device("cpu"))


def numbers(generator, *shape):
    """Some values are exactly zero, and some offsets end there: a variable is true above zero only."""
    return torch.randint(-2, 3, shape, generator=generator) / 2


@settings(max_examples=60, deadline=None)
@given(formulas(), st.integers(1, 5), st.integers(0, 2), st.integers(0, 2**32))
def test_particles_and_points_equal_brute_force(formula, dimension, one_in, seed):
    generator = torch.Generator().manual_seed(seed)
    layout = ParameterLayout({"assignment": (formula.variables,)})
    dimension = min(dimension, formula.variables)
    base = numbers(generator, formula.variables)
    space = FullSpace(layout, dimension, 0)
    if one_in:
        space = SampledSpace(layout, dimension, seed, one_in)
    particle = torch.randint(space.particles, (12,), generator=generator)
    offset = numbers(generator, 12, dimension)
    candidates = ParticleCandidates(base, space, particle, offset)
    points = candidates.dense(slice(None))
    expected, of_base = brute_force(formula, points), *brute_force(formula, base.unsqueeze(0))
    relative = Clauses.of_formula(formula, formula.weights, 1.0).relative
    for evaluator in evaluators(formula):
        found = evaluator.losses(candidates)[0]
        # whole numbers up to 2^53 are exact, and differences from the base keep every unit beyond
        assert found.tolist() == [float(loss - of_base if relative else loss) for loss in expected]
        assert evaluator.losses(DenseCandidates(points))[0].tolist() == [float(loss) for loss in expected]


@settings(max_examples=50, deadline=None)
@given(formulas(), st.integers(0, 2**32))
def test_unsatisfied_clauses_are_named(formula, seed):
    point = numbers(torch.Generator().manual_seed(seed), formula.variables)
    fused, in_torch = (evaluator.unsatisfied(point) for evaluator in evaluators(formula))
    assert np.array_equal(fused, in_torch)
    lost = len(fused) if formula.weights is None else formula.weights[fused].sum()
    assert [lost] == brute_force(formula, point.unsqueeze(0))


def test_many_candidates_and_threads_change_nothing(monkeypatch):
    formula = random_instance(101, seed=1)
    layout = ParameterLayout({"assignment": (101,)})
    generator = torch.Generator().manual_seed(0)
    base = torch.randn(101, generator=generator)
    seeded = SeededCandidates(base, torch.arange(150), torch.ones(150))
    particles = ParticleCandidates(
        base, FullSpace(layout, 2, 0), torch.arange(51).repeat_interleave(4), torch.randn(204, 2, generator=generator)
    )
    alone = [
        FusedClauseEvaluator(Clauses.of_formula(formula, None, 1.0)).losses(candidates)[0]
        for candidates in (seeded, particles)
    ]
    monkeypatch.setattr(workers, "SMALLEST_PART", 1)
    monkeypatch.setattr(workers.numba, "get_num_threads", lambda: 3)
    shared = [
        FusedClauseEvaluator(Clauses.of_formula(formula, None, 1.0)).losses(candidates)[0]
        for candidates in (seeded, particles)
    ]
    _, in_torch = evaluators(formula)
    for one, other, candidates in zip(alone, shared, (seeded, particles), strict=True):
        assert torch.equal(one, other)
        assert torch.equal(one, in_torch.losses(candidates)[0])
        assert one.tolist() == brute_force(formula, candidates.dense(slice(None)))


def test_scale_and_work():
    formula = random_instance(100, seed=2)
    evaluator = FusedClauseEvaluator(Clauses.of_formula(formula, None, 0.25))
    candidates = DenseCandidates(torch.randn(3, 100, generator=torch.Generator().manual_seed(0)))
    losses, checks = evaluator.losses(candidates)
    assert (4 * losses).tolist() == brute_force(formula, candidates.points)
    assert checks == 3 * formula.clauses
    layout = ParameterLayout({"assignment": (100,)})
    for dimension, visited in ((2, 0), (3, formula.literals.size)):
        space = FullSpace(layout, dimension, 0)
        flips_everything = -2 * candidates.points[0]
        offset = torch.nn.functional.pad(flips_everything, (0, -100 % dimension)).reshape(-1, dimension)
        moves = ParticleCandidates(candidates.points[0], space, torch.arange(space.particles), offset)
        assert evaluator.losses(moves)[1] == formula.clauses + visited


def test_a_formula_of_tautologies_costs_nothing():
    formula = Formula.of_clauses(2, [[1, -1], [2, 1, -2]])
    for evaluator in evaluators(formula):
        assert evaluator.losses(DenseCandidates(torch.tensor([[-1.0, 1.0]])))[0].item() == 0
        assert evaluator.unsatisfied(torch.tensor([-1.0, 1.0])).size == 0


def test_a_formula_of_long_clauses():
    clause = [v if v % 3 else -v for v in range(1, 2001)]
    formula = Formula.of_clauses(2000, [clause, *([v] for v in clause)])
    falsified = -torch.tensor(clause).sign().float()
    layout = ParameterLayout({"assignment": (2000,)})
    space = FullSpace(layout, 2, 0)
    candidates = ParticleCandidates(falsified, space, torch.arange(1000), -2 * falsified.reshape(-1, 2))
    for evaluator in evaluators(formula):
        assert torch.equal(evaluator.losses(candidates)[0], torch.full((1000,), 2001.0 - 3))


@pytest.mark.parametrize("hard", [None, 2**20, 2**40, 2**61 + 1])
@pytest.mark.parametrize("scale", [1.0, 1 / 3, 0.07])
@pytest.mark.parametrize("dimension", [2, 3])
def test_every_unit_counts_beside_any_weight(hard, scale, dimension):
    """Unit clauses over eight variables, a heavy clause that no move mends and another that some moves break."""
    clauses, weights = [[v] for v in range(1, 9)], [1, 1, 1, 2, 1, 3, 1, 1]
    if hard is not None:
        clauses, weights = [*clauses, [9], [10, 11]], [*weights, hard, hard]
    formula = Formula.of_clauses(12, clauses, weights)
    base = -torch.ones(12)
    base[9:] = 1
    layout = ParameterLayout({"assignment": (12,)})
    space = FullSpace(layout, dimension, 0)
    particle = torch.arange(space.particles).repeat_interleave(2**dimension)
    signs = torch.tensor([[2.0 * (q >> k & 1) - 1 for k in range(dimension)] for q in range(2**dimension)])
    candidates = ParticleCandidates(base, space, particle, 9 * signs.repeat(space.particles, 1))
    expected, of_base = brute_force(formula, candidates.dense(slice(None))), *brute_force(formula, base.unsqueeze(0))
    for evaluator in evaluators(formula, scale):
        losses = evaluator.losses(candidates)[0]
        for i, loss in enumerate(expected):
            # what changes heavy clauses, too, may be rounded
            near = [j for j, other in enumerate(expected) if max(abs(each - of_base) for each in (loss, other)) < 2**19]
            assert [bool(losses[i] < losses[j]) for j in near] == [loss < expected[j] for j in near]
            assert [bool(losses[i] == losses[j]) for j in near] == [loss == expected[j] for j in near]
        weights_of = Softmax().weights(losses.reshape(space.particles, -1), scale)
        for row, costs in zip(weights_of, torch.tensor(expected).reshape(space.particles, -1), strict=True):
            if (costs - of_base).abs().max() < 2**41:
                torch.testing.assert_close(
                    row, torch.softmax(-(costs - costs.min()).double(), 0).to(row), rtol=1e-3, atol=0
                )


def test_every_unit_counts_for_moves_of_everything():
    """Evolution strategies move all variables at once; beside a broken clause of this weight float64 loses units."""
    clauses, weights = [[v] for v in range(1, 9)], [1, 1, 1, 2, 1, 3, 1, 1]
    formula = Formula.of_clauses(9, [*clauses, [9]], [*weights, 2**61 + 1])
    candidates = SeededCandidates(-torch.ones(9), torch.arange(64), torch.full((64,), 9.0), "rademacher")
    expected = torch.tensor(brute_force(formula, candidates.dense(slice(None))))
    of_base = 2**61 + 1 + sum(weights)
    broken = expected > 2**61
    assert broken.any() and not broken.all() and expected[broken].unique().numel() > 3
    for evaluator in evaluators(formula):
        losses = evaluator.losses(candidates)[0]
        assert torch.equal(losses[broken], (expected[broken] - of_base).double())
        # as parts of it, as processes evaluate them
        assert torch.equal(evaluator.losses(candidates.part(slice(7, 30)))[0], losses[7:30])
