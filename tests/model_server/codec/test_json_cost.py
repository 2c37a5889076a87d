"""The estimate of what a document costs, compared with what it costs."""

from __future__ import annotations

import tracemalloc
from contextlib import AbstractContextManager, nullcontext

import pytest

from model_server.codec import json_cost
from model_server.codec.json_reader import Document
from model_server.engines.protocol import TensorInfo
from model_server.errors import InvalidArgument
from model_server.rest.predict_request import tensors

SIZE = json_cost.SMALL_BYTES + 1000
#: Bytes per byte of the body for its copies, and for the buffer of orjson, most of which is not
#: touched and so takes no memory.
TEXT = 16


def instances(item: bytes) -> bytes:
    """A body of about SIZE bytes with the same item again and again."""
    count = SIZE // (len(item) + 1)
    return b'{"instances":[%b]}' % b",".join([item] * count)


@pytest.mark.parametrize(
    ("item", "dtype", "reading"),
    [
        (b"0", "float", nullcontext()),
        (b"-1.25e-3", "float", nullcontext()),
        (b"0", "int64", nullcontext()),
        (b"[]", "float", nullcontext()),
        (b"[[0,1,2]]", "float", nullcontext()),
        (b"{}", "float", pytest.raises(InvalidArgument, match="keys must be equal to: x")),
        (b'""', "string", nullcontext()),
        (b'{"b64":"eA=="}', "string", nullcontext()),
    ],
)
def test_a_document_costs_no_more_than_estimated(
    item: bytes, dtype: str, reading: AbstractContextManager[object]
) -> None:
    body = instances(item)
    inputs = {"x": TensorInfo("x:0", dtype, (-1,))}

    tracemalloc.start()
    try:
        with reading:
            Document(body).read(lambda document: tensors(document, inputs))
    finally:
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()

    assert peak < json_cost.cost(body) + TEXT * len(body)


def test_small_documents_and_images_are_not_costly() -> None:
    assert json_cost.cost(b"[" * (json_cost.SMALL_BYTES - 1)) == 0
    assert not json_cost.is_costly(b'{"instances":[{"b64":"' + b"A" * 10_000_000 + b'"}]}')
    assert json_cost.is_costly(instances(b"0") * 4)


@pytest.mark.parametrize("size", [0, 1, 65_535, 65_536, 65_537, 200_000])
def test_characters_are_counted(size: int) -> None:
    body = (b"ab,c" * size)[:size]

    assert json_cost.count(body, b",") == body.count(b",")
    assert json_cost.marks(body) == body.count(b",")
