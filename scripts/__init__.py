"""Thin commands over the library, run as `python -m scripts.<name>`."""
