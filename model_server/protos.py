"""Make protobuf message classes from the description in ``model_catalog``, and read text files.

The classes are made at run time; there is no generated code.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from google.protobuf import (
    descriptor_pb2,
    descriptor_pool,
    json_format,
    message_factory,
    text_format,
)

from model_catalog.protos import PACKAGE, file_descriptor
from model_server.errors import InvalidArgument

#: A message; its class is made at run time, so type checkers do not know its fields.
Message = Any


@cache
def message(name: str) -> Any:  # noqa: ANN401 - a class made at run time
    """Return the class of a message; ``name`` is one of ``model_catalog.protos.MESSAGES``."""
    descriptor = _pool().FindMessageTypeByName(f"{PACKAGE}.{name}")
    return message_factory.GetMessageClass(descriptor)


def read_message(path: Path, name: str) -> Message:
    """Read a text protocol buffer, or raise InvalidArgument."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise InvalidArgument(f"{path}; {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InvalidArgument(f"Invalid protobuf file: '{path}'") from error
    if not text:
        raise InvalidArgument(f"{path}; Invalid argument")
    try:
        return text_format.Parse(text, message(name)())
    except text_format.ParseError as error:
        raise InvalidArgument(f"Invalid protobuf file: '{path}' ({error})") from error


@cache
def _pool() -> Any:  # noqa: ANN401 - protobuf has no types here
    pool = descriptor_pool.DescriptorPool()
    file = descriptor_pb2.FileDescriptorProto()
    pool.Add(json_format.ParseDict(file_descriptor(), file))
    return pool
