"""The rules by simulation: a truth on a bound rarely holds, and what was published holds where it is drawn anew."""

from pathlib import Path

import numpy
import pytest

from polystep.report.claims.intervals import LEVEL, NEAR_BEST, against_bounds, interval
from polystep.report.claims.statements import read_statements

FOLDER = Path(__file__).parents[4] / "configs" / "statements"
CLAIMS = read_statements(FOLDER / "claims.yaml")
STATEMENTS = [*CLAIMS, *read_statements(FOLDER / "published_runs.yaml")]
REPETITIONS = 20_000
CHANCE = LEVEL + 4 * (LEVEL / REPETITIONS) ** 0.5
"""`LEVEL`, and what a simulation of so many repetitions may be off by."""
BEST = {"fraction": 1.0, "": 500.0}


def published_spread(statement, condition) -> float:
    """Standard deviation over seeds of what is compared; a tenth of a point where none is published."""
    scores = [score for score in (condition.score, condition.minus) if score]
    known = [score.published_value(statement.edition, statement.axes[0]) for score in scores]
    return sum(value.std**2 for value in known if value and value.std > 0) ** 0.5 or 0.001


def laws(spread, shape, draws):
    """Scores around zero: normal ones around their mean, and saturated ones around their median, and whether they are."""
    yield spread * draws.standard_normal(shape), False
    # as many seeds a little above as far below
    yield numpy.where(draws.random(shape) < 0.5, 1e-3, -1.0), True
    # many close above, few that fail altogether
    yield spread * (numpy.log(2) - draws.exponential(size=shape)), True


@pytest.mark.parametrize("statement", STATEMENTS, ids=lambda statement: statement.id)
def test_a_truth_on_a_bound_holds_in_at_most_one_of_forty_repetitions(statement):
    draws = numpy.random.default_rng(0)
    for condition in statement.conditions:
        if condition.files:
            continue
        shape, spread = (REPETITIONS, len(statement.seeds)), published_spread(statement, condition)
        for bound in filter(numpy.isfinite, condition.bounds):
            for values, saturated in laws(spread, shape, draws):
                share = (against_bounds(interval(bound + values, saturated), condition.bounds) == 1).mean()
                assert share <= CHANCE, (condition, share)


@pytest.mark.parametrize(("seeds", "share"), [(5, 52), (10, 31)])
def test_readers_are_told_how_many_failures_seeds_can_miss(seeds, share):
    # of scores that vary: if so many of all runs failed, no seed would show it with a chance of 1 in 40
    assert (1 - share / 100) ** seeds == pytest.approx(LEVEL, rel=0.05)
    text = " ".join((FOLDER.parents[1] / "results" / "README.md").read_text().split())
    assert f"after {'five runs without one, ' if seeds == 5 else 'ten '}up to {share} %" in text


@pytest.mark.parametrize("seeds", [5, 10, 14])
@pytest.mark.parametrize("share", [0.02, 0.1, 0.5, 0.9])
@pytest.mark.parametrize("fall", [1.0, 400.0])
def test_a_mean_of_saturated_scores_is_refuted_in_at_most_one_of_forty_repetitions(seeds, share, fall):
    draws = numpy.random.default_rng(2)
    shape = REPETITIONS, seeds
    few_fail = 500.0 - fall * (draws.random(shape) < share)
    skewed = 500.0 - fall * share * draws.exponential(size=shape)
    for values in (few_fail, skewed):
        ends = interval(values, True, (-numpy.inf, 500.0))
        mean = 500.0 - fall * share
        assert (against_bounds(ends, (mean, numpy.inf)) == -1).mean() <= CHANCE


def test_seeds_that_fail_altogether_refute_a_mean_that_most_seeds_reach():
    six_of_ten_fail = [9.4, 500, 96, 9.3, 290, 500, 500, 288, 285, 500]
    ends = interval(six_of_ten_fail, True, (-numpy.inf, 500.0), LEVEL / 6)
    assert 400 < ends[1] < 487.6 and against_bounds(ends, (487.6, numpy.inf)) == -1
    assert interval([500.0] * 9 + [9.0], True, (-numpy.inf, 500.0))[1] > 499
    costs = interval([-score for score in six_of_ten_fail], True, (-500.0, numpy.inf), LEVEL / 6)
    assert costs == pytest.approx((-ends[1], -ends[0]))
    assert interval([500.0] * 10, True, (-numpy.inf, 500.0)) == (500.0, 500.0)


def bounded(known, spread, generator, shape):
    """Scores with the published mean and spread that stay within what is possible: Beta, stretched to the range."""
    low, high = (0.0, 1.0) if known.unit == "fraction" else (0.0, 500.0) if known.mean > 0 else (-500.0, 0.0)
    mean, spread = (known.mean - low) / (high - low), spread / (high - low)
    if not spread > 0:
        return numpy.full(shape, known.mean)
    strength = mean * (1 - mean) / spread**2 - 1
    return low + (high - low) * generator.beta(mean * strength, (1 - mean) * strength, shape)


def replay(statement, axis, generator, repetitions=4000):
    """Shares of repetitions in which all conditions hold, and in which any is refuted, when published means and spreads are the
    truth; None where nothing is published.
    """
    draws: dict = {}

    def drawn(score):
        known = score.published_value(statement.edition, axis)
        if known is None:
            return None
        key = (score.task, score.method, score.metric)
        if key not in draws:
            # without a spread of its own, that of the edition's main table
            spread = known.std if known.std > 0 else getattr(score.published_value(statement.edition, ""), "std", 0)
            draws[key] = bounded(known, spread, generator, (repetitions, len(statement.seeds)))
        return draws[key], BEST[known.unit]

    found = []
    for condition in statement.conditions:
        sides = [drawn(score) for score in (condition.score, condition.minus) if score]
        if condition.files or condition.minus_published or None in sides:
            continue
        values = sides[0][0] - (sides[1][0] if len(sides) > 1 else 0)
        near = [(numpy.abs(side - best) <= NEAR_BEST * best).any(axis=-1) for side, best in sides]
        found.append(against_bounds(interval(values, numpy.logical_or.reduce(near)), condition.bounds))
    if not found:
        return None
    worst = numpy.min(found, axis=0)
    return (worst == 1).mean(), (worst == -1).mean()


@pytest.mark.parametrize("statement", CLAIMS, ids=lambda statement: statement.id)
def test_what_was_published_holds_when_it_is_drawn_anew(statement):
    shares = replay(statement, statement.axes[0], numpy.random.default_rng(1))
    if shares:
        held, refuted = shares
        assert held >= 0.8 and refuted <= LEVEL


def test_the_interval_is_that_of_students_t_where_scores_vary():
    low, high = interval([[1.0, 2.0, 3.0], [2.0, 4.0, 6.0]])
    # t(0.975, 2) = 4.302653, s = 1 and 2
    assert high - [2, 4] == pytest.approx(4.302653 / 3**0.5 * numpy.array([1, 2]), rel=1e-6)
    assert low == pytest.approx(2 * numpy.array([2, 4]) - high)
    assert interval([1.0]) == (-numpy.inf, numpy.inf)


@pytest.mark.parametrize(("seeds", "left_out"), [(5, None), (6, 0), (8, 0), (9, 1), (10, 1), (12, 2), (14, 2)])
def test_the_interval_of_saturated_scores_is_that_of_order_statistics(seeds, left_out):
    values = numpy.arange(seeds, dtype=float)
    low, high = interval(values[::-1], saturated=True)
    expected = (-numpy.inf, numpy.inf) if left_out is None else (left_out, seeds - 1 - left_out)
    assert (low, high) == expected


def test_equal_scores_are_saturated_whatever_rounding_made_of_them():
    assert interval([0.1 + 0.2, 0.3, 0.3])[0] == -numpy.inf
    low, high = interval([0.1 + 0.2, *[0.3] * 5])
    assert low == pytest.approx(0.3) and high == pytest.approx(0.3)


def test_the_mean_is_within_the_interval_of_saturated_scores():
    low, high = interval([500.0] * 9 + [100.0], saturated=True)
    assert (low, high) == (460.0, 500.0)
