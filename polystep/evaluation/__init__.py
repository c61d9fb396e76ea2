"""Evaluators: from candidates and a batch to losses. All agree to float tolerance; they differ in speed."""
