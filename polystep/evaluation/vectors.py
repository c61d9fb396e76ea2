"""Vector instructions by hand, of LANES float32 numbers at once.

The compiler makes them of loops by itself where it knows that arrays do not overlap, or that a check pays; of short loops that
add to one array from another it knows neither, and computes number by number.
"""

from typing import Any

from llvmlite import ir
from numba import extending, types
from numba.core import cgutils

from polystep.evaluation.directions import ROWS

LANES = 16
"""Samples that kernels work on at once: few vector registers, and signals of a block stay in the fast cache."""
# its type says that callers pass a context, too
intrinsic: Any = extending.intrinsic
_VECTOR = ir.VectorType(ir.FloatType(), LANES)


def _at(context: Any, builder: Any, array_type: Any, array: Any, index: Any) -> Any:
    """Pointer to the LANES numbers from place `index` of a contiguous array, flat."""
    data = context.make_array(array_type)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [index]), _VECTOR.as_pointer())


def _fma(builder: Any, one: Any, other: Any, added: Any) -> Any:
    """one other + added, rounded once."""
    kind = ir.FunctionType(_VECTOR, [_VECTOR] * 3)
    return builder.call(
        cgutils.get_or_insert_function(builder.module, kind, f"llvm.fma.v{LANES}f32"), [one, other, added]
    )


def _spread(builder: Any, number: Any) -> Any:
    """A vector of equal numbers."""
    one = builder.insert_element(ir.Constant(_VECTOR, ir.Undefined), number, ir.Constant(ir.IntType(32), 0))
    mask = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
    return builder.shuffle_vector(one, one, mask)


@intrinsic
def add_scaled(typing: Any, target: Any, i: Any, source: Any, j: Any, factor: Any) -> Any:
    """target[i : i + LANES] += factor source[j : j + LANES], rounded once; places count in the flat arrays."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        to = _at(context, builder, signature.args[0], args[0], args[1])
        added = builder.load(_at(context, builder, signature.args[2], args[2], args[3]), align=4)
        total = _fma(builder, _spread(builder, args[4]), added, builder.load(to, align=4))
        builder.store(total, to, align=4)
        return context.get_dummy_value()

    return types.void(target, types.intp, source, types.intp, types.float32), generate


@intrinsic
def multiply(
    typing: Any,
    target: Any,
    i: Any,
    row: Any,
    matrix: Any,
    f: Any,
    across: Any,
    along: Any,
    source: Any,
    j: Any,
    step: Any,
    count: Any,
) -> Any:
    """ROWS rows of a matrix times vectors: for q below ROWS, target[i + q row : i + q row + LANES] +=
    sum_k matrix[f + q across + k along] source[j + k step : j + k step + LANES], k below `count`.

    A vector that is loaded serves all rows, and the sums stay in registers.
    """

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        _, i, row, _, f, across, along, _, j, step, count = args
        numbers = context.make_array(signature.args[3])(context, builder, args[3]).data
        places = [builder.add(i, builder.mul(row, row.type(q))) for q in range(ROWS)]
        to = [_at(context, builder, signature.args[0], args[0], place) for place in places]
        firsts = [builder.add(f, builder.mul(across, across.type(q))) for q in range(ROWS)]
        sums = [cgutils.alloca_once_value(builder, builder.load(pointer, align=4)) for pointer in to]
        with cgutils.for_range(builder, count) as loop:
            place = builder.add(j, builder.mul(loop.index, step))
            vector = builder.load(_at(context, builder, signature.args[7], args[7], place), align=4)
            for first, total in zip(firsts, sums, strict=True):
                factor = builder.load(builder.gep(numbers, [builder.add(first, builder.mul(loop.index, along))]))
                builder.store(_fma(builder, _spread(builder, factor), vector, builder.load(total)), total)
        for pointer, total in zip(to, sums, strict=True):
            builder.store(builder.load(total), pointer, align=4)
        return context.get_dummy_value()

    place = types.intp
    return types.void(target, place, place, matrix, place, place, place, source, place, place, place), generate


@intrinsic
def multiply_one(
    typing: Any,
    target: Any,
    i: Any,
    factors: Any,
    f: Any,
    along: Any,
    source: Any,
    j: Any,
    step: Any,
    count: Any,
) -> Any:
    """target[i : i + LANES] += sum_k factors[f + k along] source[j + k step : j + k step + LANES], k below `count`, a multiple
    of 4: there are four sums, so that none waits for another.
    """

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        _, i, _, f, along, _, j, step, count = args
        numbers = context.make_array(signature.args[2])(context, builder, args[2]).data
        to = _at(context, builder, signature.args[0], args[0], i)
        nothing = ir.Constant(_VECTOR, [0.0] * LANES)
        starts = [builder.load(to, align=4), nothing, nothing, nothing]
        sums = [cgutils.alloca_once_value(builder, start) for start in starts]
        with cgutils.for_range(builder, builder.sdiv(count, count.type(4))) as loop:
            for q, total in enumerate(sums):
                k = builder.add(builder.mul(loop.index, count.type(4)), count.type(q))
                factor = builder.load(builder.gep(numbers, [builder.add(f, builder.mul(k, along))]))
                place = builder.add(j, builder.mul(k, step))
                vector = builder.load(_at(context, builder, signature.args[5], args[5], place), align=4)
                builder.store(_fma(builder, _spread(builder, factor), vector, builder.load(total)), total)
        one, two, three, four = (builder.load(total) for total in sums)
        builder.store(builder.fadd(builder.fadd(one, two), builder.fadd(three, four)), to, align=4)
        return context.get_dummy_value()

    place = types.intp
    return types.void(target, place, factors, place, place, source, place, place, place), generate


@intrinsic
def copy_vector(typing: Any, target: Any, i: Any, source: Any, j: Any) -> Any:
    """target[i : i + LANES] = source[j : j + LANES]"""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        copied = builder.load(_at(context, builder, signature.args[2], args[2], args[3]), align=4)
        builder.store(copied, _at(context, builder, signature.args[0], args[0], args[1]), align=4)
        return context.get_dummy_value()

    return types.void(target, types.intp, source, types.intp), generate


@intrinsic
def count_reached(typing: Any, number: Any, thresholds: Any, i: Any) -> Any:
    """How many of thresholds[i : i + LANES] a number reaches."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        compared = builder.load(_at(context, builder, signature.args[1], args[1], args[2]), align=4)
        reached = builder.fcmp_ordered(">=", _spread(builder, args[0]), compared)
        count = builder.ctpop(builder.bitcast(reached, ir.IntType(LANES)))
        return builder.zext(count, ir.IntType(64))

    return types.intp(types.float32, thresholds, types.intp), generate
