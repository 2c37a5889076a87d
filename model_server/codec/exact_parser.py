"""Read JSON exactly as TensorFlow Serving's parser does, error messages and offsets included.

``json_reader`` calls this parser for bodies that no faster reader accepts. Nesting depth is limited
to ``MAX_LEVELS``. An invalid text raises InvalidArgument, with the byte offset unless the text is
empty; a costly one raises Unavailable while others are being read. Strings hold bytes that are not
UTF-8 as surrogate escapes.
"""

from __future__ import annotations

import math
import re
import threading
from typing import Any, Final

from model_server.codec.json_numbers import (
    LIST_RUN,
    NUMBER,
    RUN,
    double,
    integer,
    read_list_run,
    read_run,
)
from model_server.errors import InvalidArgument, Unavailable

_BYTE_ORDER_MARK: Final = re.compile(rb"\xef?\xbb?\xbf?")
_SPACE: Final = re.compile(rb"[ \t\r\n]*")
_UNESCAPED: Final = re.compile(rb'[^"\\\x00-\x1f]*')
_HEX4: Final = re.compile(rb"[0-9a-fA-F]{4}")
_ESCAPES: Final = {
    ord(escape): plain for escape, plain in zip('"/\\bfnrt', b'"/\\\b\f\n\r\t', strict=True)
}
_LITERALS: Final = {b"n": (b"null", None), b"t": (b"true", True), b"f": (b"false", False)}

#: A value costs microseconds and up to some hundred bytes; so a body takes seconds at most.
MAX_VALUES: Final = 1_000_000
#: Short lists in runs, and numbers in runs, cost far less. They do not count as values.
MAX_SHORT_LISTS: Final = 4_000_000
MAX_NUMBERS: Final = 1 << 24
MAX_ESCAPES: Final = 4_000_000
#: Each level of lists and objects costs some hundred bytes until the document has been read.
MAX_LEVELS: Final = 200_000
#: Beyond this part of a maximum a body is costly. Few of those are read at the same time, so that
#: they leave threads and memory to others.
_COSTLY_PART: Final = 0.2
_costly_bodies: Final = threading.BoundedSemaphore(2)
#: How long a costly body waits for others.
_COSTLY_WAIT_S: Final = 0.25

_NO_DOCUMENT = "The document is empty."
_INVALID = "Invalid value."
_NO_NAME = "Missing a name for object member."
_NO_COLON = "Missing a colon after a name of object member."
_NO_CURLY = "Missing a comma or '}' after an object member."
_NO_SQUARE = "Missing a comma or ']' after an array element."
_BAD_HEX = "Incorrect hex digit after \\u escape in string."
_BAD_SURROGATE = "The surrogate pair in string is invalid."
_BAD_ESCAPE = "Invalid escape character in string."
_NO_QUOTE = "Missing a closing quotation mark in string."
_TOO_BIG = "Number too big to be stored in double."
_NO_FRACTION = "Miss fraction part in number."
_NO_EXPONENT = "Miss exponent in number."


class JsonObject(dict[str, Any]):
    """A JSON object whose names may repeat.

    The dict has the first member of each name; ``pairs`` has all members in order.
    """

    __slots__ = ("pairs",)

    def __init__(self) -> None:
        super().__init__()
        self.pairs: list[tuple[str, Any]] = []

    def add(self, name: str, value: Any) -> None:  # noqa: ANN401 - any JSON value
        """Append a member."""
        self.pairs.append((name, value))
        self.setdefault(name, value)


def parse_json(text: bytes) -> Any:  # noqa: ANN401 - any JSON value
    """Return the first JSON value in the text; the text after it is ignored."""
    if not text:
        raise InvalidArgument("JSON Parse error: The document is empty")
    parser = _Parser(text)
    try:
        return parser.document()
    finally:
        parser.end()


class _Parser:
    def __init__(self, text: bytes) -> None:
        self.text = text
        self.values = 0
        self.short_lists = 0
        self.numbers = 0
        self.escapes = 0
        self.is_costly = False
        self.cheap_values = _COSTLY_PART * MAX_VALUES
        self.faulty_until = 0
        self.offset = _match(_BYTE_ORDER_MARK, text, 0).end()

    def document(self) -> Any:  # noqa: ANN401 - any JSON value
        if self.peek() in (b"", b"\0", b"]", b"}", b",", b":"):
            raise self.error(_NO_DOCUMENT)
        value = self.value()
        if isinstance(value, list | JsonObject):
            self.fill(value)
        return value

    def fill(self, root: list[Any] | JsonObject) -> None:
        """Read the members of a container and of those inside it, without recursion."""
        stack = [root]
        fresh = True
        while stack:
            if self.closes(stack[-1], fresh):
                stack.pop()
                fresh = False
                continue
            opened = self.item(stack[-1])
            fresh = opened is not None
            if opened is not None:
                stack.append(opened)
                if len(stack) > MAX_LEVELS:
                    raise self.error(f"More than {MAX_LEVELS} levels of lists and objects.")

    def closes(self, container: list[Any] | JsonObject, fresh: bool) -> bool:
        """Step over a closing bracket, or else over the comma; tell whether the container ends.

        ``fresh`` tells that the container has no members yet, so that no comma is due.
        """
        is_list = isinstance(container, list)
        character = self.peek()
        if character == (b"]" if is_list else b"}"):
            self.offset += 1
            return True
        if not fresh:
            if character != b",":
                raise self.error(_NO_SQUARE if is_list else _NO_CURLY)
            self.offset += 1
        return False

    def item(self, container: list[Any] | JsonObject) -> list[Any] | JsonObject | None:
        """Read one or several members; return the container that the last one opens, if any."""
        if isinstance(container, JsonObject):
            name = self.name()
            value = self.value()
            container.add(name, value)
        elif self.run(container):
            return None
        else:
            value = self.value()
            container.append(value)
        return value if isinstance(value, list | JsonObject) else None

    def run(self, items: list[Any]) -> bool:
        """Append consecutive numbers, or consecutive short lists; tell whether some start here."""
        self.peek()
        match = RUN.match(self.text, self.offset)
        if match is None:
            return self.list_run(items)
        self.count_numbers(match[0])
        self.offset = match.end()
        items += read_run(match[0])
        return True

    def list_run(self, items: list[Any]) -> bool:
        """Append the consecutive short lists that start here; tell whether they are valid.

        Invalid text is not tried by this method again, so that parsing takes linear time.
        """
        match = LIST_RUN.match(self.text, self.offset) if self.offset >= self.faulty_until else None
        if match is None:
            return False
        lists = read_list_run(match[0])
        if lists is None:
            self.faulty_until = match.end()
            return False
        self.short_lists += len(lists)
        self.limit(self.short_lists, MAX_SHORT_LISTS, "short lists of numbers")
        self.count_numbers(match[0])
        self.offset = match.end()
        items += lists
        return True

    def name(self) -> str:
        if self.peek() != b'"':
            raise self.error(_NO_NAME)
        name = self.string()
        if self.peek() != b":":
            raise self.error(_NO_COLON)
        self.offset += 1
        self.peek()
        return name

    def value(self) -> Any:  # noqa: ANN401 - any JSON value
        self.count_value()
        character = self.text[self.offset : self.offset + 1]
        if character == b'"':
            return self.string()
        if character in (b"[", b"{"):
            self.offset += 1
            return [] if character == b"[" else JsonObject()
        if character in _LITERALS:
            literal, value = _LITERALS[character]
            self.literal(literal)
            return value
        return self.number()

    def count_value(self) -> None:
        self.values += 1
        if self.values > self.cheap_values:
            self.limit(self.values, MAX_VALUES, "values, not counting numbers in lists")

    def count_numbers(self, run: bytes) -> None:
        """Count the numbers of a run by its commas."""
        self.numbers += run.count(b",") + 1
        self.limit(self.numbers, MAX_NUMBERS, "numbers")

    def limit(self, count: int, most: int, what: str) -> None:
        """Raise InvalidArgument if a body has too much of something.

        Raises Unavailable if the body is costly and other costly bodies are being read.
        """
        if count > most:
            raise self.error(f"More than {most} {what}.")
        if count > _COSTLY_PART * most and not self.is_costly:
            if not _costly_bodies.acquire(timeout=_COSTLY_WAIT_S):
                raise Unavailable("Other bodies of very many values are being read; try again.")
            self.is_costly = True

    def end(self) -> None:
        """Let other costly bodies be read."""
        if self.is_costly:
            self.is_costly = False
            _costly_bodies.release()

    def literal(self, literal: bytes) -> None:
        """Step over a literal; an error points at the first letter that differs."""
        for letter in literal:
            if self.text[self.offset : self.offset + 1] != bytes((letter,)):
                raise self.error(_INVALID)
            self.offset += 1

    def number(self) -> float | int:
        start = self.offset
        match = NUMBER.match(self.text, start)
        if match is None:
            return self.not_finite()
        sign, whole, fraction, exponent = match.groups()
        if fraction == b".":
            raise self.error(_NO_FRACTION, match.end(3))
        if exponent is not None and not exponent[-1:].isdigit():
            raise self.error(_NO_EXPONENT, match.end(4))
        self.offset = match.end()
        number = double(match) if fraction or exponent else integer(sign + whole)
        if number is None:
            raise self.error(_TOO_BIG, start)
        return number

    def not_finite(self) -> float:
        minus = self.text[self.offset : self.offset + 1] == b"-"
        self.offset += minus
        character = self.text[self.offset : self.offset + 1]
        if character == b"N":
            self.literal(b"NaN")
            return math.nan
        if character != b"I":
            raise self.error(_INVALID)
        self.literal(b"Inf")
        if self.text[self.offset : self.offset + 1] == b"i":
            self.literal(b"inity")
        return -math.inf if minus else math.inf

    def string(self) -> str:
        self.offset += 1
        pieces = []
        while True:
            match = _match(_UNESCAPED, self.text, self.offset)
            self.offset = match.end()
            pieces.append(match[0])
            character = self.text[self.offset : self.offset + 1]
            if character == b'"':
                self.offset += 1
                return b"".join(pieces).decode("utf-8", "surrogateescape")
            if character != b"\\":
                raise self.error(_NO_QUOTE if character in (b"", b"\0") else _BAD_ESCAPE)
            pieces.append(self.escape())

    def escape(self) -> bytes:
        start = self.offset
        self.escapes += 1
        self.limit(self.escapes, MAX_ESCAPES, "escapes in strings")
        self.offset += 2
        character = self.text[start + 1 : start + 2]
        if character == b"u":
            return chr(self.code_point(start)).encode("utf-8", "surrogatepass")
        if not character or character[0] not in _ESCAPES:
            raise self.error(_BAD_ESCAPE, start)
        return bytes((_ESCAPES[character[0]],))

    def code_point(self, start: int) -> int:
        high = self.hex4(start)
        if not 0xD800 <= high <= 0xDBFF:
            return high
        if self.text[self.offset : self.offset + 2] != b"\\u":
            raise self.error(_BAD_SURROGATE, start)
        self.offset += 2
        low = self.hex4(start)
        if not 0xDC00 <= low <= 0xDFFF:
            raise self.error(_BAD_SURROGATE, start)
        return ((high - 0xD800) << 10 | (low - 0xDC00)) + 0x10000

    def hex4(self, start: int) -> int:
        match = _HEX4.match(self.text, self.offset)
        if match is None:
            raise self.error(_BAD_HEX, start)
        self.offset += 4
        return int(match[0], 16)

    def peek(self) -> bytes:
        """Step over white space and return the next character, or ``b""`` at the end."""
        self.offset = _match(_SPACE, self.text, self.offset).end()
        return self.text[self.offset : self.offset + 1]

    def error(self, text: str, offset: int | None = None) -> InvalidArgument:
        offset = self.offset if offset is None else offset
        return InvalidArgument(f"JSON Parse error: {text} at offset: {offset}")


def _match(pattern: re.Pattern[bytes], text: bytes, at: int) -> re.Match[bytes]:
    match = pattern.match(text, at)
    assert match is not None  # noqa: S101 - these patterns match the empty string
    return match
