"""Write JSON as TensorFlow Serving does: string escapes, and values quoted in error messages.

As in the genuine server, a quoted value is cut soon after 256 bytes and before the first NaN or
infinity. So it need not be valid JSON.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from decimal import Decimal
from typing import Any, Final

from model_server.codec.exact_parser import JsonObject

QUOTE_LIMIT: Final = 256
_INDENT: Final = "    "

_ESCAPES: Final = {code: f"\\u{code:04X}" for code in range(32)} | {
    ord('"'): '\\"',
    ord("\\"): "\\\\",
    ord("\b"): "\\b",
    ord("\t"): "\\t",
    ord("\n"): "\\n",
    ord("\f"): "\\f",
    ord("\r"): "\\r",
}


def json_string(text: str) -> str:
    """Return the text as a JSON string; only quotes, backslashes and control codes are escaped."""
    return f'"{text.translate(_ESCAPES)}"'


def json_string_of_bytes(data: bytes) -> str:
    """Return the bytes as a JSON string; bytes that are not UTF-8 become surrogate escapes."""
    return json_string(data.decode("utf-8", "surrogateescape"))


def error_body(message: str) -> bytes:
    """Return the response body of an error: a JSON object with the message."""
    return f'{{\n    "error": {json_string(message)}\n}}'.encode("utf-8", "surrogateescape")


def type_name(value: object) -> str:
    """Return the name of the value's JSON type for error messages."""
    if isinstance(value, bool):
        return "True" if value else "False"
    kinds = {type(None): "Null", str: "String", int: "Number", float: "Number", list: "Array"}
    return kinds.get(type(value), "Object")


def members(value: dict[str, Any]) -> list[tuple[str, Any]]:
    """Return the members of an object in order, repeated names included."""
    return value.pairs if isinstance(value, JsonObject) else list(value.items())


def quote_value(value: object) -> str:
    """Return the value as an error message shows it: objects on several lines, lists on one."""
    pieces: list[str] = []
    size = 0
    for piece in _pieces(value):
        pieces.append(piece)
        size += len(piece.encode("utf-8", "surrogateescape"))
        if size >= QUOTE_LIMIT:
            break
    return "".join(pieces)


def _pieces(root: object) -> Iterator[str]:
    """Yield the text of a value piece by piece, without recursion."""
    stack: list[tuple[Iterator[tuple[str, object]], str]] = [(iter([("", root)]), "")]
    while stack:
        rest, closing = stack[-1]
        prefix, value = next(rest, ("", stack))
        if value is stack:
            stack.pop()
            yield closing
            continue
        yield prefix
        if isinstance(value, float) and not math.isfinite(value):
            return
        if isinstance(value, list | dict) and value:
            yield "[" if isinstance(value, list) else "{"
            stack.append(_children(value, len(stack)))
        else:
            yield _leaf(value)


def _children(
    value: list[Any] | dict[str, Any], depth: int
) -> tuple[Iterator[tuple[str, object]], str]:
    """Return each child with the text before it, and the text that closes the parent."""
    if isinstance(value, list):
        return ((", " if index else "", child) for index, child in enumerate(value)), "]"
    line = "\n" + _INDENT * depth
    parts = (
        (f"{',' if index else ''}{line}{_truncated_string(name)}: ", child)
        for index, (name, child) in enumerate(members(value))
    )
    return parts, f"\n{_INDENT * (depth - 1)}}}"


def _truncated_string(text: str) -> str:
    """Return the text as a JSON string; one over QUOTE_LIMIT is cut and stays open."""
    return json_string(text) if len(text) <= QUOTE_LIMIT else json_string(text[:QUOTE_LIMIT])[:-1]


def _leaf(value: object) -> str:
    if isinstance(value, str):
        return _truncated_string(value)
    if isinstance(value, float):
        return _double(value)
    words = {None: "null", True: "true", False: "false"}
    if value is None or isinstance(value, bool):
        return words[value]
    if isinstance(value, int):
        return str(value)
    return "[]" if isinstance(value, list) else "{}"


def _double(value: float) -> str:
    """Return the shortest text that reads back as the same double, as RapidJSON writes it."""
    sign, digits, exponent = Decimal(repr(value)).normalize().as_tuple()
    text = "".join(map(str, digits))
    minus = "-" * sign
    if value == 0:
        return f"{minus}0.0"
    point = len(text) + int(exponent)
    if int(exponent) >= 0 and point <= 21:
        return f"{minus}{text}{'0' * int(exponent)}.0"
    if 0 < point <= 21:
        return f"{minus}{text[:point]}.{text[point:]}"
    if -6 < point <= 0:
        return f"{minus}0.{'0' * -point}{text}"
    fraction = f".{text[1:]}" if len(text) > 1 else ""
    return f"{minus}{text[0]}{fraction}e{point - 1}"
