"""Make protobuf message classes from the description in ``model_catalog``.

The classes are made at run time; there is no generated code.
"""

from __future__ import annotations

import threading
from functools import cache
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory

from model_catalog.protos import PACKAGE, file_descriptor

#: A message; its class is made at run time, so type checkers do not know its fields.
Message = Any

# Two threads that begin at once would make two pools, whose classes do not fit each other.
_making = threading.Lock()


@cache
def message(name: str) -> Any:  # noqa: ANN401 - a class made at run time
    """Return the class of a message; ``name`` is one of ``model_catalog.protos.MESSAGES``."""
    with _making:
        descriptor = _pool().FindMessageTypeByName(f"{PACKAGE}.{name}")
        return message_factory.GetMessageClass(descriptor)


def set_version(spec: Message, version: int) -> None:
    """Set the version of a ModelSpec, of which 0 would be left out otherwise."""
    spec.version.value = version
    spec.version.SetInParent()


def examples_of(given: Message) -> list[bytes]:
    """Return the serialized Examples of an Input, each merged with the context by joining them."""
    with_context = given.example_list_with_context
    merged = [with_context.context + example for example in with_context.examples]
    return [*merged, *given.example_list.examples]


@cache
def _pool() -> Any:  # noqa: ANN401 - protobuf has no types here
    pool = descriptor_pool.DescriptorPool()
    file = descriptor_pb2.FileDescriptorProto()
    pool.Add(json_format.ParseDict(file_descriptor(), file))
    return pool
