"""Describe the protocol buffers that TensorFlow Serving reads, field by field, at run time.

Only the fields that exist in TensorFlow Serving's own .proto files, with their numbers, so that
text and binary files made for it are understood. Message classes are built from the table below;
no generated code and no ``tensorflow-serving-api``.
"""

from __future__ import annotations

from functools import cache
from typing import Any, Final

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, wrappers_pb2

_PACKAGE: Final = "model_server"
_WRAPPERS: Final = wrappers_pb2.DESCRIPTOR.name

_SCALARS: Final = {
    "string": descriptor_pb2.FieldDescriptorProto.TYPE_STRING,
    "bytes": descriptor_pb2.FieldDescriptorProto.TYPE_BYTES,
    "bool": descriptor_pb2.FieldDescriptorProto.TYPE_BOOL,
    "int64": descriptor_pb2.FieldDescriptorProto.TYPE_INT64,
    "uint32": descriptor_pb2.FieldDescriptorProto.TYPE_UINT32,
    "float": descriptor_pb2.FieldDescriptorProto.TYPE_FLOAT,
}

Fields = dict[str, tuple[int, str]]

#: Message name to its fields: name to number and type; ``*`` repeats, other names are messages.
_MESSAGES: Final[dict[str, Fields]] = {
    "Latest": {"num_versions": (1, "uint32")},
    "All": {},
    "Specific": {"versions": (1, "*int64")},
    "VersionPolicy": {
        "latest": (100, "Latest"),
        "all": (101, "All"),
        "specific": (102, "Specific"),
    },
    "Label": {"key": (1, "string"), "value": (2, "int64")},
    "LogCollectorConfig": {"type": (1, "string"), "filename_prefix": (2, "string")},
    "SamplingConfig": {"sampling_rate": (1, "float")},
    "LoggingConfig": {
        "log_collector_config": (1, "LogCollectorConfig"),
        "sampling_config": (2, "SamplingConfig"),
    },
    "ModelConfig": {
        "name": (1, "string"),
        "base_path": (2, "string"),
        "model_type": (3, "ModelType"),
        "model_platform": (4, "string"),
        "logging_config": (6, "LoggingConfig"),
        "model_version_policy": (7, "VersionPolicy"),
        "version_labels": (8, "*Label"),
    },
    "ModelConfigList": {"config": (1, "*ModelConfig")},
    "ModelServerConfig": {"model_config_list": (1, "ModelConfigList")},
    "BytesList": {"value": (1, "*bytes")},
    "FloatList": {"value": (1, "*float")},
    "Int64List": {"value": (1, "*int64")},
    "Feature": {
        "bytes_list": (1, "BytesList"),
        "float_list": (2, "FloatList"),
        "int64_list": (3, "Int64List"),
    },
    # On the wire a map is a list of such entries.
    "FeatureEntry": {"key": (1, "bytes"), "value": (2, "Feature")},
    "Features": {"feature": (1, "*FeatureEntry")},
    "Example": {"features": (1, "Features")},
}


@cache
def message(name: str) -> Any:  # noqa: ANN401 - a class made at run time
    """Return the class of a message."""
    descriptor = _pool().FindMessageTypeByName(f"{_PACKAGE}.{name}")
    return message_factory.GetMessageClass(descriptor)


@cache
def _pool() -> Any:  # noqa: ANN401 - protobuf has no types here
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(wrappers_pb2.DESCRIPTOR.serialized_pb)
    file = descriptor_pb2.FileDescriptorProto(
        name=f"{_PACKAGE}.proto", package=_PACKAGE, syntax="proto3", dependency=[_WRAPPERS]
    )
    model_type = file.enum_type.add(name="ModelType")
    for number, value in enumerate(("MODEL_TYPE_UNSPECIFIED", "TENSORFLOW", "OTHER")):
        model_type.value.add(name=value, number=number)
    for name, fields in _MESSAGES.items():
        _describe(file.message_type.add(name=name), fields)
    pool.Add(file)
    return pool


def _describe(descriptor: Any, fields: Fields) -> None:  # noqa: ANN401
    kind = descriptor_pb2.FieldDescriptorProto
    for name, (number, type_name) in fields.items():
        field = descriptor.field.add(name=name, number=number)
        field.label = kind.LABEL_REPEATED if "*" in type_name else kind.LABEL_OPTIONAL
        base = type_name.lstrip("*")
        if base in _SCALARS:
            field.type = _SCALARS[base]
        elif base == "ModelType":
            field.type, field.type_name = kind.TYPE_ENUM, f".{_PACKAGE}.{base}"
        else:
            field.type, field.type_name = kind.TYPE_MESSAGE, f".{_PACKAGE}.{base}"
