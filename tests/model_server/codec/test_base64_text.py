from __future__ import annotations

import pytest

from model_server.codec.base64_text import decode
from model_server.errors import InvalidArgument


@pytest.mark.parametrize(
    ("text", "data"),
    [
        ("", b""),
        ("aGVsbG8=", b"hello"),
        ("aGVsbG8", b"hello"),
        ("aGVsbG8.", b"hello"),
        (" aGVs\nbG8\t= ", b"hello"),
        ("//4=", b"\xff\xfe"),
        ("YQ", b"a"),
        ("YQ==", b"a"),
        ("YQ..", b"a"),
    ],
)
def test_decoded(text: str, data: bytes) -> None:
    assert decode(text) == data


@pytest.mark.parametrize("text", ["_-8=", "!!", "YQ=", "YWE==", "aGVsb", "a", "=", "aGVs=bG8", "é"])
def test_undecodable(text: str) -> None:
    with pytest.raises(InvalidArgument, match="^INVALID_ARGUMENT: Unable to base64 decode$"):
        decode(text)
