"""Writing DIMACS files, which the library only reads."""

import pytest

from tasks.maxsat.dimacs import OPENERS


@pytest.fixture(scope="session")
def write_dimacs():
    """Writes a formula: .cnf where nothing is weighted or hard, else .wcnf with h lines; compressed for .gz and .xz."""

    def write(formula, path):
        weighted = formula.weights is not None or formula.hard is not None
        lines = [] if weighted else [f"p cnf {formula.variables} {formula.clauses}"]
        for c in range(formula.clauses):
            clause = formula.literals[formula.starts[c] : formula.starts[c + 1]]
            words = [*map(str, clause.tolist()), "0"]
            if weighted:
                is_hard = formula.hard is not None and formula.hard[c]
                words.insert(0, "h" if is_hard else str(1 if formula.weights is None else formula.weights[c]))
            lines.append(" ".join(words))
        with OPENERS.get(path.suffix, open)(path, "wb") as file:
            file.write(("\n".join(lines) + "\n").encode())

    return write
