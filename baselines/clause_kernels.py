"""The compiled loops of local search on clauses: break scores are kept, and a flip visits the clauses of one variable."""

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from numba import njit

ONE = np.uint32(1)


@njit(inline="always")
def uniform(generator: Any) -> Any:
    """A number in [0, 1) from a SplitMix64 state (1,) of uint64. Source: Steele, Lea and Flood, OOPSLA 2014."""
    generator[0] += np.uint64(0x9E3779B97F4A7C15)
    z = generator[0]
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.float64((z ^ (z >> np.uint64(31))) >> np.uint64(11)) * 2.0**-53


@njit(nogil=True)
def index_occurrences(codes: Any, starts: Any, variables: Any) -> Any:
    """Occurrences of variable v: found[first[v]:first[v + 1]], each 2 c + s for its clause c and sign s."""
    first = np.zeros(variables + 1, np.int64)
    for code in codes:
        first[np.int64(code >> ONE) + 1] += 1
    first = np.cumsum(first)
    free = first[:-1].copy()
    found = np.empty(len(codes), np.uint32)
    for c in range(len(starts) - 1):
        for j in range(starts[c], starts[c + 1]):
            v = codes[j] >> ONE
            found[free[v]] = 2 * c + (codes[j] & ONE)
            free[v] += 1
    return found, first


@njit(nogil=True)
def evaluate(codes: Any, starts: Any, weights: Any, values: Any, satisfiers: Any, breaks: Any) -> Any:
    """satisfiers[c] = number of true literals of clause c and exclusive or of their variables; breaks[v] = weight that breaks
    if v flips. Returns the weight of the unsatisfied clauses; no weights: 1 each.
    """
    cost = np.int64(0)
    breaks[:] = 0
    for c in range(len(starts) - 1):
        true = both = 0
        for j in range(starts[c], starts[c + 1]):
            v = codes[j] >> ONE
            if values[v] != codes[j] & ONE:
                true += 1
                both ^= int(v)
        satisfiers[c, 0], satisfiers[c, 1] = true, both
        weight = int(weights[c]) if len(weights) else 1
        if true == 0:
            cost += weight
        elif true == 1:
            breaks[both] += weight
    return cost


@cache
def build_search(choose: Callable[..., Any], weighted: bool, partial: bool) -> Any:
    """The search that flips what choose(variables, breaks, unit, parameters, generator) says: a place in `variables`.

    `partial`: the first clauses are hard, and one of these is chosen as long as any is unsatisfied. Source: Jiang, Kautz and
    Selman, "Solving problems with hard and soft constraints using a stochastic algorithm for MAX-SAT", 1995.
    """

    @njit(inline="always")
    def insert(c: Any, hard: Any, broken: Any, places: Any, counts: Any) -> None:
        kind = 1 if partial and c < hard else 0
        place = counts[kind] + (hard if partial and kind == 0 else 0)
        broken[place] = c
        places[c] = place
        counts[kind] += 1

    @njit(inline="always")
    def remove(c: Any, hard: Any, broken: Any, places: Any, counts: Any) -> None:
        kind = 1 if partial and c < hard else 0
        counts[kind] -= 1
        moved = broken[counts[kind] + (hard if partial and kind == 0 else 0)]
        broken[places[c]] = moved
        places[moved] = places[c]

    @njit(nogil=True)
    def search(
        flips: Any, codes: Any, starts: Any, weights: Any, hard: Any, occurrences: Any, first: Any, values: Any,
        satisfiers: Any, breaks: Any, broken: Any, places: Any, counts: Any, cost: Any, unit: Any, parameters: Any,
        generator: Any, trail: Any
    ) -> Any:  # fmt: skip
        """Flip `flips` times, or until everything is satisfied: a variable of a random unsatisfied clause each time.

        Of the clauses the first `hard` are hard. broken holds the unsatisfied ones, counts[1] hard ones from 0 on and counts[0]
        others from `hard` on; places[c] is where c is among them. Returns how often was flipped, how many clauses were visited,
        the new cost, the lowest cost and after how many flips it was met; trail[i] is the variable of flip i.
        """
        visits = np.int64(0)
        lowest, met = cost, 0
        done = 0
        while done < flips and counts[0] + counts[1] > 0:
            if partial and counts[1] > 0:
                c = broken[np.int64(uniform(generator) * counts[1])]
            else:
                c = broken[(hard if partial else 0) + np.int64(uniform(generator) * counts[0])]
            literals = codes[starts[c] : starts[c + 1]]
            v = literals[choose(literals, breaks, unit, parameters, generator)] >> ONE
            values[v] ^= 1
            trail[done] = v
            done += 1
            begin, end = first[v], first[v + 1]
            visits += end - begin
            # reading all counts first lets the memory fetch them side by side; they are never negative, but the compiler does
            # not know that and keeps the reads
            fetched = np.int32(0)
            for place in range(begin, end):
                fetched |= satisfiers[occurrences[place] >> ONE, 0]
            if fetched < 0:
                break
            for place in range(begin, end):
                c = occurrences[place] >> ONE
                weight = weights[c] if weighted else 1
                if values[v] != occurrences[place] & ONE:
                    satisfiers[c, 0] += 1
                    if satisfiers[c, 0] == 1:
                        cost -= weight
                        breaks[v] += weight
                        remove(c, hard, broken, places, counts)
                    elif satisfiers[c, 0] == 2:
                        breaks[satisfiers[c, 1]] -= weight
                    satisfiers[c, 1] ^= v
                else:
                    satisfiers[c, 0] -= 1
                    satisfiers[c, 1] ^= v
                    if satisfiers[c, 0] == 0:
                        cost += weight
                        breaks[v] -= weight
                        insert(c, hard, broken, places, counts)
                    elif satisfiers[c, 0] == 1:
                        breaks[satisfiers[c, 1]] += weight
            if cost < lowest:
                lowest, met = cost, done
        return done, visits, cost, lowest, met

    return search
