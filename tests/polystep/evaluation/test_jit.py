"""Functions round alike whoever calls them first."""

import numpy as np
import pytest

from polystep.evaluation.jit import njit, njit_inner

# rounded after the product, the sum is 0; rounded once, it is 2^-24
FACTOR, ADDED = np.float32(1 + 2**-12), np.float32(-(1 + 2**-11))


def build(decorate, inner_options, outer_options):
    @decorate(**inner_options)
    def inner(factor, added):
        return factor * factor + added

    @njit(**outer_options)
    def outer(factor, added):
        return inner(factor, added)

    return outer


@pytest.mark.parametrize("decorate", [njit, njit_inner])
def test_a_function_takes_nothing_over_from_its_first_caller(decorate):
    for outer in ({}, {"fastmath": {"contract"}}, {"fastmath": True}):
        assert build(decorate, {}, outer)(FACTOR, ADDED) == 0


@pytest.mark.parametrize("decorate", [njit, njit_inner])
@pytest.mark.parametrize("outer", [{}, {"fastmath": {"contract"}}])
def test_what_a_function_allows_holds_for_every_caller(decorate, outer):
    calling = build(decorate, {"fastmath": {"contract"}}, outer)
    calling(FACTOR, ADDED)
    assert any("fmul contract" in code for code in calling.inspect_llvm().values())


def test_it_decorates_with_and_without_arguments():
    assert njit(lambda x: 2 * x)(3) == njit(parallel=False)(lambda x: 2 * x)(3) == 6
