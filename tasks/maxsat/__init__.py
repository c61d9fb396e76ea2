"""Maximum satisfiability: find the assignment that satisfies most clauses, or the greatest weight of them."""
