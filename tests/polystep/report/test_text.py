"""Numbers and text from outside, for readers."""

import pytest

from polystep.report.text import (
    LONGEST,
    Spread,
    file_stem,
    for_figure,
    for_markdown,
    interval_text,
    number_text,
    plain,
    short_number,
    spread_text,
)


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ((0.93364, 0.0022, 5, "fraction"), "93.36 ± 0.22 %"),
        ((0.93364, 0.0022, 3, "fraction"), "93.36 ± 0.22 % (n=3)"),
        ((0.9, None, 1, "fraction"), "90.00 % (n=1)"),
        ((-79.6012, 1.6567, 5, ""), "-79.60 ± 1.66"),
        ((500.0, 0.0, 5, ""), "500 ± 0"),
        ((None, None, None, ""), "—"),
        ((float("nan"), None, None, ""), "—"),
    ],
)
def test_means_are_shown_with_their_spread_and_few_seeds(values, text):
    mean, std, n, unit = values
    assert spread_text(Spread(mean, std, n), unit) == text
    assert spread_text(None, unit) == "—"


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ((0.5, 0.4, 0.6, "fraction"), "50.00 (40.00 to 60.00) %"),
        ((0.5, 0.4, float("nan"), "fraction"), "50.00 (from 40.00) %"),
        ((None, 0.4, 0.6, "fraction"), "(40.00 to 60.00) %"),
        ((0.1, None, None, "fraction", True), "+10.00 points"),
        ((300.0, None, None, "seconds"), "300 s"),
    ],
)
def test_intervals_are_shown_as_far_as_they_are_known(values, text):
    assert interval_text(*values) == text


@pytest.mark.parametrize("value", [None, True, "x", [], {}, float("nan"), float("inf"), 10**400])
def test_what_is_no_number_is_a_dash(value):
    assert number_text(value, "seconds") == "—"


def test_huge_numbers_stay_short():
    assert len(number_text(1e308, "fraction")) < 20


def test_axes_have_short_numbers():
    assert [short_number(n) for n in (0.3, 100, 12_000, 3e6)] == ["0.3", "100", "12k", "3M"]
    assert [short_number(n) for n in (0, 0.01, 0.002, -1.25e-5)] == ["0", "0.01", "2e-3", "-1.25e-5"]


HOSTILE = [
    "ba$_$in",
    "a|b",
    "<script>",
    "x\udcff",
    "line\nbreak",
    "\x00\x1b[31m",
    "`code`",
    "[link](http://x)",
    "é" * 300,
]


@pytest.mark.parametrize("text", HOSTILE)
def test_text_from_outside_is_one_short_line_that_can_be_encoded(text):
    made = plain(text)
    assert len(made) <= LONGEST + 10
    assert "\n" not in made
    made.encode("utf-8")


@pytest.mark.parametrize("text", HOSTILE)
def test_file_names_hold_no_odd_letters_and_differ(text):
    stem = file_stem("curves", text)
    assert len(stem) < 150
    assert stem.isascii()
    assert not set(stem) - set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-")
    assert file_stem("curves", text) != file_stem("curves", text + "!")


def test_markdown_and_formulas_are_escaped():
    assert for_markdown("a|b *c* _d_ e_f $x$ <i>") == r"a\|b \*c\* \_d\_ e_f \$x\$ \<i\>"
    assert for_figure("ba$_$in") == r"ba\$_\$in"
