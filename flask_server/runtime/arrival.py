"""Tell from the bytes of a connection when a whole request has arrived. Touches no socket.

A request is handed to a thread when its head and its body are there, so that a caller that sends
slowly, or stops, holds no thread. This module only finds the end of the request. The
HTTP parser of gunicorn reads the same bytes again and refuses invalid requests.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

#: Seconds that a request may take to arrive, and that it may pause.
ARRIVAL_S: Final = 20.0
#: Bytes whose arrival extends that time by one second.
MIN_BYTES_PER_S: Final = 10_000
#: A head above this size counts as complete; the parser refuses it, as its own limit is lower.
MAX_HEAD_BYTES: Final = 128 * 1024
#: The same limit for a request line, the size line of a chunk and a trailer line.
MAX_LINE_BYTES: Final = 9 * 1024
#: Maximum number of chunks and trailer lines of a body, as many tiny ones take too much CPU time.
MAX_CHUNKS: Final = 100_000

_HEAD_END: Final = b"\r\n\r\n"
_LENGTH: Final = re.compile(rb"\r\ncontent-length[ \t]*:[ \t]*(\d{1,18})[ \t]*(?=\r\n)", re.I)
_ANY_LENGTH: Final = re.compile(rb"\r\ncontent-length[ \t]*:", re.I)
_TRANSFER_CODING: Final = re.compile(rb"\r\ntransfer-encoding[ \t]*:", re.I)
_EXPECT: Final = re.compile(rb"\r\nexpect[ \t]*:[ \t]*100-continue[ \t]*(?=\r\n)", re.I)
_CHUNK_SIZE: Final = re.compile(rb"[0-9A-Fa-f]{1,15}")


class Arrival:
    """The bytes of one request while it arrives.

    ``limit`` is the maximum size of a body in bytes. A request with a larger body counts as
    complete early; the application refuses it by its Content-Length or by the bytes so far.
    """

    def __init__(self, limit: int, now: float) -> None:
        self.buffer = bytearray()
        self.complete = False
        self._head_is_new = False
        self._expects_continue = False
        self._limit = limit
        self._began = now
        self._deadline = now + ARRIVAL_S
        self._at = 0
        """Number of bytes of the buffer that have been examined."""

        self._missing = 0
        """Size in bytes of the body or of the current chunk."""

        self._chunked = 0
        """Bytes of chunks that have arrived."""

        self._chunks = 0
        """Chunks and trailer lines that have arrived."""

        self._step: Callable[[Arrival], bool] = Arrival._read_head
        """Reads the next part of the request; False when it needs more bytes.

        Not a bound method: with a reference to itself, the arrival of a closed connection would
        keep its bytes until a garbage collection.
        """

    @property
    def begun(self) -> bool:
        """Whether a part of the request has arrived."""
        return bool(self.buffer)

    @property
    def head(self) -> bytes:
        """The lines of the head; nothing before all of them have arrived."""
        end = self.buffer.find(_HEAD_END)
        return bytes(self.buffer[: end + len(b"\r\n")]) if end >= 0 else b""

    def overdue(self, now: float) -> bool:
        """Tell whether the request arrives too slowly."""
        return now > self._deadline

    def age(self, now: float) -> float:
        """Return the seconds since the first byte arrived."""
        return now - self._began

    def feed(self, data: bytes, now: float) -> None:
        """Take the bytes that have arrived next."""
        if not self.buffer:
            self._began, self._deadline = now, now + ARRIVAL_S
        # Bytes that arrive fast do not extend the deadline beyond ``ARRIVAL_S`` from now, so a body
        # that stops is given up soon.
        later = self._deadline + len(data) / MIN_BYTES_PER_S
        self._deadline = min(later, now + ARRIVAL_S)
        self.buffer += data
        while not self.complete and self._step(self):
            pass

    def take_new_head(self) -> bool:
        """Tell, once, that the head has arrived."""
        is_new, self._head_is_new = self._head_is_new, False
        return is_new

    def take_expectation(self) -> bool:
        """Tell, once, whether the caller sends its body only after ``100 Continue``."""
        expects, self._expects_continue = self._expects_continue, False
        return expects

    def _read_head(self) -> bool:
        end = self.buffer.find(_HEAD_END, max(0, self._at - len(_HEAD_END) + 1))
        if end < 0:
            self._at = len(self.buffer)
            line_is_long = self._at > MAX_LINE_BYTES and b"\r\n" not in self.buffer[:MAX_LINE_BYTES]
            self.complete = line_is_long or self._at > MAX_HEAD_BYTES
            return False
        self._at, self._head_is_new = end + len(_HEAD_END), True
        head = bytes(self.buffer[: end + len(b"\r\n")])
        lengths, chunked = _ANY_LENGTH.findall(head), _TRANSFER_CODING.search(head)
        length = _LENGTH.search(head)
        if chunked and not lengths:
            self._step = Arrival._read_chunk_line
        elif length and len(lengths) == 1 and not chunked:
            self._missing, self._step = int(length.group(1)), Arrival._read_body
        else:  # no body, or an invalid length, which the parser refuses
            self.complete = True
        self._cut_expectation(head)
        return True

    def _cut_expectation(self, head: bytes) -> None:
        """Remove the header that asks for ``100 Continue``, which the parser would answer late."""
        found = _EXPECT.search(head)
        if found:
            del self.buffer[found.start() : found.end()]
            self._at -= found.end() - found.start()
            self._expects_continue = not self.complete and self._missing <= self._limit

    def _read_body(self) -> bool:
        self.complete = len(self.buffer) - self._at >= self._missing or self._missing > self._limit
        return False

    def _read_chunk_line(self) -> bool:
        line = self._line()
        if line is None:
            return False
        size = _CHUNK_SIZE.match(line)
        if size is None:  # malformed: the parser refuses it
            self.complete = True
            return False
        self._missing = int(size.group(), 16)
        self._step = Arrival._read_chunk if self._missing else Arrival._read_trailer
        return True

    def _read_chunk(self) -> bool:
        whole = self._missing + len(b"\r\n")
        there = min(len(self.buffer) - self._at, whole)
        if there < whole:
            self.complete = self._chunked + there > self._limit
            return False
        self._at += whole
        self._chunked += self._missing
        self._chunks += 1
        self.complete = self._chunked > self._limit or self._chunks > MAX_CHUNKS
        self._step = Arrival._read_chunk_line
        return True

    def _read_trailer(self) -> bool:
        line = self._line()
        self._chunks += line is not None
        self.complete = self.complete or line == b"" or self._chunks > MAX_CHUNKS
        return line is not None

    def _line(self) -> bytes | None:
        """Return the next whole line without its end; None until it has arrived."""
        end = self.buffer.find(b"\r\n", self._at)
        if end < 0:
            self.complete = len(self.buffer) - self._at > MAX_LINE_BYTES
            return None
        line = bytes(self.buffer[self._at : end])
        self._at = end + len(b"\r\n")
        return line
