"""A constant of many numbers is not read to its end."""

from __future__ import annotations

import tracemalloc

import pytest

from model_catalog.protos import number
from model_catalog.tensor_constants import MAX_NUMBERS, numbers_of
from serving_api.protobuf_wire import length_delimited

INT32 = 3


def constant(count: int, field: str = "int_val") -> memoryview:
    dtype = bytes((number("Tensor", "dtype") << 3, INT32))
    return memoryview(dtype + length_delimited(number("Tensor", field), b"\7" * count))


@pytest.mark.parametrize("field", ["int_val", "int64_val"])
def test_a_few_packed_numbers_are_read(field: str) -> None:
    assert numbers_of(constant(MAX_NUMBERS, field)) == (7.0,) * MAX_NUMBERS
    assert numbers_of(constant(MAX_NUMBERS + 1, field)) is None


def test_a_list_of_many_numbers_takes_no_memory() -> None:
    many = constant(100_000)

    tracemalloc.start()
    try:
        assert numbers_of(many) is None
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert peak < len(many)
