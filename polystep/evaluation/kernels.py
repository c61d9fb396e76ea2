"""numba forms of the shared activations and losses."""

import math

import numpy as np
from numba import njit

MINUS_INFINITY = np.float32(-np.inf)


@njit
def identity(pre, post, units):
    """post = pre"""
    for unit in range(units):
        post[unit] = pre[unit]


@njit
def identity_cell(z):
    """Every change of z changes the output."""
    return z, z


@njit
def relu(pre, post, units):
    """post = max(pre, 0)"""
    for unit in range(units):
        post[unit] = max(pre[unit], np.float32(0.0))


@njit
def relu_cell(z):
    """All negative inputs give 0."""
    if z < 0:
        return MINUS_INFINITY, np.float32(0.0)
    return z, z


@njit
def cross_entropy(logits, units, target):
    """log sum exp(logits[:units]) - logits[target], stable."""
    largest = logits[0]
    for unit in range(1, units):
        largest = max(largest, logits[unit])
    total = np.float32(0.0)
    for unit in range(units):
        total += math.exp(logits[unit] - largest)
    return math.log(total) + largest - logits[target]
