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
def build_search(choose: Callable[..., Any], weighted: bool) -> Any:
    """The search that flips what choose(variables, breaks, unit, parameters, generator) says: a place in `variables`."""

    @njit(nogil=True)
    def search(
        flips: Any, codes: Any, starts: Any, weights: Any, occurrences: Any, first: Any, values: Any, satisfiers: Any,
        breaks: Any, broken: Any, places: Any, count: Any, cost: Any, unit: Any, parameters: Any, generator: Any, trail: Any
    ) -> Any:  # fmt: skip
        """Flip `flips` times, or until everything is satisfied: a variable of a random unsatisfied clause each time.

        broken[:count] holds the unsatisfied clauses and places[c] where c is among them. Returns how often was flipped, how
        many clauses were visited, the new count and cost, the lowest cost and after how many flips it was met; trail[i] is
        the variable of flip i.
        """
        visits = np.int64(0)
        lowest, met = cost, 0
        done = 0
        while done < flips and count > 0:
            c = broken[np.int64(uniform(generator) * count)]
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
                        count -= 1
                        moved = broken[count]
                        broken[places[c]] = moved
                        places[moved] = places[c]
                    elif satisfiers[c, 0] == 2:
                        breaks[satisfiers[c, 1]] -= weight
                    satisfiers[c, 1] ^= v
                else:
                    satisfiers[c, 0] -= 1
                    satisfiers[c, 1] ^= v
                    if satisfiers[c, 0] == 0:
                        cost += weight
                        breaks[v] -= weight
                        broken[count] = c
                        places[c] = count
                        count += 1
                    elif satisfiers[c, 0] == 1:
                        breaks[satisfiers[c, 1]] += weight
            if cost < lowest:
                lowest, met = cost, done
        return done, visits, count, cost, lowest, met

    return search
