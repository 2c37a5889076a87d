"""Read and write the protocol buffers that all services share. Pure."""

from __future__ import annotations

from google.protobuf.message import DecodeError

from model_server.errors import InvalidArgument
from model_server.models.registry import ModelRequest
from serving_api.messages import Message, message, set_version
from serving_api.protobuf_wire import malformed


def parsed(name: str, data: bytes | memoryview) -> Message:
    """Return a message, or raise Internal if the bytes are not one."""
    try:
        return message(name).FromString(data)
    except DecodeError as error:
        raise malformed() from error


def check_spec(request: Message) -> None:
    """Raise InvalidArgument if a request has no ``model_spec``."""
    if not request.HasField("model_spec"):
        raise missing_spec()


def missing_spec() -> InvalidArgument:
    """Return the error for a request without ``model_spec``."""
    return InvalidArgument("Missing ModelSpec")


def model_request(spec: Message) -> ModelRequest:
    """Return the model that a ModelSpec names, or raise InvalidArgument if it names none."""
    if not spec.name:
        raise InvalidArgument("ModelSpec has no name specified.")
    label = spec.version_label if spec.HasField("version_label") else None
    return ModelRequest(spec.name, version_of(spec), label)


def version_of(spec: Message) -> int | None:
    """Return the version that a ModelSpec asks for, None if it asks for none."""
    return spec.version.value if spec.HasField("version") else None


def set_spec(spec: Message, name: str, version: int, signature: str = "") -> None:
    """Fill the ModelSpec of a response; a version is always present there."""
    spec.name = name
    set_version(spec, version)
    spec.signature_name = signature
