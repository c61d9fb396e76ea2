"""The IDX format."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from tasks.data.idx import decode_idx, encode_idx


@given(arrays.arrays(np.uint8, arrays.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=5)))
def test_decoding_inverts_encoding(values: np.ndarray) -> None:
    decoded = decode_idx(encode_idx(values))
    assert decoded.dtype == np.uint8
    np.testing.assert_array_equal(decoded, values)


def test_header_is_big_endian() -> None:
    raw = bytes([0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0, 3, 1, 2, 3, 4, 5, 6])
    np.testing.assert_array_equal(decode_idx(raw), [[1, 2, 3], [4, 5, 6]])
    assert encode_idx(np.array([[1, 2, 3], [4, 5, 6]], dtype=np.uint8)) == raw


@given(st.integers(0, 17))
def test_truncated_data_is_refused(length: int) -> None:
    raw = encode_idx(np.arange(6, dtype=np.uint8).reshape(2, 3))
    with pytest.raises(ValueError, match="IDX data"):
        decode_idx(raw[:length])


def test_surplus_bytes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"shape \(3,\) has 12 bytes, expected 11"):
        decode_idx(encode_idx(np.zeros(3, dtype=np.uint8)) + b"\0")


def test_other_value_types_are_refused() -> None:
    with pytest.raises(ValueError, match="begins with 0x00000d01"):
        decode_idx(bytes([0, 0, 0x0D, 1, 0, 0, 0, 0]))
