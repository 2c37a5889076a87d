"""Read request bodies: fast where the body is plain, exact where there is the slightest doubt.

A Document gives its value in one or more *readings*, each more exact and slower than the one
before; the last one is always right. Whoever works with a reading may raise Doubt, or any
ServingError, and the next reading is tried: so error messages always come from the exact reading.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from typing import Any, Final, TypeVar

from model_server import json_exact
from model_server.errors import InvalidArgument, ServingError
from model_server.json_text import quote_value

Result = TypeVar("Result")

_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
_SURROGATE: Final = re.compile(rb"\\u[dD][89a-fA-F]")


class Doubt(Exception):
    """A fast way of reading cannot be sure; a slower one must decide."""


class Document:
    """A JSON object as a request body carries it."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        try:
            self._fast = read_plain(body)
            self._exact = None
        except Doubt:
            self._fast = self._exact = json_exact.parse(body)
        if not isinstance(self._fast, dict):
            self._exact = json_exact.parse(body)
            raise InvalidArgument(f"JSON Value: {quote_value(self._exact)} Is not object")

    def read(self, work: Callable[[dict[str, Any]], Result]) -> Result:
        """Return what ``work`` makes of the document, from the fastest reading that will do."""
        if self._exact is None:
            try:
                return work(self._fast)
            except (Doubt, ServingError):
                self._exact = json_exact.parse(self._body)
        return work(self._exact)


def read_plain(body: bytes) -> Any:  # noqa: ANN401 - any JSON value
    """Return the first JSON value of the body by the standard library, or raise Doubt."""
    if b"\\u" in body and _SURROGATE.search(body):
        raise Doubt
    text = body.removeprefix(_BYTE_ORDER_MARK).decode("utf-8", "surrogateescape")
    try:
        return _DECODER.raw_decode(text.lstrip(" \t\r\n"))[0]
    except (ValueError, RecursionError) as error:
        raise Doubt from error


def _integer(digits: str) -> int:
    if len(digits) > 18 and not -(2**63) <= int(digits) < 2**64:
        raise Doubt
    return int(digits)


def _double(digits: str) -> float:
    number = float(digits)
    if math.isinf(number) or (number == 0 and not digits.startswith(("0.0", "-0.0"))):
        raise Doubt
    return number


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise Doubt
    return value


_DECODER: Final = json.JSONDecoder(
    parse_int=_integer, parse_float=_double, object_pairs_hook=_object
)
