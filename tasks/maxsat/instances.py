"""Random instances: the paper's generator bit for bit, a fast one, and one with a planted solution."""

import math
import random
from typing import Any

import numpy as np
import torch
from numba import njit
from numpy.typing import NDArray

from polystep.evaluation.compilation import CompilationClock
from polystep.machine import require_memory
from polystep.random import named_generator
from tasks.maxsat.formula import BYTES_PER_VARIABLE, MOST_VARIABLES, Formula

BLOCK = 1 << 20
"""Words of the Mersenne Twister that are drawn at once."""
DRAWS_PER_CLAUSE = 400
"""Words that a clause never needs all of: 6 for signs, and each of 3 draws is rejected with a probability near 1/2 or below."""
BYTES_PER_LITERAL = 24
"""Memory for each literal: as it is drawn, kept, and coded."""


def paper_instance(variables: int, ratio: float = 4.27, seed: int = 42) -> Formula:
    """Random 3-SAT as the published runs drew it: Python's generator, floor(ratio n) clauses (EDITIONS.md, MAX-SAT).

    Per clause random.sample(range(1, n + 1), 3), then a sign for each, positive where random() < 1/2. The words come from
    the same Mersenne Twister, but a compiled loop reads them: a million variables take a second.
    """
    clauses = _clause_count(variables, 3, ratio)
    generator = random.Random(seed)
    if variables <= 21:
        # random.sample works on a pool here
        return _uniform(variables, np.array([_paper_clause(generator, variables) for _ in range(clauses)], np.int32))
    twister = np.random.MT19937()
    *key, position = generator.getstate()[1]
    twister.state = {"bit_generator": "MT19937", "state": {"key": np.array(key, np.uint32), "pos": position}}
    literals = np.empty((clauses, 3), np.int32)
    words, used, done = np.empty(0, np.uint32), 0, 0
    kernels = CompilationClock()
    while done < clauses:
        words = np.concatenate([words[used:], twister.random_raw(BLOCK).astype(np.uint32)])
        done, used = kernels.call(_read_clauses, words, variables, 32 - variables.bit_length(), literals, done)
    return _uniform(variables, literals)


def _paper_clause(generator: random.Random, variables: int) -> list[int]:
    return [v if generator.random() < 0.5 else -v for v in generator.sample(range(1, variables + 1), 3)]


@njit
def _read_clauses(words: Any, variables: Any, shift: Any, literals: Any, done: Any) -> Any:
    """Fill `literals` from clause `done` on while words last; returns clauses done and words used.

    random.sample takes the top bits of a word and tries again where they reach n or repeat; random() takes two words, and is
    below 1/2 where the top bit of the first is 0.
    """
    used = 0
    while done < len(literals) and len(words) - used >= DRAWS_PER_CLAUSE:
        for j in range(3):
            again = True
            while again:
                drawn = words[used] >> shift
                used += 1
                again = drawn >= variables
                for i in range(j):
                    again = again or literals[done, i] == drawn + 1
            literals[done, j] = drawn + 1
        for j in range(3):
            if words[used] >> 31:
                literals[done, j] = -literals[done, j]
            used += 2
        done += 1
    return done, used


def random_instance(variables: int, ratio: float = 4.27, seed: int = 42, length: int = 3) -> Formula:
    """Random k-SAT: floor(ratio n) clauses of `length` distinct variables each, every sign a fair coin."""
    clauses = _clause_count(variables, length, ratio)
    generator = named_generator(seed, "random instance")
    chosen = _distinct_variables(clauses, variables, length, generator)
    signs = torch.randint(2, chosen.shape, generator=generator, dtype=torch.int32)
    return _uniform(variables, (chosen * (2 * signs - 1)).numpy())


def planted_instance(variables: int, ratio: float = 4.27, seed: int = 42, length: int = 3) -> Formula:
    """Random k-SAT that a hidden assignment satisfies: for each clause one of the 2^k - 1 sign patterns that it allows."""
    clauses = _clause_count(variables, length, ratio)
    generator = named_generator(seed, "planted instance")
    hidden = planted_assignment(variables, seed)
    chosen = _distinct_variables(clauses, variables, length, generator)
    agreement = torch.randint(1, 2**length, (clauses, 1), generator=generator) >> torch.arange(length) & 1
    truth = hidden[chosen.long() - 1].int()
    return _uniform(variables, (chosen * (2 * truth - 1) * (2 * agreement.int() - 1)).numpy())


def planted_assignment(variables: int, seed: int = 42) -> torch.Tensor:
    """The assignment (n,) of booleans that satisfies every clause of `planted_instance`."""
    return torch.randint(2, (variables,), generator=named_generator(seed, "planted assignment")).bool()


def _distinct_variables(clauses: int, variables: int, length: int, generator: torch.Generator) -> torch.Tensor:
    """`length` distinct variables of 1..n per clause, every set equally likely (Floyd's algorithm), int32."""
    chosen = torch.empty(clauses, length, dtype=torch.int32)
    for j in range(length):
        last = variables - length + j + 1
        drawn = torch.randint(1, last + 1, (clauses,), generator=generator, dtype=torch.int32)
        taken = (chosen[:, :j] == drawn.unsqueeze(1)).any(1)
        chosen[:, j] = torch.where(taken, last, drawn)
    return chosen


def _clause_count(variables: int, length: int, ratio: float) -> int:
    if not 1 <= length <= variables:
        raise ValueError(f"clauses of {length} distinct variables need as many variables, got {variables}")
    if variables > MOST_VARIABLES:
        raise ValueError(f"a formula must have at most {MOST_VARIABLES} variables, got {variables}")
    if not math.isfinite(ratio) or ratio * variables < 1:
        raise ValueError(
            f"a ratio of {ratio} clauses per variable gives no clauses for {variables} variables; correct it"
        )
    clauses = int(ratio * variables)
    needed = BYTES_PER_VARIABLE * variables + BYTES_PER_LITERAL * length * clauses
    what = f"an instance of {variables} variables and {clauses} clauses"
    require_memory(needed, what, "use a larger machine or a smaller instance")
    return clauses


def _uniform(variables: int, literals: NDArray[np.int32]) -> Formula:
    """A formula whose clauses are the rows of a matrix."""
    starts = np.arange(0, literals.size + 1, literals.shape[1], dtype=np.int64)
    return Formula(variables, literals.reshape(-1), starts)
