"""The status codes of gRPC, and the texts of its errors."""

from __future__ import annotations

from typing import Final

from model_server.errors import BY_CODE

#: TensorFlow Serving cuts error texts at this number of bytes.
_MAX_TEXT: Final = 1024
_TRUNCATED: Final = b"...TRUNCATED"

#: gRPC's number of each of TensorFlow's status codes.
CODES: Final = {"OK": 0, **{code: number for number, code in enumerate(BY_CODE, start=1)}}


def cut(text: str) -> bytes:
    """Return an error text as bytes, cut as TensorFlow Serving does but never inside a letter."""
    data = text.encode("utf-8", "backslashreplace")
    if len(data) <= _MAX_TEXT:
        return data
    return data[:_MAX_TEXT].decode("utf-8", "ignore").encode() + _TRUNCATED
