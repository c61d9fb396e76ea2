"""The strip of claims: on which side of its bound a value lies, and how far."""

import pytest

from polystep.report.claims.judge import judge
from polystep.report.claims.statements import Condition
from polystep.report.figures.claims import charts
from polystep.report.material import Material
from tests.polystep.report.claims.table_of_runs import GOOD, POLYSTEP, runs_of, statement, table


@pytest.mark.parametrize(
    ("bounds", "value", "low", "high"),
    [
        ({"at_least": 0.89}, 4.667, 3.810, 5.524),
        ({"at_least": 0.95}, -1.333, -2.190, -0.476),
        ({"at_most": 0.96}, 2.333, 1.476, 3.190),
        ({"at_least": 0.89, "at_most": 0.96}, 2.333, 1.476, 3.190),
    ],
)
def test_a_bar_is_the_distance_to_the_closer_bound_in_points(bounds, value, low, high):
    # of 93.667 %, within 2.5706 * 0.8165 / sqrt(6) = 0.857 points
    runs = table(runs_of(GOOD))
    (chart,) = charts(Material(runs, judge(runs, [statement(Condition(POLYSTEP, **bounds))])))
    ((panel,),) = chart.rows
    (dot,) = panel.dots
    assert (dot.value, dot.low, dot.high) == pytest.approx((value, low, high), abs=1e-3)
