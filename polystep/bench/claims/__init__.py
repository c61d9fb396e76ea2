"""Statements about results, judged by the records: the paper's claims, and what its published runs really did."""
