"""Statements about the method, checked numerically: a module per study, each with what it computes and what it says of it.

python -m scripts.theory computes them; configs/theory.yaml has their parameters.
"""
