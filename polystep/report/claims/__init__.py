"""Statements about results, judged by the table of runs: the claims of both editions, and what the published runs did."""
