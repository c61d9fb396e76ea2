"""The compiled loops over clauses.

A literal is coded 2 v + s with v = 0..n - 1 and s = 1 where it is negated, without a sign bit: an index that might be negative
is checked at every use, which costs a third of the time. Assignments are bit-packed: one word per 32
variables, or per variable one word whose bits are up to 64 assignments. Loops that take `begin` and `end` do a part of the
work, so that threads can share it; tables are integers, so parts may be added in any order.
"""

from functools import cache
from typing import Any

import numpy as np
from numba import njit

BLOCK = 4096
LANES = 64
LONGEST_INSERTION = 32
ONE, WORD_SHIFT, BIT_MASK = np.uint32(1), np.uint32(5), np.uint32(31)


@njit(inline="always")
def sort_part(codes: Any, begin: Any, end: Any) -> None:
    """Sort codes[begin:end]: by insertion where it is short, as clauses are, because calling `sort` takes longer."""
    if end - begin > LONGEST_INSERTION:
        codes[begin:end].sort()
        return
    for place in range(begin + 1, end):
        code = codes[place]
        free = place
        while free > begin and codes[free - 1] > code:
            codes[free] = codes[free - 1]
            free -= 1
        codes[free] = code


@njit(nogil=True)
def normalise(literals: Any, starts: Any, variables: Any) -> Any:
    """Codes and starts without repeated literals and without clauses that hold v and -v, and which clauses remain.

    The codes of a clause are in ascending order, so that the two variables of a pair are neighbours.
    """
    codes = np.empty(len(literals), np.uint32)
    ends = np.empty_like(starts)
    kept = np.zeros(len(starts) - 1, np.bool_)
    # clause + 1 that last held the variable, negative where it held its negation
    seen = np.zeros(variables, np.int64)
    used = clauses = 0
    ends[0] = 0
    for c in range(len(kept)):
        first = used
        tautology = False
        for j in range(starts[c], starts[c + 1]):
            v, negated = abs(literals[j]) - 1, literals[j] < 0
            mark = -(c + 1) if negated else c + 1
            tautology = tautology or seen[v] == -mark
            if seen[v] != mark and seen[v] != -mark:
                seen[v] = mark
                codes[used] = 2 * v + negated
                used += 1
        if tautology:
            used = first
        else:
            sort_part(codes, first, used)
            clauses += 1
            ends[clauses] = used
            kept[c] = True
    return codes[:used].copy(), ends[: clauses + 1].copy(), kept


@njit(nogil=True)
def pack_signs(begin: Any, end: Any, point: Any, words: Any) -> None:
    """Bit v mod 32 of words[v // 32] = point[v] > 0."""
    for w in range(begin, end):
        word = np.uint32(0)
        for b in range(min(32, len(point) - 32 * w)):
            word |= np.uint32(point[32 * w + b] > 0) << np.uint32(b)
        words[w] = word


@njit(inline="always")
def is_true(words: Any, code: Any) -> Any:
    """1 if the literal is true, else 0."""
    variable = code >> ONE
    return ((words[variable >> WORD_SHIFT] >> (variable & BIT_MASK)) ^ code) & ONE


@cache
def build_tabulate(length: int) -> Any:
    """The pass over clauses of `length` literals each; 0: of the lengths that `starts` tells."""

    @njit(nogil=True)
    def tabulate(begin: Any, end: Any, codes: Any, starts: Any, weights: Any, words: Any, flips: Any) -> Any:
        """flips[v] += change of the unsatisfied weight if v flips; returns the unsatisfied weight.

        A clause with one true literal breaks if that one flips, a clause with none is made by any of its own. These two kinds
        are listed first and entered then, which keeps the first loop free of branches that nobody can predict.
        """
        critical = np.empty(BLOCK + 1, np.uint32)
        breaking = np.empty(BLOCK + 1, np.uint32)
        broken = np.empty(BLOCK + 1, np.uint32)
        total = np.int64(0)
        for block in range(begin, end, BLOCK):
            n_critical = n_broken = 0
            for c in range(block, min(block + BLOCK, end)):
                first = c * length if length > 0 else starts[c]
                last = first + length if length > 0 else starts[c + 1]
                true = satisfier = np.uint64(0)
                for j in range(first, last):
                    holds = is_true(words, codes[j])
                    true += holds
                    satisfier += holds * (codes[j] >> ONE)
                critical[n_critical] = satisfier
                breaking[n_critical] = c
                n_critical += true == 1
                broken[n_broken] = c
                n_broken += true == 0
            for i in range(n_critical):
                flips[critical[i]] += weights[breaking[i]]
            for i in range(n_broken):
                c = int(broken[i])
                total += weights[c]
                first = c * length if length > 0 else starts[c]
                last = first + length if length > 0 else starts[c + 1]
                for j in range(first, last):
                    flips[codes[j] >> ONE] -= weights[c]
        return total

    return tabulate


@njit(nogil=True)
def tabulate_pairs(codes: Any, starts: Any, weights: Any, words: Any, both: Any) -> None:
    """both[p] += what flipping both variables of pair p changes beyond the sum of flipping either.

    Only clauses that hold both and that no third literal satisfies contribute: +w if the two are equal, else -w.
    """
    for c in range(len(weights)):
        true = 0
        for j in range(starts[c], starts[c + 1]):
            true += is_true(words, codes[j])
        for j in range(starts[c] + 1, starts[c + 1]):
            if codes[j] >> 2 == codes[j - 1] >> 2:
                one, other = is_true(words, codes[j - 1]), is_true(words, codes[j])
                if true == one + other:
                    both[codes[j] >> 2] += weights[c] if one == other else -weights[c]


@njit(nogil=True)
def look_up(
    begin: Any, end: Any, pair: Any, offset: Any, point: Any, flips: Any, both: Any, total: Any, scale: Any, losses: Any
) -> None:
    """losses[i] = scale x (total + change of the unsatisfied weight) after pair[i] moved by offset[i]."""
    for i in range(begin, end):
        v = 2 * pair[i]
        # arithmetic instead of branches, which nobody can predict here
        first = np.int64((point[v] > 0) != (point[v] + offset[i, 0] > 0))
        change = first * flips[v]
        # an odd number of variables leaves the last pair without its second
        if v + 1 < len(point):
            second = np.int64((point[v + 1] > 0) != (point[v + 1] + offset[i, 1] > 0))
            change += second * flips[v + 1]
            if len(both) > 0:
                change += first * second * both[pair[i]]
        losses[i] = scale * (total + change)


@njit(nogil=True)
def index_clauses(codes: Any, starts: Any, variables: Any) -> Any:
    """The clauses that hold variable v: clauses_of[first[v]:first[v + 1]]."""
    first = np.zeros(variables + 1, np.int64)
    for code in codes:
        first[(code >> 1) + 1] += 1
    first = np.cumsum(first)
    free = first[:-1].copy()
    clauses_of = np.empty(len(codes), np.int32)
    for c in range(len(starts) - 1):
        for j in range(starts[c], starts[c + 1]):
            v = codes[j] >> 1
            clauses_of[free[v]] = c
            free[v] += 1
    return clauses_of, first


@njit(nogil=True)
def walk(
    begin: Any, end: Any, start: Any, offset: Any, point: Any, codes: Any, starts: Any, weights: Any, words: Any,
    clauses_of: Any, first: Any, total: Any, scale: Any, losses: Any
) -> Any:  # fmt: skip
    """losses[i] as in `look_up` after variables start[i], start[i] + 1, ... moved by offset[i], from the clauses that hold a
    flipped one; returns how many were looked at.
    """
    flipped = np.empty(offset.shape[1], np.bool_)
    checks = np.int64(0)
    for i in range(begin, end):
        v = start[i]
        width = min(len(flipped), len(point) - v)
        for k in range(width):
            flipped[k] = (point[v + k] > 0) != (point[v + k] + offset[i, k] > 0)
        change = np.int64(0)
        for k in range(width):
            if not flipped[k]:
                continue
            checks += first[v + k + 1] - first[v + k]
            for place in range(first[v + k], first[v + k + 1]):
                c = clauses_of[place]
                before = after = False
                # a clause counts for the first of its flipped variables
                counts = True
                for j in range(starts[c], starts[c + 1]):
                    holds = is_true(words, codes[j]) == 1
                    before |= holds
                    other = np.int64(codes[j] >> ONE) - v
                    if 0 <= other < width and flipped[other]:
                        counts &= other >= k
                        holds = not holds
                    after |= holds
                if counts and before != after:
                    change += weights[c] if before else -weights[c]
        losses[i] = scale * (total + change)
    return checks


@njit(nogil=True)
def mark_unsatisfied(begin: Any, end: Any, codes: Any, starts: Any, words: Any, marks: Any) -> None:
    """marks[c] = whether no literal of clause c is true."""
    for c in range(begin, end):
        true = 0
        for j in range(starts[c], starts[c + 1]):
            true += is_true(words, codes[j])
        marks[c] = true == 0


@njit(nogil=True)
def pack_lanes(begin: Any, end: Any, points: Any, lane: Any, words: Any) -> None:
    """Bit lane + i of words[v] = points[i, v] > 0; lane 0 clears the words first."""
    for v in range(begin, end):
        word = np.uint64(0) if lane == 0 else words[v]
        for i in range(len(points)):
            word |= np.uint64(points[i, v] > 0) << np.uint64(lane + i)
        words[v] = word


@njit(nogil=True)
def count_lanes(begin: Any, end: Any, codes: Any, starts: Any, weights: Any, words: Any, totals: Any) -> None:
    """totals[i] += unsatisfied weight of assignment i."""
    lanes = ~np.uint64(0) >> np.uint64(LANES - len(totals))
    for c in range(begin, end):
        broken = lanes
        for j in range(starts[c], starts[c + 1]):
            word = words[codes[j] >> 1]
            broken &= word if codes[j] & 1 else ~word
        for lane in range(len(totals) if broken else 0):
            totals[lane] += np.int64((broken >> np.uint64(lane)) & np.uint64(1)) * weights[c]
