"""A tensor with too many rows is refused before anything is made of its rows."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from flask_server.errors import InvalidTensor, TooManyImages
from flask_server.inference.npy import Tensor
from flask_server.inference.tensor_rows import rows_of
from flask_server.serving.signatures import TensorInfo

DECLARED = TensorInfo("image", "DT_UINT8", (-1,))


def test_many_rows_are_refused_without_memory_for_each() -> None:
    values = np.zeros(100_000, np.uint8)

    tracemalloc.start()
    try:
        with pytest.raises(TooManyImages, match="has 100000 rows; at most 32 are allowed"):
            rows_of(Tensor(values), DECLARED, 32)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert peak < values.nbytes


@pytest.mark.parametrize("shape", [(0,), (0, 3), (3, 0)])
def test_a_tensor_without_values_is_refused(shape: tuple[int, ...]) -> None:
    declared = TensorInfo("image", "DT_UINT8", (-1, *shape[1:]))

    with pytest.raises(InvalidTensor, match="no values"):
        rows_of(Tensor(np.zeros(shape, np.uint8)), declared, 32)


@pytest.mark.parametrize("from_json", [False, True])
@pytest.mark.parametrize(
    ("dtype", "value", "fits"),
    [
        ("DT_INT32", 2**31 - 1, True),
        ("DT_INT32", 2**31, False),
        ("DT_INT32", -(2**31) - 1, False),
        ("DT_INT8", -128, True),
        ("DT_INT8", 200, False),
    ],
)
def test_integers_that_the_input_cannot_hold_are_refused(
    from_json: bool, dtype: str, value: int, fits: bool
) -> None:
    tensor, declared = Tensor(np.array([value]), from_json), TensorInfo("image", dtype, (-1, 1))

    if fits:
        (row,) = rows_of(tensor, declared, 32).rows
        assert row.tolist() == [value]
    else:
        with pytest.raises(InvalidTensor, match=f"has values from {value} to {value}; the"):
            rows_of(tensor, declared, 32)


def test_unsigned_integers_beyond_an_input_with_a_sign_are_refused() -> None:
    declared = TensorInfo("image", "DT_INT64", (-1, 1))

    with pytest.raises(InvalidTensor, match="takes -9223372036854775808 to 9223372036854775807"):
        rows_of(Tensor(np.array([2**63], np.uint64)), declared, 32)


def test_as_many_rows_as_allowed_are_split() -> None:
    found = rows_of(Tensor(np.arange(32, dtype=np.uint8)), DECLARED, 32)

    assert found.several
    assert [int(row) for row in found.rows] == list(range(32))
