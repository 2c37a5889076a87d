"""Read request bodies: fast where the body is plain, exact where there is the slightest doubt.

Long lists of numbers become arrays without a Python object per number, pictures in base64 become
bytes. Whoever works with such a reading may raise Doubt, or any ModelServerError: then the body is
read again, whole and exactly, so error messages never depend on the fast way. Strings hold bytes
that are not UTF-8 as surrogate escapes.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, TypeVar

import orjson

from model_server.codec import exact_parser
from model_server.codec.float_arrays import Doubt, NumberBlock, read_block
from model_server.codec.json_writer import quote_value
from model_server.codec.picture_bodies import read_pictures
from model_server.errors import InvalidArgument, ModelServerError

Result = TypeVar("Result")

_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
_SURROGATE: Final = re.compile(rb"\\u[dD][89a-fA-F]")
#: Bytes that long lists of numbers consist of, against all others.
_IS_OTHER: Final = bytes(char not in b"0123456789.+-eE,[] \t\r\n" for char in range(256))
_LONG_RUN: Final = bytes(4096)
#: A look at every 64th byte is enough to see that there is no long run.
_STRIDE: Final = 64
_SPARSE_RUN: Final = bytes(len(_LONG_RUN) // _STRIDE)
#: From so many values or bytes on, the standard library would keep other threads waiting > 0.15 s.
_MANY_VALUES: Final = 1 << 20
_MANY_BYTES: Final = 64 << 20
#: Up to here orjson keeps no thread waiting longer, whatever the body consists of.
_QUICK_BYTES: Final = 16 << 20
_MANY_QUOTES: Final = 1 << 10
#: What stands in for a list that has become an array; no body that holds it is read that way.
_MARK: Final = "\1"
_MARK_IN_BODY: Final = b"\\u0001"


class Document:
    """A JSON object as a request body carries it."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._is_quick = True
        try:
            self._value = _read_quickly(body)
        except Doubt:
            self._is_quick = False
            self._value = read(body)
        if not isinstance(self._value, dict):
            raise InvalidArgument(f"JSON Value: {quote_value(read(body))} Is not object")

    def read(self, work: Callable[[dict[str, Any]], Result]) -> Result:
        """Return what ``work`` makes of the document, from the fastest reading that will do."""
        if self._is_quick:
            try:
                return work(self._value)
            except (Doubt, ModelServerError):
                self._is_quick = False
                self._value = read(self._body)
        return work(self._value)


def read(body: bytes) -> Any:  # noqa: ANN401 - any JSON value
    """Return the first JSON value of the body, or raise InvalidArgument."""
    with suppress(Doubt):
        return _read_strings(body)
    if len(body) < _MANY_BYTES and body.count(b",") < _MANY_VALUES:
        with suppress(Doubt):
            return _read_plain(body, _DECODER)
    return exact_parser.parse(body)


def _read_quickly(body: bytes) -> Any:  # noqa: ANN401 - any JSON value
    """Read a body of pictures or of long lists of numbers, or raise Doubt."""
    with suppress(Doubt):
        return read_pictures(body)
    return _read_with_blocks(body)


def _read_with_blocks(body: bytes) -> Any:  # noqa: ANN401 - any JSON value
    """Read the body with arrays in place of its long lists of numbers; Doubt if it has none."""
    if not _may_have_runs(body) or (b"\\" in body and _MARK_IN_BODY in body):
        raise Doubt
    rest, blocks = _taken_out(body)
    if not blocks:
        raise Doubt
    put_back: list[NumberBlock] = []

    def with_blocks(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        for index, (name, value) in enumerate(pairs):
            if isinstance(value, str) and value.startswith(_MARK):
                put_back.append(blocks[int(value[1:])])
                pairs[index] = (name, put_back[-1])
        return _object(pairs)

    value = _read_plain(rest, _decoder(with_blocks))
    if len(put_back) != len(blocks):
        raise Doubt
    return value


def _may_have_runs(body: bytes) -> bool:
    """Tell whether there may be long lists of numbers; a body of pictures says no in no time."""
    return _SPARSE_RUN in body[::_STRIDE].translate(_IS_OTHER)


def _taken_out(body: bytes) -> tuple[bytes, list[NumberBlock]]:
    """Return the body with a mark in place of each long list of numbers, and the lists.

    A mark is a string with its quotes, so within a string it spoils the JSON and gives Doubt.
    """
    is_other = body.translate(_IS_OTHER)
    blocks: list[NumberBlock] = []
    pieces, end = [], 0
    while (run := is_other.find(_LONG_RUN, end)) >= 0:
        start = body.find(b"[", is_other.rfind(b"\1", 0, run) + 1)
        run_end = is_other.find(b"\1", run)
        stop = body.rfind(b"]", start, run_end if run_end >= 0 else len(body)) + 1
        if start < 0 or not stop:
            raise Doubt
        pieces += [body[end:start], f'"\\u0001{len(blocks)}"'.encode()]
        blocks.append(read_block(body[start:stop]))
        end = stop
    return b"".join([*pieces, body[end:]]), blocks


def _read_strings(body: bytes) -> Any:  # noqa: ANN401 - any JSON value
    """Read a body of a few strings, however long: pictures in base64. Doubt of all others.

    orjson keeps the last of members with the same name, so its strings are counted.
    """
    commas = body[::_STRIDE].count(b",") * _STRIDE
    if len(body) > _QUICK_BYTES or commas > _MANY_VALUES or b"\\" in body:
        raise Doubt
    quotes = _quotes(body)
    try:
        value = orjson.loads(body)
        if 2 * _strings(value) != quotes:
            raise Doubt
    except (orjson.JSONDecodeError, RecursionError) as error:
        raise Doubt from error
    return value


def _quotes(body: bytes) -> int:
    """Return how many quotes there are, or raise Doubt; ``count`` looks at each byte instead."""
    count, at = 0, body.find(b'"')
    while at >= 0:
        count += 1
        if count > _MANY_QUOTES:
            raise Doubt
        at = body.find(b'"', at + 1)
    return count


def _strings(value: object) -> int:
    """Return how many strings, names included, a value of lists and objects has."""
    if isinstance(value, str):
        return 1
    if isinstance(value, list):
        return sum(map(_strings, value))
    if isinstance(value, dict):
        return len(value) + sum(map(_strings, value.values()))
    raise Doubt  # numbers have rules of their own


def _read_plain(body: bytes, decoder: json.JSONDecoder) -> Any:  # noqa: ANN401
    """Return the first JSON value of the body by the standard library, or raise Doubt."""
    if b"\\" in body and _SURROGATE.search(body):
        raise Doubt
    text = body.removeprefix(_BYTE_ORDER_MARK).decode("utf-8", "surrogateescape")
    try:
        return decoder.raw_decode(text.lstrip(" \t\r\n"))[0]
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


def _decoder(hook: Callable[[list[tuple[str, Any]]], dict[str, Any]]) -> json.JSONDecoder:
    return json.JSONDecoder(parse_int=_integer, parse_float=_double, object_pairs_hook=hook)


_DECODER: Final = _decoder(_object)
