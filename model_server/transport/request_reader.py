"""Cut the bytes of a connection into requests while they arrive. Touches no socket.

Reading takes time proportional to the bytes. A body that is too large is refused as early as
possible: by its length, or else when the bytes over the limit arrive.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from model_server.transport.http_messages import (
    METHODS,
    BadRequest,
    Head,
    Request,
    Response,
    error_page,
    error_response,
    read_head,
    read_target,
)

MAX_HEAD_BYTES: Final = 256 * 1024
#: Bytes besides its data that a body in chunks may have: sizes, extensions, line ends, trailer.
MAX_CHUNK_OVERHEAD: Final = 8 << 20

_MAX_LINE_BYTES: Final = 16 * 1024
_FIRST_BYTES: Final = 1 << 20
_MOST_BYTES: Final = 1 << 20
_MIN_PIECE_BYTES: Final = 4096
#: The end of a head, or a line feed that no carriage return precedes.
_HEAD_END: Final = re.compile(rb"\r\n\r\n|(?<!\r)\n")
#: A chunk extension may follow the digits, after optional blanks.
_CHUNK_LINE: Final = re.compile(rb"([0-9A-Fa-f]{1,16})[ \t]*(?:;[^\r\n\0]*)?\r\n")
_LINE_END: Final = b"\r\n"


@dataclass(frozen=True, slots=True)
class Arrival:
    """A complete request, or the response that refuses what has arrived."""

    head: Head | None
    """None if the head is malformed."""

    content: Request | Response


_Step = Callable[["RequestReader"], Arrival | None]


class RequestReader:
    """The bytes of one connection that have not become a request yet."""

    def __init__(self, max_body_bytes: int) -> None:
        self._max_body = max_body_bytes
        self._buffer = bytearray()  # removing bytes at its front does not copy the rest
        self._expects_continue = False
        self._start_request()

    @property
    def has_begun(self) -> bool:
        """Tell whether a part of a request has arrived."""
        return bool(self._buffer) or self._head is not None

    @property
    def size(self) -> int:
        """The number of bytes that are held."""
        return len(self._buffer) + len(self._body) + sum(map(len, self._pieces))

    @property
    def wanted(self) -> int:
        """The number of bytes to ask the socket for."""
        if self._step is RequestReader._read_sized_body:
            return min(max(self._missing, 1), _MOST_BYTES)
        return _FIRST_BYTES

    def feed(self, data: bytes) -> None:
        """Take the bytes that have arrived next."""
        if (
            self._step is RequestReader._read_sized_body
            and not self._buffer
            and len(data) <= self._missing
        ):
            self._add_piece(data)
        else:
            self._buffer += data

    def next(self) -> Arrival | None:
        """Return the next request, or its refusal; None if more bytes are needed.

        Nothing more may be read from the connection after a refusal.
        """
        self._goes_on = True
        try:
            while (arrival := self._step(self)) is None and self._goes_on:
                pass
        except BadRequest:
            return Arrival(None, error_page(400))
        return arrival

    def take_expectation(self) -> bool:
        """Tell, once per request, whether the client waits for ``100 Continue``."""
        expects, self._expects_continue = self._expects_continue, False
        return expects

    def _start_request(self) -> None:
        self._head: Head | None = None
        self._target = ("", "")
        self._expects_continue = False
        self._searched = 0
        self._pieces: list[bytes] = []
        self._body = bytearray()
        self._missing = 0
        self._overhead = 0
        # Not a bound method: with a reference to itself, a reader of a closed connection would keep
        # its bytes until a garbage collection.
        self._step: _Step = RequestReader._read_head
        self._goes_on = True
        """Whether the next step may find what it needs in the buffer."""

    def _continue_with(self, step: _Step) -> None:
        self._step = step

    def _wait(self) -> None:
        self._goes_on = False

    def _read_head(self) -> Arrival | None:
        match = _HEAD_END.search(self._buffer, max(0, self._searched - len(b"\r\n\r")))
        end = len(self._buffer) if match is None else match.start()
        if end > MAX_HEAD_BYTES or (match is not None and match[0] == b"\n"):
            raise BadRequest
        if match is None:
            self._searched = end
            self._wait()
            return None
        head = self._head = read_head(bytes(self._buffer[:end]))
        del self._buffer[: match.end()]
        refusal = self._refusal(head)
        if refusal is not None:
            return Arrival(head, refusal)
        waits = "expect" in head.headers and head.minor >= 1 and not self._buffer
        if head.is_chunked:
            self._expects_continue = waits
            self._continue_with(RequestReader._read_chunks)
        else:
            self._missing = head.length
            self._expects_continue = waits and self._missing > 0
            self._take_buffered()
            self._continue_with(RequestReader._read_sized_body)
        return None

    def _refusal(self, head: Head) -> Response | None:
        """Return the response to a request whose body need not be read, or None."""
        if head.method not in METHODS or head.has_unknown_coding:
            return error_page(501)
        if head.headers.get("expect", "100-continue").lower() != "100-continue":
            return error_page(417)
        self._target = read_target(head.target)
        return self._too_large() if head.length > self._max_body else None

    def _add_piece(self, piece: bytes) -> None:
        """Add a piece of the body; small ones are joined, as each costs memory of its own."""
        self._missing -= len(piece)
        if self._pieces and len(self._pieces[-1]) < _MIN_PIECE_BYTES:
            piece = self._pieces.pop() + piece
        self._pieces.append(piece)

    def _take_buffered(self) -> None:
        with memoryview(self._buffer) as view:
            piece = bytes(view[: self._missing])
        del self._buffer[: len(piece)]
        self._add_piece(piece)

    def _read_sized_body(self) -> Arrival | None:
        if self._missing and self._buffer:
            self._take_buffered()
        if self._missing:
            self._wait()
            return None
        return self._complete(b"".join(self._pieces))

    def _read_chunks(self) -> Arrival | None:
        """Read chunks as far as they have arrived."""
        at = 0
        while match := _CHUNK_LINE.match(self._buffer, at):
            size = int(match[1], 16)
            self._overhead += match.end() - at + len(_LINE_END)
            at = match.end()
            if size == 0:
                del self._buffer[:at]
                self._continue_with(RequestReader._read_trailer)
                return None
            if self._overhead > MAX_CHUNK_OVERHEAD or len(self._body) + size > self._max_body:
                return Arrival(self._head, self._too_large())
            part = self._buffer[at : at + size]
            self._body += part
            at += size
            if self._buffer[at : at + 2] != _LINE_END:
                del self._buffer[:at]
                self._missing = size - len(part)
                self._continue_with(RequestReader._read_chunk_rest)
                return None
            at += len(_LINE_END)
        del self._buffer[:at]
        self._wait_for_line()
        return None

    def _read_chunk_rest(self) -> Arrival | None:
        """Read what is missing of a chunk, and the line end after it."""
        part = self._buffer[: self._missing]
        del self._buffer[: len(part)]
        self._body += part
        self._missing -= len(part)
        ending = self._buffer[: len(_LINE_END)]
        if not _LINE_END.startswith(ending):
            raise BadRequest
        if self._missing or len(ending) < len(_LINE_END):
            self._wait()
            return None
        del self._buffer[: len(_LINE_END)]
        self._continue_with(RequestReader._read_chunks)
        return None

    def _read_trailer(self) -> Arrival | None:
        """Drop the lines after the last chunk, up to an empty one."""
        end = self._buffer.find(_LINE_END, 0, _MAX_LINE_BYTES)
        if end < 0:
            self._wait_for_line()
            return None
        self._overhead += end
        if b"\n" in self._buffer[:end]:
            raise BadRequest
        del self._buffer[: end + len(_LINE_END)]
        if self._overhead > MAX_CHUNK_OVERHEAD:
            return Arrival(self._head, self._too_large())
        return None if end else self._complete(bytes(self._body))

    def _wait_for_line(self) -> None:
        """Wait for the rest of a line; a line that has ended already is malformed."""
        if len(self._buffer) > _MAX_LINE_BYTES or b"\n" in self._buffer:
            raise BadRequest
        self._wait()

    def _complete(self, body: bytes) -> Arrival:
        head = self._head
        assert head is not None  # noqa: S101 - a body follows a head
        request = Request(head.method, *self._target, head.headers, body)
        self._start_request()
        return Arrival(head, request)

    def _too_large(self) -> Response:
        return too_large(self._max_body)


def too_large(max_body_bytes: int) -> Response:
    """Return the response to a request whose body is not read to its end."""
    return error_response(
        413,
        f"The request body is larger than {max_body_bytes} bytes, the limit that"
        " --rest_api_max_body_bytes sets, or comes in too many small chunks.",
    )
