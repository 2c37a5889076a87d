"""A client that speaks HTTP/2 by hand, so that it can stop in the middle of a message."""

from __future__ import annotations

import socket
import struct
from typing import Final

_PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_DATA, _HEADERS, _RST, _SETTINGS, _WINDOW_UPDATE = 0, 1, 3, 4, 8
_END_HEADERS: Final = 4
_ACK: Final = 1
_MAX_FRAME: Final = 16384
_INITIAL_WINDOW: Final = 65535


class SlowSender:
    """One connection with streams whose messages never end."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), 60)
        self._windows = {0: _INITIAL_WINDOW}
        self._stream = -1
        self.ended: set[int] = set()
        self._buffer = b""
        self._socket.sendall(_PREFACE)
        self._frame(_SETTINGS, 0, 0, b"")

    def close(self) -> None:
        self._socket.close()

    def begin(self, path: str, size: int) -> int:
        """Start a call whose message is to have this many bytes."""
        self._stream += 2
        headers = {
            ":method": "POST",
            ":scheme": "http",
            ":path": path,
            ":authority": "localhost",
            "content-type": "application/grpc",
            "te": "trailers",
        }
        block = b"".join(b"\0" + _string(name) + _string(value) for name, value in headers.items())
        self._frame(_HEADERS, _END_HEADERS, self._stream, block)
        self._windows[self._stream] = _INITIAL_WINDOW
        self._frame(_DATA, 0, self._stream, struct.pack(">BI", 0, size))
        return self._stream

    def send(self, stream: int, count: int) -> None:
        """Send bytes of the message as far as the server lets them through; stop if it resets."""
        while count and stream not in self.ended:
            allowed = min(self._windows[0], self._windows[stream], _MAX_FRAME, count)
            if allowed <= 0:
                self.receive()
                continue
            self._frame(_DATA, 0, stream, bytes(allowed))
            count -= allowed

    def receive(self) -> None:
        """Take in what the server has sent."""
        self._buffer += self._socket.recv(65536)
        while len(self._buffer) >= 9 and len(self._buffer) >= 9 + self._size:
            kind, flags, stream = struct.unpack(">BBI", self._buffer[3:9])
            payload, self._buffer = (
                self._buffer[9 : 9 + self._size],
                self._buffer[9 + self._size :],
            )
            self._take(kind, flags, stream, payload)

    @property
    def _size(self) -> int:
        return int.from_bytes(self._buffer[:3], "big")

    def _take(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        if kind == _WINDOW_UPDATE:
            self._windows[stream] += int.from_bytes(payload, "big")
        elif kind == _SETTINGS and not flags & _ACK:
            self._frame(_SETTINGS, _ACK, 0, b"")
        elif kind == _RST or (kind == _HEADERS and flags & 1):
            self.ended.add(stream)

    def _frame(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        head = len(payload).to_bytes(3, "big") + struct.pack(">BBI", kind, flags, stream)
        self._socket.sendall(head + payload)
        if kind == _DATA:
            self._windows[0] -= len(payload)
            self._windows[stream] -= len(payload)


def _string(text: str) -> bytes:
    return bytes([len(text)]) + text.encode()
