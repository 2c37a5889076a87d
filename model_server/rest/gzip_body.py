"""Decompress request bodies, with bounds on what one body and all bodies together become."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from model_server.byte_budget import ByteBudget
from model_server.errors import Unavailable
from model_server.transport.http_messages import Request

#: The limit of the genuine server.
MAX_BYTES: Final = 100 << 20

_INPUT_BYTES: Final = 64 << 10
_OUTPUT_BYTES: Final = 1 << 20


def is_gzipped(request: Request) -> bool:
    """Tell whether the body of the request is gzipped."""
    return "gzip" in request.headers.get("content-encoding", "")


@contextmanager
def decompressed(request: Request, budget: ByteBudget, max_bytes: int) -> Iterator[bytes]:
    """Provide the body, decompressed if gzipped; the budget counts it until the block ends.

    As in TensorFlow Serving, a damaged or too large body counts as empty. Raises Unavailable if
    the budget is used up.
    """
    if not is_gzipped(request):
        yield request.body
        return
    taken: list[int] = []
    try:
        yield _inflated(request.body, budget, min(max_bytes, MAX_BYTES), taken)
    finally:
        budget.add(-sum(taken))


def _inflated(body: bytes, budget: ByteBudget, max_bytes: int, taken: list[int]) -> bytes:
    """Return the decompressed body or nothing; ``taken`` gets the sizes that were counted."""
    pieces = []
    try:
        for piece in _pieces(body):
            if not budget.take(len(piece)):
                raise Unavailable(
                    "The decompressed body does not fit into the memory that"
                    " --rest_api_max_total_bytes allows for all requests; try again."
                )
            taken.append(len(piece))
            pieces.append(piece)
            if sum(taken) > max_bytes:
                return b""
    except (zlib.error, EOFError):
        return b""
    return b"".join(pieces)


def _pieces(body: bytes) -> Iterator[bytes]:
    """Yield the content piece by piece; raise zlib.error or EOFError if it is damaged."""
    decompressor = zlib.decompressobj(16 + zlib.MAX_WBITS)
    for start in range(0, len(body), _INPUT_BYTES):
        rest = body[start : start + _INPUT_BYTES]
        while rest and not decompressor.eof:
            yield decompressor.decompress(rest, _OUTPUT_BYTES)
            rest = decompressor.unconsumed_tail
    while not decompressor.eof:
        piece = decompressor.decompress(b"", _OUTPUT_BYTES)
        if not piece and not decompressor.eof:
            raise EOFError
        yield piece
