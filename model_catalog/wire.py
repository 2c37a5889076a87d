"""Decode protobuf's wire format: fields by their numbers, without the protobuf package.

Used where no package may be needed: the check of model folders runs before any is installed.
"""

from __future__ import annotations

from collections.abc import Iterator

from model_catalog.errors import CatalogError

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_WIDTH = {_FIXED64: 8, _FIXED32: 4}
#: The fields of each entry of a map.
_KEY, _VALUE = 1, 2

Field = tuple[int, "int | memoryview"]


class DamagedGraph(CatalogError):
    """The bytes are not a valid ``saved_model.pb``."""


def entries(data: memoryview, field: int) -> Iterator[tuple[str, memoryview]]:
    """Yield the entries of a map from strings to messages."""
    for entry in messages(data, field):
        parts = dict(fields(entry))
        key, value = parts.get(_KEY, memoryview(b"")), parts.get(_VALUE, memoryview(b""))
        if isinstance(key, memoryview) and isinstance(value, memoryview):
            yield bytes(key).decode(errors="replace"), value


def messages(data: memoryview, field: int) -> Iterator[memoryview]:
    """Yield the messages, strings or bytes of a repeated field."""
    for found, value in fields(data):
        if found == field and isinstance(value, memoryview):
            yield value


def fields(data: memoryview) -> Iterator[Field]:
    """Yield number and value of each field, or raise DamagedGraph."""
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        kind = tag & 7
        if kind == _VARINT:
            value, at = _varint(data, at)
            yield tag >> 3, value
            continue
        if kind == _BYTES:
            length, at = _varint(data, at)
        elif kind in _WIDTH:
            length = _WIDTH[kind]
        else:
            raise DamagedGraph(f"wire type {kind} does not exist")
        if at + length > len(data):
            raise DamagedGraph(f"{len(data)} bytes where {at + length} were announced")
        yield tag >> 3, data[at : at + length]
        at += length


def varints(data: memoryview) -> Iterator[int]:
    """Yield the numbers of a packed repeated field, or raise DamagedGraph."""
    at = 0
    while at < len(data):
        value, at = _varint(data, at)
        yield value


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            raise DamagedGraph("it ends inside a number")
        value |= (data[at] & 0x7F) << shift
        at += 1
        if data[at - 1] < 0x80:
            return value, at
    raise DamagedGraph("a number of more than ten bytes")
