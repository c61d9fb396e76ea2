"""numba forms of what happens to one map by itself: pooling and activations; layout as in `kernels`."""

from typing import Any

from polystep.evaluation.jit import njit_inner
from polystep.evaluation.kernels import LANES

NEVER_NEGATIVE = 2**31 - 1
"""Indices that pass this mask are known not to count from the end of an array, which would keep loops from being vectorised."""
MAXIMUM, AVERAGE, AVERAGE_WITH_PADDING, FIRST_ACTIVATION = range(4)
"""Kinds of operations. Averages are over the positions of the map, or over the zeros around it as well; activations are
numbered from the last kind on.
"""


def build_operate(activations: list[Any]) -> Any:
    """operate(operations, first, stop, positions, source, spare): the operations first .. stop, one after another, on a map of
    `positions`. Both arrays are overwritten; the one that holds the result is returned first.
    """
    activate = _build_activate(activations)

    @njit_inner
    def operate(operations, first, stop, positions, source, spare):
        for number in range(first, stop):
            operation = operations[number]
            if operation.kind >= FIRST_ACTIVATION:
                activate(operation.kind - FIRST_ACTIVATION, source, spare, positions * LANES)
            else:
                pool(operation, source, spare)
                positions = operation.rows * operation.columns
            source, spare = spare, source
        return source, spare

    return operate


def _build_activate(activations: list[Any]) -> Any:
    """activate(number, source, target, numbers): activation `number` of the list."""
    if not activations:

        @njit_inner
        def none(number, source, target, numbers):
            pass

        return none
    last, own, others = len(activations) - 1, activations[-1], _build_activate(activations[:-1])

    @njit_inner
    def activate(number, source, target, numbers):
        if number == last:
            own(source, target, numbers)
        else:
            others(number, source, target, numbers)

    return activate


@njit_inner
def pool(operation, source, target):
    """Maxima or averages over windows."""
    kind, height, width, columns = operation.kind, operation.height, operation.width, operation.columns
    for row in range(operation.rows):
        top = row * operation.step_down - operation.above
        bottom, top = min(top + operation.down, height), max(top, 0)
        for column in range(columns):
            left = column * operation.step_across - operation.beside
            right, left = min(left + operation.across, width), max(left, 0)
            here = ((row * columns + column) * LANES) & NEVER_NEGATIVE
            there = ((top * width + left) * LANES) & NEVER_NEGATIVE
            for lane in range(LANES):
                target[here + lane] = source[there + lane]
            for y in range(top, bottom):
                # the first number is already there
                for x in range(left + (y == top), right):
                    there = ((y * width + x) * LANES) & NEVER_NEGATIVE
                    if kind == MAXIMUM:
                        for lane in range(LANES):
                            # NaN is the largest
                            value, best = source[there + lane], target[here + lane]
                            target[here + lane] = value if (value > best) | (value != value) else best
                    else:
                        for lane in range(LANES):
                            target[here + lane] += source[there + lane]
            if kind != MAXIMUM:
                count = (bottom - top) * (right - left)
                if kind == AVERAGE_WITH_PADDING:
                    count = operation.down * operation.across
                for lane in range(LANES):
                    target[here + lane] /= count
