from __future__ import annotations

import numpy as np
import pytest

from serving_api import protobuf_wire as wire
from serving_api.errors import Internal


def fields(data: bytes) -> list[tuple[int, int, bytes]]:
    return [(number, kind, bytes(view)) for number, kind, view in wire.fields(memoryview(data))]


def test_fields_of_every_wire_type() -> None:
    data = b"\x08\x96\x01\x12\x02hi\x1d\1\2\3\4\x21" + bytes(8)

    assert fields(data) == [
        (1, wire.VARINT, b"\x96\x01"),
        (2, wire.BYTES, b"hi"),
        (3, wire.FIXED32, b"\1\2\3\4"),
        (4, wire.FIXED64, bytes(8)),
    ]
    assert wire.number(memoryview(b"\x96\x01")) == 150


def test_groups_are_skipped() -> None:
    inner = b"\x13\x08\x01\x12\x01x\x14"  # field 2 is a group in the group of field 1

    assert fields(b"\x0b" + inner + b"\x0c" + b"\x18\x05") == [(3, wire.VARINT, b"\x05")]


@pytest.mark.parametrize(
    "data",
    [
        b"\x00\x00",  # the number of a field is at least 1
        b"\x08",  # no content
        b"\x08\x80",  # a varint without end
        b"\x08" + b"\x80" * 10 + b"\x01",  # a varint of eleven bytes
        b"\x12\x05abc",  # too short
        b"\x1d\x00\x00",
        b"\x0e",  # wire types 6 and 7 do not exist
        b"\x0c",  # the end of a group that has not begun
        b"\x0b\x08\x01",  # a group without end
        b"\x0b\x14",  # the end of another group
        b"\x0b" * 200,
    ],
)
def test_bytes_that_are_no_message(data: bytes) -> None:
    with pytest.raises(Internal):
        fields(data)


@pytest.mark.parametrize("high", [100, 256, 2**14, 2**35, 2**62])
def test_varints_are_read_as_they_are_written(high: int) -> None:
    numbers = np.random.default_rng(1).integers(-high if high > 256 else 0, high, 300_000)
    packed = wire.packed_varints(numbers)

    assert packed[:60].startswith(b"".join(wire.varint(int(n)) for n in numbers[:5]))
    assert (wire.varints(memoryview(packed), 10**9).view(np.int64) == numbers).all()
    assert len(wire.varints(memoryview(packed), 5)) == 5


def test_the_extremes_of_64_bits() -> None:
    numbers = np.array([0, 2**64 - 1, 2**63], np.uint64)

    assert (wire.varints(memoryview(wire.packed_varints(numbers)), 9) == numbers).all()


@pytest.mark.parametrize("data", [b"\x80", b"\x01\xff", b"\x80" * 10 + b"\x01", b"\x80" * 300_000])
def test_broken_packed_varints(data: bytes) -> None:
    with pytest.raises(Internal):
        wire.varints(memoryview(data), 10)


def test_text_has_to_be_utf_8() -> None:
    assert wire.text(memoryview("é".encode())) == "é"
    with pytest.raises(Internal):
        wire.text(memoryview(b"\xff"))
