"""Charts draw what they are given, where it belongs."""

import math
import re

import pytest

from polystep.bench.page.charts import HEIGHT, WIDTH, Series, compact, line_chart


def corners(chart: str) -> list[list[tuple[float, float]]]:
    """The corners of every line of a chart."""
    found = []
    for path in re.findall(r'<path d="([^"]*)" class="line"', chart):
        x = y = 0.0
        points = []
        for command, numbers in re.findall(r"([MLHV])([-\d. ]+)", path):
            values = [float(number) for number in numbers.split()]
            x = values[0] if command in "MLH" else x
            y = values[-1] if command in "MLV" else y
            points.append((x, y))
        found.append(points)
    return found


def draw(points, logarithmic=False, percent=False, **options) -> str:
    chart = line_chart([Series(points, "#123456", **options)], "cost", "score", logarithmic, "a chart", percent)
    assert chart is not None
    return chart


def test_straight_lines_join_their_points() -> None:
    (line,) = corners(draw([(0, 0), (1, 10), (2, 5)], steps=False))
    assert len(line) == 3
    assert line[0][0] < line[1][0] < line[2][0]
    assert line[1][1] < line[2][1] < line[0][1], "higher scores are further up"
    assert line[1][0] - line[0][0] == pytest.approx(line[2][0] - line[1][0], abs=0.2)


def test_steps_hold_each_value_until_the_next() -> None:
    (line,) = corners(draw([(0, 1), (1, 2), (2, 2), (3, 4)]))
    assert line[1][1] == line[0][1] and line[1][0] == line[2][0]
    # equal values make one piece
    assert len(line) == 5


def test_logarithmic_costs_leave_the_start_out() -> None:
    (line,) = corners(draw([(0, 5), (1, 1), (10, 2), (100, 3)], logarithmic=True, steps=False))
    assert len(line) == 3
    assert line[1][0] - line[0][0] == pytest.approx(line[2][0] - line[1][0], abs=0.2)


def test_scores_close_to_full_are_spread_by_their_distance() -> None:
    (line,) = corners(draw([(0, 90), (1, 99), (2, 99.9)], percent=True, steps=False))
    assert line[0][1] - line[1][1] == pytest.approx(line[1][1] - line[2][1], abs=0.3)
    assert {"90", "99", "99.9"} <= set(
        re.findall(r">([\d.]+)</text>", draw([(0, 90), (1, 99), (2, 99.9)], percent=True))
    )


@pytest.mark.parametrize("points", [[], [(0, 1)], [(1, math.nan)]])
def test_nothing_to_draw_is_no_chart(points) -> None:
    assert line_chart([Series(points, "")], "", "", True, "") is None


@pytest.mark.parametrize(
    "points", [[(1, 5)], [(1, 5), (2, 5)], [(1e-9, 0), (1e9, 1e-9)], [(3, -1e12), (4, 1e12)], [(2, 100)]]
)
@pytest.mark.parametrize("logarithmic", [True, False])
@pytest.mark.parametrize("percent", [True, False])
def test_everything_lies_within_the_picture(points, logarithmic, percent) -> None:
    chart = draw(points, logarithmic, percent and points[0][1] <= 100 and points[-1][1] <= 100)
    for x, y in [corner for line in corners(chart) for corner in line]:
        assert 0 <= x <= WIDTH and 0 <= y <= HEIGHT
    assert "nan" not in chart and "inf" not in chart


def test_long_lines_are_thinned_but_keep_their_ends() -> None:
    (line,) = corners(draw([(x, math.sin(x / 300)) for x in range(5000)], steps=False))
    assert len(line) <= 64
    short = corners(draw([(0, 0), (4999, math.sin(4999 / 300))], steps=False))[0]
    assert line[-1][0] == short[-1][0]


@pytest.mark.parametrize(("value", "text"), [(0, "0"), (12_000, "12k"), (3e6, "3M"), (0.25, "0.25"), (2.5e9, "2.5G")])
def test_numbers_on_axes_are_short(value, text) -> None:
    assert compact(value) == text
