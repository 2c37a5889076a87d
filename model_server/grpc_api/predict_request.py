"""Read a PredictRequest; its tensors stay views of the bytes. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from model_catalog.protos import number
from model_server.errors import ResourceExhausted
from model_server.grpc_api.messages import missing_spec, parsed
from serving_api import protobuf_wire as wire
from serving_api.messages import Message
from serving_api.tensor_map import read_entry
from serving_api.tensor_reader import TensorFields

_SPEC: Final = number("PredictRequest", "model_spec")
_INPUTS: Final = number("PredictRequest", "inputs")
_FILTER: Final = number("PredictRequest", "output_filter")
#: Fields of one request; each costs time and memory.
MAX_FIELDS: Final = 1 << 16


@dataclass(slots=True)
class PredictRequest:
    """A request to run a signature."""

    spec: Message
    """The ModelSpec."""

    inputs: dict[str, TensorFields] = field(default_factory=dict)
    output_filter: list[str] = field(default_factory=list)


def read(data: bytes) -> PredictRequest:
    """Return the request, or raise Internal, or InvalidArgument if it has no ModelSpec."""
    specs: list[memoryview] = []
    request = PredictRequest(None)
    for count, (place, kind, content) in enumerate(wire.fields(memoryview(data))):
        if count == MAX_FIELDS:
            raise ResourceExhausted(f"A request has more than {MAX_FIELDS} fields")
        if kind != wire.BYTES:
            continue
        if place == _SPEC:
            specs.append(content)
        elif place == _INPUTS:
            name, tensor = read_entry(content)
            request.inputs[name] = tensor
        elif place == _FILTER:
            request.output_filter.append(wire.text(content))
    if not specs:
        raise missing_spec()
    request.spec = parsed("ModelSpec", b"".join(specs))
    return request
