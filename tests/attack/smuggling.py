"""Byte streams that two servers could cut into requests differently, and what each server reads.

Each stream begins with a request for the model ``outer``; its body, or what could be taken for
one, contains a request for ``inner``; a request for ``last`` follows. The answers name the models,
so they tell how a server has read the stream. All three are GET, whose answer no body changes.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

NAMES = (b"outer", b"inner", b"last")
_TIMEOUT_S = 60.0


#: The path of each server, with the place of a model's name.
GATEWAY = b"/models/%b"
MODEL_SERVER = b"/v1/models/%b"


@dataclass(frozen=True)
class Parts:
    """The pieces of a stream for one server."""

    path: bytes
    number: int
    """Makes the names of this stream different from those of all others."""

    def name(self, which: bytes) -> bytes:
        return b"%b%d" % (which, self.number)

    def get(self, which: bytes) -> bytes:
        """A whole request without a body."""
        return b"GET %b HTTP/1.1\r\nHost: x\r\n\r\n" % (self.path % self.name(which))

    @property
    def inner(self) -> bytes:
        return self.get(b"inner")

    def first(
        self,
        *headers: bytes,
        body: bytes = b"",
        line: bytes = b"GET %b HTTP/1.1",
        before: bytes = b"",
    ) -> bytes:
        """The outer request; ``line`` has a place for its path."""
        start = line % (self.path % self.name(b"outer")) if b"%b" in line else line
        lines = (start, b"Host: x", *headers)
        return before + b"".join(b"%b\r\n" % each for each in lines) + b"\r\n" + body

    def sized(self, header: bytes, *others: bytes) -> bytes:
        """The outer request with the inner one as its body; ``header`` has a place for its size."""
        return self.first(header % len(self.inner), *others, body=self.inner)

    def chunked(self, *headers: bytes, size: bytes = b"%x", end: bytes = b"0\r\n\r\n") -> bytes:
        """The outer request with the inner one as its only chunk."""
        line = size % len(self.inner) if b"%" in size else size
        body = line + b"\r\n" + self.inner + b"\r\n" + end
        return self.first(*(headers or (CHUNKED,)), body=body)

    def ended(self, *headers: bytes) -> bytes:
        """The outer request with an empty body of chunks, behind which the inner one stands."""
        return self.first(*headers, body=b"0\r\n\r\n" + self.inner)


CHUNKED = b"Transfer-Encoding: chunked"
LENGTH = b"Content-Length: %d"


@dataclass(frozen=True)
class Stream:
    """One row: what is sent, and how many of its three requests each server answers."""

    name: str
    make: Callable[[Parts], bytes]
    gateway: str
    """The first letters of the requests that are answered: ``ol`` for the outer and the last.

    The gateway answers a request whose body it does not need and that turns out to be malformed,
    and then closes the connection.
    """

    model_server: str


def row(
    name: str, make: Callable[[Parts], bytes], gateway: str, model_server: str | None = None
) -> Stream:
    return Stream(name, make, gateway, gateway if model_server is None else model_server)


def read(
    port: int, parts: Parts, make: Callable[[Parts], bytes], host: str = "127.0.0.1"
) -> list[bytes]:
    """Send a stream and its last request; return the names in the answers, in order."""
    received = exchanged(port, make(parts) + parts.get(b"last"), host)
    pattern = rb"(outer|inner|last)%d\b" % parts.number
    found: list[bytes] = []
    for answer in re.split(rb"HTTP/1\.[01] \d{3} ", received):
        names = re.findall(pattern, answer)
        found += names[:1]
    return found


def exchanged(port: int, stream: bytes, host: str = "127.0.0.1") -> bytes:
    """Send a stream, end it, and return all that comes back."""
    with socket.create_connection((host, port), _TIMEOUT_S) as connection:
        with suppress(OSError):
            connection.sendall(stream)
            connection.shutdown(socket.SHUT_WR)
        received = b""
        with suppress(ConnectionResetError):
            while piece := connection.recv(65536):
                received += piece
        return received


def fit(one: str, other: str) -> bool:
    """Tell whether two readings can be those of one stream, by the first letters of its requests.

    A server may refuse a stream at any point, but never go on in another place than the other.
    """
    shorter, longer = sorted((one, other), key=len)
    return shorter == longer or (longer.startswith(shorter) and not shorter.endswith("l"))


STREAMS = (
    # One request after another, and one inside the body of another.
    row("two requests", lambda p: p.first(LENGTH % 0) + p.inner, "oil"),
    row("a request as a body", lambda p: p.sized(LENGTH), "ol"),
    row("a request as a chunk", lambda p: p.chunked(), "ol"),
    row("no length", lambda p: p.first(body=p.inner), "oil"),
    row("a body that was expected", lambda p: p.sized(LENGTH, b"Expect: 100-continue"), "ol"),
    row("a body on a closed connection", lambda p: p.sized(LENGTH, b"Connection: close"), "o"),
    row(
        "a length that a proxy should remove",
        lambda p: p.sized(LENGTH, b"Connection: Content-Length"),
        "ol",
    ),
    # Lengths.
    row("the same length twice", lambda p: p.sized(LENGTH, LENGTH % len(p.inner)), "", "ol"),
    row("two lengths", lambda p: p.sized(LENGTH, LENGTH % 0), ""),
    row("two lengths, the other way", lambda p: p.first(LENGTH % 0, LENGTH % 9, body=p.inner), ""),
    row("a list of equal lengths", lambda p: p.first(b"Content-Length: 5, 5", body=p.inner), ""),
    row("a length with a plus", lambda p: p.sized(b"Content-Length: +%d"), ""),
    row("a length with a minus", lambda p: p.sized(b"Content-Length: -%d"), ""),
    row("a length with zeros", lambda p: p.sized(b"Content-Length: 000%d"), "ol"),
    row("a length with blanks", lambda p: p.sized(b"Content-Length: \t %d \t"), "ol"),
    row("a length with a blank inside", lambda p: p.sized(b"Content-Length: 0 %d"), ""),
    row("a length with an underscore", lambda p: p.sized(b"Content-Length: 0_%d"), ""),
    row("a length in hexadecimal", lambda p: p.sized(b"Content-Length: 0x%x"), ""),
    row("a length as a fraction", lambda p: p.sized(b"Content-Length: %d.0"), ""),
    row("a length with a vertical tab", lambda p: p.sized(b"Content-Length: \x0b%d"), ""),
    row("a length with a hard blank", lambda p: p.sized(b"Content-Length: \xa0%d"), ""),
    row("a superscript as a length", lambda p: p.first(b"Content-Length: \xb2", body=p.inner), ""),
    row("an empty length", lambda p: p.first(b"Content-Length:", body=p.inner), ""),
    row("a length beyond 64 bits", lambda p: p.sized(b"Content-Length: 1844674407370955%d"), ""),
    row("a blank before the colon", lambda p: p.sized(b"Content-Length : %d"), ""),
    row("an underscore in the name", lambda p: p.sized(b"Content_Length: %d"), "oil"),
    row("a folded length", lambda p: p.sized(b"Content-Length:\r\n %d"), "", "ol"),
    # Transfer codings.
    row("length and chunks", lambda p: p.ended(LENGTH % (5 + len(p.inner)), CHUNKED), ""),
    row("chunks and length", lambda p: p.ended(CHUNKED, LENGTH % (5 + len(p.inner))), ""),
    row("chunks and a length of 0", lambda p: p.chunked(CHUNKED, LENGTH % 0), ""),
    row("folded chunks", lambda p: p.ended(b"Transfer-Encoding:\r\n chunked"), "", "oil"),
    row(
        "folded chunks and a length",
        lambda p: p.ended(b"Transfer-Encoding:\r\n chunked", LENGTH % (5 + len(p.inner))),
        "",
    ),
    row("chunks in capitals", lambda p: p.ended(b"TRANSFER-ENCODING: CHUNKED"), "oil"),
    row("chunks twice", lambda p: p.ended(CHUNKED, CHUNKED), ""),
    row("chunks twice in a list", lambda p: p.ended(CHUNKED + b", chunked"), ""),
    row("chunks, then none", lambda p: p.ended(CHUNKED + b", identity"), ""),
    row("none, then chunks", lambda p: p.ended(b"Transfer-Encoding: identity, chunked"), "oil", ""),
    row("compressed chunks", lambda p: p.ended(b"Transfer-Encoding: gzip, chunked"), ""),
    row("no chunks", lambda p: p.ended(b"Transfer-Encoding: identity"), ""),
    row("xchunked", lambda p: p.ended(b"Transfer-Encoding: xchunked", LENGTH % 5), ""),
    row("chunks with a parameter", lambda p: p.ended(CHUNKED + b";q=1"), ""),
    row("a vertical tab and chunks", lambda p: p.ended(b"Transfer-Encoding: \x0bchunked"), ""),
    row("chunks in quotes", lambda p: p.ended(b'Transfer-Encoding: "chunked"'), ""),
    row("chunks after an empty item", lambda p: p.ended(b"Transfer-Encoding: , chunked"), ""),
    row(
        "a blank before the colon of chunks", lambda p: p.ended(b"Transfer-Encoding : chunked"), ""
    ),
    row(
        "an underscore in the name of chunks",
        lambda p: p.ended(b"Transfer_Encoding: chunked", LENGTH % (5 + len(p.inner))),
        "ol",
    ),
    row(
        "a blank before the name of chunks",
        lambda p: p.ended(b" " + CHUNKED, LENGTH % 5),
        "",
        "oil",
    ),
    row(
        "chunks of HTTP/1.0",
        lambda p: p.first(CHUNKED, body=b"0\r\n\r\n" + p.inner, line=b"GET %b HTTP/1.0"),
        "",
    ),
    # Chunks.
    row("a chunk extension", lambda p: p.chunked(size=b"%x;a=b"), "ol"),
    row("a quoted chunk extension", lambda p: p.chunked(size=b'%x ; a="b;c"'), "ol"),
    row("an extension with a bare line feed", lambda p: p.chunked(size=b"%x;\na"), "o", ""),
    row("an extension with a bare return", lambda p: p.chunked(size=b"%x;\ra"), "o", ""),
    row("an extension with a null", lambda p: p.chunked(size=b"%x;\0"), "o", ""),
    row("a chunk size of 0x", lambda p: p.chunked(size=b"0x%x"), "o", ""),
    row("a chunk size with an underscore", lambda p: p.chunked(size=b"0_%x"), "o", ""),
    row("a chunk size with a plus", lambda p: p.chunked(size=b"+%x"), "o", ""),
    row("a chunk size with a minus", lambda p: p.chunked(size=b"-%x"), "o", ""),
    row("a chunk size after a blank", lambda p: p.chunked(size=b" %x"), "o", ""),
    row("a chunk size before a blank", lambda p: p.chunked(size=b"%x "), "o", "ol"),
    row("a chunk size with zeros", lambda p: p.chunked(size=b"0000%x"), "ol"),
    row("a chunk size beyond 64 bits", lambda p: p.chunked(size=b"1000000000000000%02x"), ""),
    row("an empty chunk size", lambda p: p.chunked(size=b""), "o", ""),
    row("a chunk that is too long", lambda p: p.chunked(size=b"5"), ""),
    row(
        "chunks ended by line feeds",
        lambda p: p.first(CHUNKED, body=b"1\na\n0\n\n" + p.inner),
        "o",
        "",
    ),
    row(
        "a chunk ended by a return",
        lambda p: p.first(CHUNKED, body=b"1\r\na\r0\r\n\r\n" + p.inner),
        "o",
        "",
    ),
    row(
        "a length in the trailer",
        lambda p: p.chunked(end=b"0\r\nContent-Length: 9\r\n\r\n"),
        "o",
        "ol",
    ),
    row("a trailer", lambda p: p.chunked(end=b"0\r\nA: b\r\n\r\n"), "ol"),
    row(
        "a trailer with a bare line feed",
        lambda p: p.chunked(end=b"0\r\nA: b\nC: d\r\n\r\n"),
        "o",
        "",
    ),
    # Lines of the head.
    row("line feeds only", lambda p: p.sized(LENGTH).replace(b"\r\n", b"\n"), ""),
    row("a line feed before a length", lambda p: p.sized(b"A: b\nContent-Length: %d"), ""),
    row("a return before a length", lambda p: p.sized(b"A: b\rContent-Length: %d"), ""),
    row("a return before chunks", lambda p: p.ended(b"A: b\r" + CHUNKED), ""),
    row("a null in a value", lambda p: p.sized(LENGTH, b"A: \0"), ""),
    row("a null in a name", lambda p: p.sized(LENGTH, b"A\0: b"), ""),
    row("a null behind a length", lambda p: p.sized(b"Content-Length: %d\0"), ""),
    row("a line without a colon", lambda p: p.sized(LENGTH, b"A"), ""),
    row("a line without a name", lambda p: p.sized(LENGTH, b": b"), ""),
    row("two hosts", lambda p: p.sized(LENGTH, b"Host: y"), "", "ol"),
    row("an empty line before", lambda p: p.first(LENGTH % 0, before=b"\r\n") + p.inner, "oil", ""),
    row("two empty lines before", lambda p: p.first(before=b"\r\n\r\n") + p.inner, ""),
    row("the PROXY protocol", lambda p: p.first(before=b"PROXY TCP4 1.1.1.1 2.2.2.2 3 4\r\n"), ""),
    # Targets, versions and methods.
    row(
        "an absolute target",
        lambda p: p.first(LENGTH % 0, line=b"GET http://other:1%b HTTP/1.1"),
        "ol",
    ),
    row("an authority as a target", lambda p: p.first(line=b"GET x:80 HTTP/1.1") + p.inner, ""),
    row("CONNECT", lambda p: p.first(line=b"CONNECT x:80 HTTP/1.1") + p.inner, ""),
    row("an asterisk", lambda p: p.first(line=b"OPTIONS * HTTP/1.1"), "l", ""),
    row("a target with a blank", lambda p: p.first(line=b"GET %b a HTTP/1.1") + p.inner, ""),
    row("a target with a tab", lambda p: p.first(line=b"GET\t%b\tHTTP/1.1") + p.inner, ""),
    row("no version", lambda p: p.first(line=b"GET %b") + p.inner, ""),
    row("HTTP/2.0", lambda p: p.first(line=b"GET %b HTTP/2.0") + p.inner, ""),
    row("HTTP/1.1 in small letters", lambda p: p.first(line=b"GET %b http/1.1") + p.inner, ""),
    row("a method in small letters", lambda p: p.first(line=b"get %b HTTP/1.1") + p.inner, ""),
    # Another protocol.
    row(
        "an upgrade to HTTP/2",
        lambda p: p.sized(
            LENGTH,
            b"Connection: Upgrade, HTTP2-Settings",
            b"Upgrade: h2c",
            b"HTTP2-Settings: AAMAAABk",
        ),
        "ol",
    ),
)
