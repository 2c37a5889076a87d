from __future__ import annotations

import gzip

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model_server.byte_budget import ByteBudget
from model_server.errors import Unavailable
from model_server.rest.gzip_body import decompressed
from model_server.transport.http_messages import Request

LIMIT = 3 << 20


def unzipped(body: bytes, budget: ByteBudget | None = None, encoding: str = "gzip") -> bytes:
    request = Request("POST", "/p", "/p", {"content-encoding": encoding}, body)
    budget = budget or ByteBudget(1 << 30)
    with decompressed(request, budget, LIMIT) as content:
        return content


@given(st.binary(max_size=300), st.integers(1, 9000))
def test_any_content_comes_back(piece: bytes, repeats: int) -> None:
    content = piece * repeats

    assert unzipped(gzip.compress(content)) == content


@pytest.mark.parametrize(("size", "kept"), [(LIMIT, LIMIT), (LIMIT + 1, 0)])
def test_what_is_larger_than_the_limit_counts_as_empty(size: int, kept: int) -> None:
    assert len(unzipped(gzip.compress(b"x" * size))) == kept


@given(st.integers(0, 60))
def test_what_is_cut_off_counts_as_empty(missing: int) -> None:
    body = gzip.compress(bytes(range(256)) * 2)

    assert unzipped(body[: max(0, len(body) - 1 - missing)]) == b""


def test_other_encodings_are_left_alone() -> None:
    assert unzipped(b"as it is", encoding="br") == b"as it is"


def test_the_budget_counts_the_content_while_it_is_used() -> None:
    budget = ByteBudget(5 << 20)
    request = Request("POST", "/p", "/p", {"content-encoding": "gzip"}, gzip.compress(b"x" * LIMIT))

    with decompressed(request, budget, LIMIT):
        assert budget.used == LIMIT
        with pytest.raises(Unavailable), decompressed(request, budget, LIMIT):
            pass
        assert budget.used == LIMIT

    assert budget.used == 0
