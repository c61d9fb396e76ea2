"""DIMACS files of every kind, and what is said about those that are not."""

import bz2
import gzip
import lzma

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polystep import machine
from tasks.maxsat import dimacs
from tasks.maxsat.dimacs import InstanceError, read_dimacs
from tasks.maxsat.formula import Formula
from tasks.maxsat.instances import random_instance

CNF = b"c a comment\np cnf 4 3\n1 -2 0\n3\n4 0 -1\nc 9 9 0\n2 -3 -4 0\n"


def write(folder, name, content):
    path = folder / name
    path.write_bytes(content)
    return path


def rows(formula):
    return [formula.literals[a:b].tolist() for a, b in zip(formula.starts[:-1], formula.starts[1:], strict=True)]


def test_clauses_may_share_and_span_lines(tmp_path):
    formula = read_dimacs(write(tmp_path, "a.cnf", CNF))
    assert formula.variables == 4
    assert rows(formula) == [[1, -2], [3, 4], [-1, 2, -3, -4]]
    assert formula.weights is None and formula.hard is None


@pytest.mark.parametrize(
    ("suffix", "compress"),
    [
        ("gz", gzip.compress),
        ("GZ", gzip.compress),
        ("xz", lzma.compress),
        ("bz2", bz2.compress),
        ("lzma", lambda content: lzma.compress(content, lzma.FORMAT_ALONE)),
        ("old", gzip.compress),
        ("gz", bytes),
    ],
)
def test_compressed_files_hold_the_same(tmp_path, suffix, compress):
    plain = read_dimacs(write(tmp_path, "a.cnf", CNF))
    packed = read_dimacs(write(tmp_path, f"a.cnf.{suffix}", compress(CNF)))
    assert packed.fingerprint == plain.fingerprint


@pytest.mark.parametrize(
    "content",
    [
        CNF.replace(b"\n", b"\r\n"),
        CNF.replace(b"\n", b"\r"),
        CNF[:-1],
        b"\n \n" + CNF,
        CNF + b"%\n0\n\n",
        CNF + b"c",
        b"\xef\xbb\xbf" + CNF,
        CNF + b"\x1a",
        CNF + b"\x1a\x1a\r\n",
    ],
)
def test_other_line_ends_blank_lines_and_the_end_mark_of_satlib(tmp_path, content):
    expected = read_dimacs(write(tmp_path, "a.cnf", CNF))
    assert read_dimacs(write(tmp_path, "b.cnf", content)).fingerprint == expected.fingerprint


def test_weights_with_a_top(tmp_path):
    formula = read_dimacs(write(tmp_path, "a.wcnf", b"p wcnf 3 3 10\n10 1 2 0\n3 -1 0\n12 -3 0\n"))
    assert rows(formula) == [[1, 2], [-1], [-3]]
    assert formula.hard.tolist() == [True, False, True]
    assert formula.soft_weight == 3


def test_weights_without_a_top_are_all_soft(tmp_path):
    formula = read_dimacs(write(tmp_path, "a.wcnf", b"p wcnf 3 2\n7 1 2 0\n9223372036854775 -1 0\n"))
    assert formula.hard is None
    assert formula.weights.tolist() == [7, 9223372036854775]


@pytest.mark.parametrize("name", ["a.wcnf", "A.WCNF"])
def test_hard_clauses_by_letter(tmp_path, name):
    formula = read_dimacs(write(tmp_path, name, b"c new format\nh 1 -5 0\n4 2 0\nh 3 0\n"))
    assert formula.variables == 5
    assert rows(formula) == [[1, -5], [2], [3]]
    assert formula.hard.tolist() == [True, False, True]
    assert formula.soft_weight == 4


@pytest.mark.parametrize(
    ("content", "line", "message"),
    [
        (b"", 1, "no clauses"),
        (b"c only\nc comments\n", 3, "no clauses"),
        (b"1 2 0\n", 1, "where a p cnf line should be"),
        (bytes(range(128, 256)), 1, "where a p cnf line should be"),
        (b"p cnf x 3\n1 0\n", 1, "no problem line"),
        (b"p dnf 3 3\n1 0\n", 1, "no problem line"),
        (b"p\n1 0\n", 1, "no problem line"),
        (b"p cnf 3 " + b"9" * 5000 + b"\n", 1, "no problem line"),
        (b"p cnf 3\n1 0\n", 1, "needs two numbers, got 1"),
        (b"p cnf 3 1 7\n1 0\n", 1, "needs two numbers, got 3"),
        (b"p wcnf 3 1 7 7\n1 0\n", 1, "two or three numbers, got 4"),
        (b"p wcnf 3 1 0\n1 1 0\n", 1, "a top weight of 0"),
        (b"p cnf 0 1\n1 0\n", 1, "0 variables"),
        (b"p cnf 2000000000 1\n1 0\n", 1, "2000000000 variables"),
        (b"p cnf 3 0\n", 1, "no clauses declared"),
        (b"p cnf 3 2\n1 0\n", 3, "declares 2 clauses, but there are 1; is the file cut off"),
        (b"p cnf 3 1\n1 0\n2 0\n", 4, "declares 1 clauses, but there are 2; correct"),
        (b"p cnf 3 2\n1 0\n2 3\n", 4, "does not end with 0"),
        (b"p cnf 3 2\n1 0\n2 -4 0\n", 3, "'-4' names no variable in 1..3"),
        (b"p cnf 3 2\n1 0\n2 99999999999999999999 0\n", 3, "does not fit"),
        (b"p cnf 3 2\n1 0\n0\n", 3, "an empty clause"),
        (b"p cnf 3 2\n1 0\n2 x 0\n", 3, "'x' is no whole number"),
        (b"p cnf 3 2\n1 0\n2 1.5 0\n", 3, "'1.5' is no whole number"),
        (b"p cnf 3 2\n1 0\n- 0\n", 3, "'-' is no whole number"),
        (b"p cnf 3 2\n1 -0\n2 0\n", 2, "'-0' is no whole number"),
        (b"p cnf 3 2\n1 0\n\x00\xff\x01 0\n", 3, "is no whole number"),
        (b"p cnf 3 2\n1 0\n2\x003 0\n", 3, "is no whole number"),
        (b"p cnf 3 2\n1 0\np cnf 3 2\n", 3, "a p line among the clauses"),
        (b"p wcnf 3 2 9\n1 1 0\n0 2 0\n", 3, "a weight of '0'"),
        (b"p wcnf 3 2 9\n1 1 0\n-3 2 0\n", 3, "a weight of '-3'"),
        (b"p wcnf 3 2 9\n1 1 0\n3\n", 4, "does not end with 0"),
        (b"p wcnf 3 2 9\n1 1 0\n3 0\n", 3, "an empty clause"),
        (b"p wcnf 3 2 9\n1 1 0\nh 2 0\n", 3, "h in place of a weight, which files with a p line do not have"),
        (b"p wcnf 3 2 9\n1 1 0\n2.5 2 0\n", 3, "the weight '2.5' is no whole number; multiply all weights"),
        (b"p wcnf 3 1 18446744073709551615\n18446744073709551615 1 0\n", 1, "write a smaller one, up to 2^63 - 1"),
        (b"p wcnf 3 1 9\n99999999999999999999 1 0\n", 2, "'99999999999999999999' does not fit"),
    ],
)
def test_faults_are_named_with_file_and_line(tmp_path, content, line, message):
    path = write(tmp_path, "bad.cnf", content)
    with pytest.raises(InstanceError) as raised:
        read_dimacs(path)
    assert f"{path}, line {line}: " in str(raised.value)
    assert message in str(raised.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"h 1 0\nh", "line 2: the last clause does not end with 0"),
        (b"h 1 0\n2 0\n", "line 2: an empty clause"),
        (b"h 1 0\nh h 0\n", "line 2: 'h' is no whole number"),
        (
            b"9 1 0\n4611686018427387904 2 0\n",
            "line 2: up to the weight '4611686018427387904' they add up to more than",
        ),
        (b"%", "line 1: the file holds no clauses"),
        (b"c comment\n%\n0\n", "line 2: the file holds no clauses"),
    ],
)
def test_faults_of_files_without_a_p_line(tmp_path, content, message):
    with pytest.raises(InstanceError) as raised:
        read_dimacs(write(tmp_path, "bad.wcnf", content))
    assert message in str(raised.value)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("cut.cnf.gz", gzip.compress(CNF * 50, mtime=0)[:-20], "undamaged copy"),
        ("cut.cnf.bz2", bz2.compress(CNF * 50)[:-20], "undamaged copy"),
        ("a.cnf.zip", b"PK\x03\x04" + CNF, "is a zip archive; unpack it"),
        ("cut.cnf.xz", lzma.compress(CNF * 50)[:-20], "undamaged copy"),
        ("a.cnf.zst", b"\x28\xb5\x2f\xfd" + CNF, "is compressed by zstd; unpack it"),
    ],
)
def test_damaged_archives(tmp_path, name, content, message):
    with pytest.raises(InstanceError, match=message):
        read_dimacs(write(tmp_path, name, content))


def test_a_missing_file_and_a_folder(tmp_path):
    with pytest.raises(InstanceError, match="correct the path"):
        read_dimacs(tmp_path / "none.cnf")
    with pytest.raises(InstanceError, match="cannot be read"):
        read_dimacs(tmp_path)


def test_what_the_memory_cannot_hold_is_refused_early(tmp_path, monkeypatch):
    for module in (dimacs, machine):
        monkeypatch.setattr(module, "available_memory", lambda: 1000)
    with pytest.raises(InstanceError, match=r"reading it needs more than 0.0 GB of memory, which is all that is free"):
        read_dimacs(write(tmp_path, "a.cnf.gz", gzip.compress(b"p cnf 1 2000\n" + 2000 * b"1 0\n")))
    with pytest.raises(InstanceError, match=r"holds at least 0 MB of text; reading it needs more than 0\.0 GB"):
        read_dimacs(write(tmp_path, "long.cnf", b"p cnf 1 30\n" + 30 * b"1 0\n"))
    with pytest.raises(InstanceError, match="line 1: an instance of 100 variables needs about"):
        read_dimacs(write(tmp_path, "b.cnf", b"p cnf 100 1\n1 0\n"))
    with pytest.raises(
        InstanceError, match=r"line 2: the literal '-6' is beyond the 5 variables that the memory holds"
    ):
        read_dimacs(write(tmp_path, "c.wcnf", b"h 5 0\n1 -6 0\n"))


@settings(max_examples=50, deadline=None)
@given(st.data())
def test_what_is_written_is_read_back(tmp_path_factory, write_dimacs, data):
    variables = data.draw(st.integers(1, 40))
    literal = st.builds(lambda v, sign: v * sign, st.integers(1, variables), st.sampled_from([-1, 1]))
    # the last variable occurs, so that files without a header tell how many there are
    clauses = [*data.draw(st.lists(st.lists(literal, min_size=1), max_size=9)), [variables]]
    weights = data.draw(st.none() | st.lists(st.integers(1, 2**50), min_size=len(clauses), max_size=len(clauses)))
    hard = data.draw(st.none() | st.lists(st.booleans(), min_size=len(clauses), max_size=len(clauses)))
    formula = Formula.of_clauses(variables, clauses, weights, hard)
    path = tmp_path_factory.mktemp("dimacs") / data.draw(st.sampled_from(["a.wcnf", "a.cnf.gz", "a.wcnf.xz"]))
    if weights is not None or hard is not None:
        path = path.with_name(path.name.replace("a.cnf", "a.wcnf"))
    write_dimacs(formula, path)
    again = read_dimacs(path)
    assert again.variables == variables and rows(again) == clauses
    is_hard = np.zeros(len(clauses), bool) if hard is None else np.array(hard)
    assert (again.hard is not None) == is_hard.any()
    assert again.soft_weight == formula.soft_weight
    if weights is not None:
        assert np.array_equal(again.weights[~is_hard], formula.weights[~is_hard])


def test_a_large_file_is_read_in_one_pass(tmp_path, write_dimacs):
    formula = random_instance(20_000, seed=3)
    write_dimacs(formula, tmp_path / "large.cnf")
    assert read_dimacs(tmp_path / "large.cnf").fingerprint == formula.fingerprint
