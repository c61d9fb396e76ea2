"""The IDX format: two zero bytes, type code, number of dimensions, big-endian lengths, row-major values.

Source: the format description that accompanies MNIST (LeCun, Cortes, Burges).
"""

import math
import struct

import numpy as np
from numpy.typing import NDArray

_UNSIGNED_BYTE = 0x08


def decode_idx(raw: bytes) -> NDArray[np.uint8]:
    """Array held by the bytes of an uncompressed IDX file of unsigned bytes.

    Returns:
        A read-only view of ``raw``, with the shape that its header states.

    Raises:
        ValueError: the header is not that of an IDX file of unsigned bytes, or the length differs from it.
    """
    if len(raw) < 4 or raw[:3] != bytes([0, 0, _UNSIGNED_BYTE]):
        raise ValueError(f"IDX data begins with 0x{raw[:4].hex()}, expected 0x000008 and the dimension count")
    dimensions = raw[3]
    start = 4 + 4 * dimensions
    if len(raw) < start:
        raise ValueError(f"IDX data ends inside its header: {len(raw)} bytes, expected at least {start}")
    shape = struct.unpack(f">{dimensions}I", raw[4:start])
    expected = start + math.prod(shape)
    if len(raw) != expected:
        raise ValueError(f"IDX data of shape {shape} has {len(raw)} bytes, expected {expected}")
    return np.frombuffer(raw, dtype=np.uint8, offset=start).reshape(shape)


def encode_idx(values: NDArray[np.uint8]) -> bytes:
    """Bytes of the uncompressed IDX file that holds ``values``; the inverse of :func:`decode_idx`."""
    header = bytes([0, 0, _UNSIGNED_BYTE, values.ndim]) + struct.pack(f">{values.ndim}I", *values.shape)
    return header + values.tobytes()
