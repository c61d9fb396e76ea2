"""Benchmark tasks: what the optimisers are compared on."""
