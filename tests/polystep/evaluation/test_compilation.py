"""Kernels are compiled once for each types of arguments, and only that is timed."""

import numpy as np
from numba import njit

from polystep.evaluation.compilation import CompilationClock


def test_only_new_types_are_compiled() -> None:
    @njit
    def double(number):
        return 2 * number

    clock = CompilationClock()
    assert clock.call(double, 3) == 6
    seconds = clock.seconds
    assert seconds > 0
    assert clock.call(double, 4) == 8
    assert clock.seconds == seconds
    assert clock.call(double, np.float32(1.5)) == 3
    assert clock.seconds > seconds
    assert len(double.signatures) == 2
