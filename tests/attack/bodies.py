"""Whole requests at and beyond the limits of a body, by every way of sending one."""

from __future__ import annotations

import gzip
import time
from collections.abc import Callable
from functools import partial

from tests.attack.catalogue import Attack, Form, Target, crowd, head, repeated
from tests.attack.usage import MB

#: The gateway's default for GATEWAY_MAX_BODY_BYTES.
LARGEST = 32 * MB
_PREDICT = "/models/toy/predict"
_JSON = "Content-Type: application/json"


def with_length(path: str, body: bytes, *headers: str) -> bytes:
    """A request whose body is announced by its length."""
    return head(path, *headers, f"Content-Length: {len(body)}") + b"\r\n" + body


def in_chunks(path: str, body: bytes, *headers: str, size: int = 1 << 16) -> bytes:
    """A request whose body comes in chunks of this size."""
    pieces = (body[at : at + size] for at in range(0, len(body), size))
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
    return head(path, *headers, "Transfer-Encoding: chunked") + b"\r\n" + chunks + b"0\r\n\r\n"


def padded(target: Target, size: int) -> bytes:
    """A good body with blanks behind it, up to this size; of a picture they are not looked at."""
    return target.predict_body.ljust(size)


Send = Callable[..., bytes]


def sized(name: str, send: Send, size: int, *allowed: int) -> Attack:
    """Good bodies of a size; three of the largest ones fit into the gateway's memory."""

    def request(target: Target, _: Form) -> bytes:
        kind = f"Content-Type: {target.predict_kind}"
        return send(target.predict_path, padded(target, size), kind)

    return Attack(name, repeated(request, allowed, at_once=2))


def announced(name: str, framing: bytes, *allowed: int) -> Attack:
    """A head whose framing is odd, and a short body."""
    return Attack(name, repeated(lambda target, _: target.predict_head + framing, allowed))


def flood(at_once: int) -> Callable[[Target, Form], None]:
    """Bodies of the largest size, so many at once."""
    return repeated(
        lambda target, _: with_length(_PREDICT, padded(target, LARGEST), "Content-Type: image/png"),
        [200, 503],
        at_once,
    )


def keep_bodies_back(target: Target, form: Form) -> None:
    """Fill the gateway's memory with bodies that lack a little, then send nothing more.

    The memory holds ten of the largest bodies; small ones take what is left.
    """
    begun = target.predict_head + b"Content-Length: %d\r\n\r\n" % LARGEST
    small = target.predict_head + b"Content-Length: 1000\r\n\r\n" + bytes(500)
    with crowd(target, 10) as large, crowd(target, 12) as others:
        for number, connection in enumerate(large):
            connection.sendall(begun + bytes(LARGEST - (8192 if number == 9 else 1)))
        time.sleep(1)  # so that all of it has been read
        for connection in others:
            connection.sendall(small)
        time.sleep(form.hold_s)


#: Framings that both servers must refuse or read, but never hang on or stumble over.
_ODD = (
    announced(
        "a length beyond everything", b"Content-Length: 999999999999999\r\n\r\n", 0, 400, 413
    ),
    announced("a length of 400 digits", b"Content-Length: " + b"9" * 400 + b"\r\n\r\n", 400, 413),
    announced("a negative length", b"Content-Length: -1\r\n\r\n", 400),
    announced(
        "a chunk beyond everything",
        b"Transfer-Encoding: chunked\r\n\r\nfffffffffffffff\r\n",
        0,
        400,
        413,
    ),
    announced("a head of one endless line", b"X: " + b"a" * 2 * MB, 0, 400),
    announced("a head of endless lines", b"X: a\r\n" * (MB // 3), 0, 400),
)
GATEWAY = (
    sized("the largest body", with_length, LARGEST, 200),
    sized("the largest body, in chunks", in_chunks, LARGEST, 200),
    sized("one byte too many", with_length, LARGEST + 1, 413),
    sized("one byte too many, in chunks", in_chunks, LARGEST + 1, 413),
    sized("chunks of one byte", partial(in_chunks, size=1), 90_000, 200),
    sized("too many chunks of one byte", partial(in_chunks, size=1), 400_000, 200, 400, 413),
    *_ODD,
    Attack(
        "a compressed bomb",
        repeated(lambda *_: with_length(_PREDICT, _bomb(), _JSON, "Content-Encoding: gzip"), [415]),
    ),
    Attack("more bodies than the memory holds", flood(5), may_refuse=True),
    Attack(
        "many more bodies than the memory holds",
        flood(16),
        may_refuse=True,
    ),
    Attack(
        "bodies that are kept back",
        keep_bodies_back,
    ),
)
MODEL_SERVER = (
    sized("32 MiB", with_length, LARGEST, 200),
    sized("32 MiB in chunks", in_chunks, LARGEST, 200),
    sized("chunks of one byte", partial(in_chunks, size=1), 90_000, 200),
    *_ODD,
    Attack(
        "a compressed bomb",
        repeated(
            lambda target, _: with_length(
                target.predict_path, _bomb(), _JSON, "Content-Encoding: gzip"
            ),
            [400, 413],
        ),
    ),
)


def _bomb() -> bytes:
    """A gigabyte of blanks in 16 members of a gzip file, less than a megabyte together."""
    return gzip.compress(b" " * (64 * MB), 1) * 16
