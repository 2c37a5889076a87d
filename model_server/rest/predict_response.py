"""Write the body of a predict response, byte for byte as TensorFlow Serving does. Pure.

TensorFlow Serving refuses to write half and bfloat16; here they are written as float32.
"""

from __future__ import annotations

import binascii
from math import prod
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from model_server.codec.chunks import chunks
from model_server.codec.float_format import decimal_lists, decimals
from model_server.codec.json_writer import json_string, json_string_of_bytes
from model_server.engines.protocol import Tensors
from model_server.errors import InvalidArgument
from serving_api.dtypes import short_name

_FLOATS: Final = frozenset({"float", "double"})
_HALVES: Final = frozenset({"half", "bfloat16"})
_INTEGERS: Final = frozenset({"int32", "int16", "int8", "uint8", "int64", "uint32", "uint64"})
_BYTES_SUFFIX: Final = "_bytes"


def row_body(outputs: Tensors) -> bytes:
    """Return ``{"predictions": [...]}``: one entry per row, an object for several outputs."""
    batch = _batch_size(outputs)
    if len(outputs) == 1:
        [(name, array)] = outputs.items()
        entries = _row_texts(name, array, depth=2)
        rows = f"[{_joined(', ', entries)}\n{_indent(1)}]"
    else:
        columns = [(name, _row_texts(name, outputs[name], depth=3)) for name in sorted(outputs)]
        entries = [_row_object(columns, row) for row in range(batch)]
        rows = f"[{_joined(',', entries)}\n{_indent(1)}]"
    return _document("predictions", rows if batch else "[]")


def column_body(outputs: Tensors) -> bytes:
    """Return ``{"outputs": ...}``: the bare tensor of a single output, else an object."""
    if not outputs:
        raise _nothing_to_write()
    if len(outputs) == 1:
        [(name, array)] = outputs.items()
        return _document("outputs", _column_text(name, array, depth=1))
    parts = (
        f"\n{_indent(2)}{json_string(name)}: {_column_text(name, outputs[name], depth=2)}"
        for name in sorted(outputs)
    )
    return _document("outputs", f"{{{','.join(parts)}\n{_indent(1)}}}")


def _document(key: str, value: str) -> bytes:
    return f'{{\n    "{key}": {value}\n}}'.encode("utf-8", "surrogateescape")


def _nothing_to_write() -> InvalidArgument:
    return InvalidArgument("Cannot convert empty tensor map to JSON")


def _batch_size(outputs: Tensors) -> int:
    if not outputs:
        raise _nothing_to_write()
    batch: int | None = None
    for name in sorted(outputs):
        shape = outputs[name].shape
        if not shape:
            raise InvalidArgument(f"Tensor name: {name} has no shape information ")
        if batch is not None and batch != shape[0]:
            raise InvalidArgument(
                f"Tensor name: {name} has inconsistent batch size: {shape[0]} expecting: {batch}"
            )
        batch = shape[0]
    return batch or 0


def _row_object(columns: list[tuple[str, list[str]]], row: int) -> str:
    parts = (f"\n{_indent(3)}{json_string(name)}: {texts[row]}" for name, texts in columns)
    return f"\n{_indent(2)}{{{','.join(parts)}\n{_indent(2)}}}"


def _row_texts(name: str, array: NDArray[Any], depth: int) -> list[str]:
    """Return the text of each row, every list on one line."""
    level, array = array.ndim - 1, _writable(array)
    if level and short_name(array) in _FLOATS:
        rows = array.reshape(prod(array.shape[:-1]), array.shape[-1])
        texts = [f"[{row}]" for row in decimal_lists(rows)]
        level -= 1
    else:
        texts = _leaf_texts(name, array, depth + level)
    for outer in range(level, 0, -1):
        texts = _grouped(texts, array.shape, outer, "[", ", ", "]")
    return texts


def _column_text(name: str, array: NDArray[Any], depth: int) -> str:
    """Return the text of a whole tensor, every value on a line of its own."""
    texts = _leaf_texts(name, array, depth + array.ndim)
    for level in range(array.ndim - 1, -1, -1):
        inner, outer = f"\n{_indent(depth + level + 1)}", f"\n{_indent(depth + level)}"
        texts = _grouped(texts, array.shape, level, f"[{inner}", f",{inner}", f"{outer}]")
    return texts[0]


def _grouped(
    texts: list[str], shape: tuple[int, ...], level: int, start: str, comma: str, end: str
) -> list[str]:
    """Join the texts of one level into the lists of the level above."""
    size, lists = shape[level], prod(shape[:level])
    if size == 0:
        return ["[]"] * lists
    return [
        f"{start}{_joined(comma, texts[first : first + size])}{end}"
        for first in range(0, lists * size, size)
    ]


def _joined(comma: str, texts: list[str]) -> str:
    return comma.join(map(comma.join, chunks(texts)))


def _leaf_texts(name: str, array: NDArray[Any], depth: int) -> list[str]:
    flat = _writable(array.reshape(-1))
    dtype = short_name(flat)
    if dtype in _FLOATS:
        return decimals(flat)
    if dtype in _INTEGERS:
        return [text for chunk in chunks(flat) for text in map(str, chunk.tolist())]
    if dtype == "bool":
        return ["true" if value else "false" for value in flat.tolist()]
    if dtype != "string":
        raise InvalidArgument(f"Failed to write JSON value for tensor type: {dtype}")
    if name.endswith(_BYTES_SUFFIX):
        return [_base64_object(value, depth) for value in flat.tolist()]
    return [json_string_of_bytes(value) for value in flat.tolist()]


def _writable(array: NDArray[Any]) -> NDArray[Any]:
    """Return half and bfloat16 as float32, which has the same numbers."""
    return array.astype(np.float32) if short_name(array) in _HALVES else array


def _base64_object(value: bytes, depth: int) -> str:
    text = binascii.b2a_base64(value, newline=False).decode("ascii")
    return f'{{\n{_indent(depth + 1)}"b64": "{text}"\n{_indent(depth)}}}'


def _indent(depth: int) -> str:
    return "    " * depth
