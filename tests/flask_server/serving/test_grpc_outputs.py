"""All outputs of a gRPC response together take no more memory than the call allows."""

from __future__ import annotations

import tracemalloc

import pytest

from flask_server.serving.grpc_encoding import read_outputs
from serving_api.errors import ResourceExhausted
from serving_api.messages import message

FLOAT = 1
COUNT = 1000


def response(outputs: int) -> bytes:
    """Outputs of a thousand floats each, of which the response has one that is repeated."""
    made = message("PredictResponse")()
    for index in range(outputs):
        tensor = made.outputs.add(key=f"output{index}").value
        tensor.dtype = FLOAT
        tensor.tensor_shape.dim.add(size=COUNT)
        tensor.float_val.append(0.5)
    return bytes(made.SerializeToString())


def test_outputs_within_the_limit_are_read() -> None:
    outputs = read_outputs(response(40), max_bytes=40 * 4 * COUNT)

    assert {len(values) for values in outputs.values()} == {COUNT}
    assert len(outputs) == 40


def test_the_limit_is_that_of_all_outputs_together() -> None:
    data = response(40)

    tracemalloc.start()
    try:
        with pytest.raises(ResourceExhausted, match="need 12000 bytes; 8000 are allowed"):
            read_outputs(data, max_bytes=2 * 4 * COUNT)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert peak < 40 * 4 * COUNT
