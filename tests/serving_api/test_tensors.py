"""TensorProtos to arrays and back."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from serving_api.errors import (
    Internal,
    InvalidArgument,
    ModelServerError,
    ResourceExhausted,
    Unimplemented,
)
from serving_api.messages import message
from serving_api.tensor_reader import MAX_STRINGS, parse, to_array
from serving_api.tensor_types import dtype_number, tensor_type
from serving_api.tensor_writer import tensor_bytes

NUMBERS = [
    *("float32", "float64", "float16", "complex64", "complex128", "bool"),
    *("int8", "uint8", "int16", "uint16", "int32", "int64", "uint32", "uint64"),
    ml_dtypes.bfloat16,
]
FIELDS = {
    5: "float_val",
    6: "double_val",
    7: "int_val",
    9: "scomplex_val",
    10: "int64_val",
    11: "bool_val",
    12: "dcomplex_val",
    13: "half_val",
    16: "uint32_val",
    17: "uint64_val",
}


def read(data: bytes, max_bytes: int = 1 << 40) -> NDArray[Any]:
    def reserve(size: int) -> None:
        if size > max_bytes:
            raise ResourceExhausted(f"{size} bytes")

    return to_array(parse(memoryview(data)), reserve)


def proto(dtype: int, *sizes: int, **fields: Any) -> bytes:
    tensor = message("Tensor")(dtype=dtype, **fields)
    tensor.tensor_shape.SetInParent()
    for size in sizes:
        tensor.tensor_shape.dim.add(size=size)
    return bytes(tensor.SerializeToString())


def sample(dtype: Any) -> NDArray[Any]:
    return np.array([[1, 0, 120], [3, 1, 0]]).astype(dtype)


@pytest.mark.parametrize("as_content", [False, True])
@pytest.mark.parametrize("dtype", NUMBERS, ids=str)
def test_numbers_are_read_as_they_are_written(dtype: Any, as_content: bool) -> None:
    array = sample(dtype)

    found = read(tensor_bytes(array, as_content=as_content))

    assert found.dtype == array.dtype
    assert (found == array).all()


@pytest.mark.parametrize("dtype", NUMBERS, ids=str)
def test_values_are_repeated_ignored_or_zero(dtype: Any) -> None:
    array = sample(dtype).reshape(-1)
    number = dtype_number(array)
    kind = tensor_type(number)
    assert kind is not None
    written = message("Tensor").FromString(tensor_bytes(array))
    field = FIELDS[kind.field]
    values = list(getattr(written, field))

    def given_values(count: int) -> NDArray[Any]:
        return read(proto(number, count, **{field: values}))

    assert given_values(8).tolist() == [*array.tolist(), array[-1], array[-1]]
    assert given_values(2).tolist() == array[:2].tolist()
    assert read(proto(number, 2)).tolist() == np.zeros(2, array.dtype).tolist()


def test_strings_are_read_as_they_are_written() -> None:
    array = np.array([[b"a", b""], [b"\xff" * 300, b"\0"]], dtype=object)

    for as_content in (False, True):
        assert (read(tensor_bytes(array, as_content=as_content)) == array).all()
    assert read(proto(7, 3, string_val=[b"x", b"y"])).tolist() == [b"x", b"y", b"y"]
    assert read(proto(7, 1, string_val=[b"x", b"y"])).tolist() == [b"x"]
    assert read(proto(7, 2)).tolist() == [b"", b""]


def test_large_arrays_are_views_of_the_request() -> None:
    array = np.arange(1000, dtype=np.float32)

    for as_content in (False, True):
        assert not read(tensor_bytes(array, as_content=as_content)).flags.writeable


def test_small_integers_are_narrowed_as_in_c() -> None:
    assert read(proto(4, 3, int_val=[300, 255, -1])).tolist() == [44, 255, 255]
    assert read(proto(19, 1, half_val=[65536 + 0x3C00])).tolist() == [1.0]


def test_quantised_types_are_integers_with_a_name() -> None:
    found = read(proto(11, 2, int_val=[1, -2]))

    assert found.dtype.names == ("qint8",)
    assert tensor_bytes(found) == proto(11, 2, int_val=[1, -2])
    assert tensor_bytes(found.view(np.int8), declared="qint8") == proto(11, 2, int_val=[1, -2])


def test_scalars_and_empty_tensors() -> None:
    assert read(proto(1, float_val=[5, 6])).shape == ()
    assert read(proto(1, 2, 0, 3, tensor_content=b"abc")).shape == (2, 0, 3)
    assert read(proto(7, 0, string_val=[b"x"])).shape == (0,)
    assert read(tensor_bytes(np.array(2.5))).tolist() == 2.5


@pytest.mark.parametrize(
    "data",
    [
        b"",
        proto(99, 1),
        proto(20, 1),
        proto(1, -1),
        proto(1, 2**40, 2**40),
        proto(1, *[1] * 65),
        proto(1, *[1] * 255),
        proto(1, 0, 2**40, 2**40),
        proto(1, 0, 2**62),
        proto(7, 0, 2**61),
        proto(18, 2**30, 0, 2**30),
        proto(1, 2, tensor_content=b"1234567"),
        proto(10, 2, tensor_content=b"\1\2"),
        proto(7, 2, tensor_content=b"\x01"),
        proto(7, 2, tensor_content=b"\x01\x05ab"),
        proto(7, 2, tensor_content=b"\x01\x01abc"),
    ],
)
def test_tensors_that_are_invalid(data: bytes) -> None:
    fields = parse(memoryview(data))

    with pytest.raises(InvalidArgument):
        to_array(fields)


@pytest.mark.parametrize(
    "data", [b"\xff", b"\x2a\x06" + bytes(6), b"\x3a\x01\x80", b"\x12\x01\xff"]
)
def test_bytes_that_are_no_tensor(data: bytes) -> None:
    with pytest.raises(Internal):
        parse(memoryview(data))


@pytest.mark.parametrize("count", [2, 5000])
def test_numbers_that_are_not_packed(count: int) -> None:
    head = proto(1, count)

    found = read(head + b"\x2d\0\0\x80?" * (count - 1) + b"\x2a\x04\0\0\0@")

    assert found.tolist() == [1.0] * (count - 1) + [2.0]


def test_the_memory_of_a_tensor_is_limited() -> None:
    large = proto(3, 1 << 18, int_val=[1] * (1 << 18))
    for data in (proto(1, 2**40), proto(7, 2**40), proto(1, 1 << 20), large):
        with pytest.raises(ResourceExhausted):
            read(data, max_bytes=1 << 20)
    assert read(tensor_bytes(np.zeros(1 << 20, np.float32)), max_bytes=0).shape == (1 << 20,)
    with pytest.raises(ResourceExhausted, match="strings"):
        parse(memoryview(b"\x42\x00" * (MAX_STRINGS + 1)))


def test_a_type_that_tensors_do_not_have() -> None:
    with pytest.raises(Unimplemented, match="datetime64"):
        tensor_bytes(np.zeros(1, "datetime64[s]"))


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=60))
def test_any_bytes_are_a_tensor_or_an_error(data: bytes) -> None:
    try:
        read(data, max_bytes=1 << 16)
    except ModelServerError:
        pass
