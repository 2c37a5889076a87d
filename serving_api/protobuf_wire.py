"""Read and write protocol buffers at the level of fields, without an object per number. Pure.

The bytes of a field that occurs several times are joined. For a message, this merges its parts; for
packed numbers, it puts them one after the other.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from serving_api.errors import Internal

VARINT: Final = 0
FIXED64: Final = 1
BYTES: Final = 2
START_GROUP: Final = 3
END_GROUP: Final = 4
FIXED32: Final = 5

Field = tuple[int, int, memoryview]

_FIXED: Final = {FIXED64: 8, FIXED32: 4}
_MAX_VARINT: Final = 10
_MAX_GROUPS: Final = 100
_MAX_TAG: Final = 2**32 - 1
#: Varints that numpy reads or writes at once; more would need much memory for temporary arrays.
_CHUNK: Final = 1 << 18


def malformed() -> Internal:
    """Return the error for bytes that are not a protocol buffer; its text is empty, as in gRPC."""
    return Internal("")


def fields(view: memoryview) -> Iterator[Field]:
    """Yield number, wire type and bytes of each field; raise Internal where the bytes are broken.

    The bytes are the content of a length-delimited field, and all bytes of a number. Groups are
    skipped, as no message that is read here has any.
    """
    at, end = 0, len(view)
    while at < end:
        tag, at = _varint(view, at)
        number, wire_type = tag >> 3, tag & 7
        if not 0 < tag <= _MAX_TAG or not number:
            raise malformed()
        if wire_type == START_GROUP:
            at = _skip_group(view, at, number, 1)
            continue
        start, at = _content(view, at, wire_type)
        yield number, wire_type, view[start:at]


def _content(view: memoryview, at: int, wire_type: int) -> tuple[int, int]:
    """Return where the content of a field starts and ends."""
    if wire_type == BYTES:
        size, at = _varint(view, at)
        end = at + size
    elif wire_type == VARINT:
        end = _varint(view, at)[1]
    elif wire_type in _FIXED:
        end = at + _FIXED[wire_type]
    else:
        raise malformed()
    if end > len(view):
        raise malformed()
    return at, end


def _skip_group(view: memoryview, at: int, number: int, depth: int) -> int:
    if depth > _MAX_GROUPS:
        raise malformed()
    while True:
        tag, at = _varint(view, at)
        if tag & 7 == END_GROUP:
            if tag >> 3 != number:
                raise malformed()
            return at
        if tag & 7 == START_GROUP:
            at = _skip_group(view, at, tag >> 3, depth + 1)
        else:
            at = _content(view, at, tag & 7)[1]


def _varint(view: memoryview, at: int) -> tuple[int, int]:
    """Return a varint and the position after it."""
    value = shift = 0
    try:
        while True:
            byte = view[at]
            at += 1
            value |= (byte & 127) << shift
            if byte < 128:
                return value, at
            shift += 7
            if shift >= 7 * _MAX_VARINT:
                raise malformed()
    except IndexError:
        raise malformed() from None


def number(view: memoryview) -> int:
    """Return the value of a varint field, without a sign."""
    return _varint(view, 0)[0] & (2**64 - 1)


def text(view: memoryview) -> str:
    """Return a string field, or raise Internal if it is not UTF-8, as protobuf does."""
    try:
        return str(view, "utf-8")
    except UnicodeDecodeError:
        raise malformed() from None


def varints(packed: memoryview, limit: int) -> NDArray[np.uint64]:
    """Return at most ``limit`` of packed varints; raise Internal if one is broken."""
    data = np.frombuffer(packed, np.uint8)
    if not len(data):
        return np.empty(0, np.uint64)
    if data[-1] >= 128:
        raise malformed()
    parts, at, count = [], 0, 0
    while at < len(data):
        part, used = _varints_of_chunk(data[at : at + _CHUNK])
        if not used:
            raise malformed()
        if count < limit:
            parts.append(part[: limit - count])
        count += len(part)
        at += used
    return parts[0] if len(parts) == 1 else np.concatenate([np.empty(0, np.uint64), *parts])


def _varints_of_chunk(data: NDArray[np.uint8]) -> tuple[NDArray[np.uint64], int]:
    """Return the varints that end within the bytes, and the number of bytes that they take."""
    is_last = data < 128
    if is_last.all():
        return data.astype(np.uint64), len(data)
    ends = np.flatnonzero(is_last)
    if not len(ends):
        return np.empty(0, np.uint64), 0
    used = int(ends[-1]) + 1
    first = data[:used][np.concatenate([[True], is_last[: used - 1]])]
    is_long = first > 127
    if np.count_nonzero(is_long) == used - len(ends):  # none has more than two bytes: pixels
        second = data[ends].astype(np.uint64) << np.uint64(7)
        return (first & 127) | (second * is_long), used
    starts = np.concatenate([[0], ends[:-1] + 1])
    sizes = ends - starts + 1
    longest = int(sizes.max())
    if longest > _MAX_VARINT:
        raise malformed()
    values = np.zeros(len(ends), np.uint64)
    for place in range(longest):
        has = sizes > place
        digits = (data[starts[has] + place] & 127).astype(np.uint64)
        values[has] |= digits << np.uint64(7 * place)
    return values, used


def packed_varints(values: NDArray[Any]) -> bytes:
    """Return integers or booleans as packed varints; negative ones take ten bytes."""
    flat = values.reshape(-1)
    if flat.dtype == np.bool_ or (len(flat) and 0 <= flat.min() and flat.max() < 128):
        return flat.astype(np.uint8).tobytes()
    wide = np.uint64 if flat.dtype.kind == "u" else np.int64
    chunks = (flat[at : at + _CHUNK] for at in range(0, len(flat), _CHUNK))
    return b"".join(_packed_chunk(chunk.astype(wide).view(np.uint64)) for chunk in chunks)


def _packed_chunk(values: NDArray[np.uint64]) -> bytes:
    sizes = np.ones(len(values), np.int64)
    for place in range(1, _MAX_VARINT):
        sizes += values >= np.uint64(1 << (7 * place))
    starts = np.cumsum(sizes) - sizes
    data = np.empty(int(sizes.sum()), np.uint8)
    for place in range(int(sizes.max())):
        has = sizes > place
        digits = (values[has] >> np.uint64(7 * place)) & np.uint64(127)
        more = (sizes[has] > place + 1).astype(np.uint8) << 7
        data[starts[has] + place] = digits.astype(np.uint8) | more
    return data.tobytes()


def varint(value: int) -> bytes:
    """Return a number as a varint; a negative one takes ten bytes."""
    value &= 2**64 - 1
    if value < 128:
        return bytes((value,))
    digits = bytearray()
    while value > 127:
        digits.append(value & 127 | 128)
        value >>= 7
    digits.append(value)
    return bytes(digits)


def head(number: int, size: int) -> bytes:
    """Return what stands before the content of a length-delimited field."""
    return varint(number << 3 | BYTES) + varint(size)


def length_delimited(number: int, content: bytes) -> bytes:
    """Return a length-delimited field."""
    return head(number, len(content)) + content
