"""Read request bodies with a fast reader if one accepts them, else with the exact parser.

There are two fast readers. ``image_bodies`` turns base64 images into bytes; orjson reads common
JSON. Both refuse any body on which they could differ from the exact parser, so tensors and error
messages never depend on the reader. Strings hold bytes that are not UTF-8 as surrogate escapes.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, TypeVar

import orjson

from model_server.codec import exact_parser, json_cost
from model_server.codec.image_bodies import FastPathMiss, read_images
from model_server.codec.json_numbers import may_have_zero_with_exponent
from model_server.codec.json_writer import quote_value
from model_server.errors import InvalidArgument, ModelServerError

Result = TypeVar("Result")

#: Larger bodies would make other threads wait for more than about 0.15 s, as orjson does not let
#: them run; the exact parser does.
_MAX_BYTES: Final = 16 << 20
#: Most lists, objects, strings and further values, about.
_MAX_MARKS: Final = 1 << 20


class Document:
    """The JSON object of a request body."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._has_image_bytes = True
        try:
            self._value: Any = read_images(body)
        except FastPathMiss:
            self._has_image_bytes = False
            self._value = read_json(body)
        if not isinstance(self._value, dict):
            raise InvalidArgument(f"JSON Value: {quote_value(self._value)} Is not object")

    def read(self, work: Callable[[dict[str, Any]], Result]) -> Result:
        """Return the result of ``work`` on the object.

        Where images have become bytes and ``work`` fails, ``work`` is called again with the JSON
        as it stands in the body, because error messages quote it.
        """
        if self._has_image_bytes:
            try:
                return work(self._value)
            except ModelServerError:
                self._has_image_bytes = False
                self._value = read_json(self._body)
        return work(self._value)


def read_json(body: bytes) -> Any:  # noqa: ANN401 - any JSON value
    """Return the first JSON value of the body, or raise InvalidArgument."""
    with suppress(FastPathMiss):
        return _read_common(body)
    return exact_parser.parse_json(body)


def _read_common(body: bytes) -> Any:  # noqa: ANN401 - any JSON value
    """Read the body with orjson, or raise FastPathMiss.

    orjson keeps the last of several members with the same name, the exact parser the first. So
    the strings that orjson returns must be as many as the body has.
    """
    if len(body) > _MAX_BYTES or json_cost.marks(body) > _MAX_MARKS:
        raise FastPathMiss
    parts = body.split(b'"')
    if any(map(may_have_zero_with_exponent, parts[::2])):
        raise FastPathMiss
    try:
        value = orjson.loads(body)
        strings = _count_strings(value)
    except (orjson.JSONDecodeError, RecursionError) as error:
        raise FastPathMiss from error
    if 2 * strings != len(parts) - 1:
        raise FastPathMiss
    return value


def _count_strings(value: object) -> int:
    """Return the number of strings, names included.

    A list whose first item has no strings counts as 0. That is fast for lists of numbers; in
    other lists the number comes out too low, and the exact parser reads the body.
    """
    if isinstance(value, str):
        return 1
    if isinstance(value, dict):
        return len(value) + sum(map(_count_strings, value.values()))
    if not isinstance(value, list) or not value:
        return 0
    first = _count_strings(value[0])
    return first and first + sum(map(_count_strings, value[1:]))
