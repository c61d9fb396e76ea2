"""What the numbers of tables say about units, spread and seeds."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polystep.bench.quantities import CensoredMedian, Difference, Estimate, Points, Quantity, average


def test_quantities_show_percent_spread_and_few_seeds() -> None:
    assert str(Quantity(0.93362, 0.002244, 5, "fraction")) == "93.36 ± 0.22 %"
    assert str(Quantity(0.93362, 0.002244, 4, "fraction")) == "93.36 ± 0.22 % (n=4)"
    assert str(Quantity(0.93362, None, 1, "fraction")) == "93.36 % (n=1)"
    assert str(Quantity(1234.56, 1.0, 5, "seconds")) == "1,234.6 ± 1.0"
    assert str(Quantity(30755520, 0.0, 5, "count")) == "30,755,520"
    assert str(Quantity(-0.0123, None, 5, "difference of fraction")) == "-1.23 points"
    assert str(Quantity(0.241234, 0.05, 5, "squared error")) == "0.2412 ± 0.0500"
    assert str(Quantity(-77.9312, 0.60041, 5, "")) == "-77.93 ± 0.60"
    assert str(Quantity(500.0, 0.0, 5, "")) == "500.0 ± 0.0" and str(Quantity(0.0, 0.0, 5, "")) == "0 ± 0"
    assert str(Quantity(500.0, None, 5, "")) == "500"


def test_average_ignores_unknown_values_and_claims_no_spread_of_one() -> None:
    assert average({1: None, 2: None}, "fraction") is None
    assert average({1: 0.5, 2: None}, "fraction") == Quantity(0.5, None, 1, "fraction", ((1, 0.5),))


@given(st.dictionaries(st.integers(), st.floats(-1e6, 1e6), min_size=2))
def test_average_is_the_population_one(values: dict[int, float]) -> None:
    import numpy

    quantity = average(dict(values), "seconds")
    assert quantity is not None and quantity.std is not None
    assert quantity.mean == pytest.approx(numpy.mean(list(values.values())), rel=1e-9, abs=1e-6)
    assert quantity.std == pytest.approx(numpy.std(list(values.values())), rel=1e-6, abs=1e-6)


def test_points_are_the_values_in_order_of_seed() -> None:
    assert str(Points(((42, 0.5), (123, 0.25)), "fraction")) == "50.00, 25.00 %"
    assert str(Points(((42, 1.23456),), "squared error")) == "1.235"


def test_estimates_show_as_much_as_there_is() -> None:
    assert str(Estimate(0.5, 0.4, 0.6, "fraction")) == "50.00 (40.00 to 60.00) %"
    assert str(Estimate(None, 0.4, 0.6, "fraction")) == "40.00 to 60.00 %"
    assert str(Estimate(0.5, None, None, "fraction")) == "50.00 %"


def test_differences_show_the_corrected_p_value() -> None:
    assert str(Difference(-0.0123, 0.0625, 0.25, 5, "fraction")) == "-1.23 points (p = 0.250)"
    assert str(Difference(0.0123, 0.25, 0.5, 3, "fraction")) == "+1.23 points (p = 0.500, n=3)"
    assert str(Difference(0.0123, None, None, 1, "fraction")) == "+1.23 points (n=1)"
    assert str(Difference(2.0, 1e-5, 1e-4, 20, "")) == "+2 (p < 0.001)"


def test_censored_medians_are_marked() -> None:
    assert str(CensoredMedian(868800, False, "count", (), ())) == "> 868,800"
    assert str(CensoredMedian(12.34, True, "seconds", (), ())) == "12.3"
