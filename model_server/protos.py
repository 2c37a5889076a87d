"""Describe the protocol buffers that TensorFlow Serving reads, field by field, at run time.

Only the fields that exist in TensorFlow Serving's own .proto files, with their numbers, so that
text and binary files made for it are understood. Message classes are built from the table below;
no generated code and no ``tensorflow-serving-api``.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any, Final

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format

from model_server.errors import InvalidArgument

_PACKAGE: Final = "model_server"

_SCALARS: Final = {
    "string": descriptor_pb2.FieldDescriptorProto.TYPE_STRING,
    "bytes": descriptor_pb2.FieldDescriptorProto.TYPE_BYTES,
    "bool": descriptor_pb2.FieldDescriptorProto.TYPE_BOOL,
    "int32": descriptor_pb2.FieldDescriptorProto.TYPE_INT32,
    "int64": descriptor_pb2.FieldDescriptorProto.TYPE_INT64,
    "uint64": descriptor_pb2.FieldDescriptorProto.TYPE_UINT64,
    "double": descriptor_pb2.FieldDescriptorProto.TYPE_DOUBLE,
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
    "Int64Value": {"value": (1, "int64")},
    "StringValue": {"value": (1, "string")},
    "BoolValue": {"value": (1, "bool")},
    "BatchingParameters": {
        "max_batch_size": (1, "Int64Value"),
        "batch_timeout_micros": (2, "Int64Value"),
        "max_enqueued_batches": (3, "Int64Value"),
        "num_batch_threads": (4, "Int64Value"),
        "thread_pool_name": (5, "StringValue"),
        "allowed_batch_sizes": (6, "*int64"),
        "pad_variable_length_inputs": (7, "bool"),
        "enable_large_batch_splitting": (8, "BoolValue"),
        "max_execution_batch_size": (9, "Int64Value"),
    },
    "PrometheusConfig": {"enable": (1, "bool"), "path": (2, "string")},
    "MonitoringConfig": {"prometheus_config": (1, "PrometheusConfig")},
    "ShapeDim": {"size": (1, "int64"), "name": (2, "string")},
    "Shape": {"dim": (2, "*ShapeDim"), "unknown_rank": (3, "bool")},
    "Tensor": {
        "dtype": (1, "int32"),
        "tensor_shape": (2, "Shape"),
        "tensor_content": (4, "bytes"),
        "float_val": (5, "*float"),
        "double_val": (6, "*double"),
        "int_val": (7, "*int32"),
        "string_val": (8, "*bytes"),
        "int64_val": (10, "*int64"),
        "bool_val": (11, "*bool"),
        "uint32_val": (16, "*uint32"),
        "uint64_val": (17, "*uint64"),
    },
    "ModelSpec": {"name": (1, "string"), "signature_name": (3, "string")},
    "TensorEntry": {"key": (1, "string"), "value": (2, "Tensor")},
    "PredictRequest": {"model_spec": (1, "ModelSpec"), "inputs": (2, "*TensorEntry")},
    "PredictLog": {"request": (1, "PredictRequest")},
    "ExampleList": {"examples": (1, "*bytes")},
    "ExampleListWithContext": {"examples": (1, "*bytes"), "context": (2, "bytes")},
    "Input": {
        "example_list": (1, "ExampleList"),
        "example_list_with_context": (2, "ExampleListWithContext"),
    },
    "ExamplesRequest": {"model_spec": (1, "ModelSpec"), "input": (2, "Input")},
    "ExamplesLog": {"request": (1, "ExamplesRequest")},
    "TensorInfo": {"name": (1, "string"), "dtype": (2, "int32"), "tensor_shape": (3, "Shape")},
    "TensorInfoEntry": {"key": (1, "string"), "value": (2, "TensorInfo")},
    "SignatureDef": {
        "inputs": (1, "*TensorInfoEntry"),
        "outputs": (2, "*TensorInfoEntry"),
        "method_name": (3, "string"),
    },
    "SignatureDefEntry": {"key": (1, "string"), "value": (2, "SignatureDef")},
    "MetaInfoDef": {"tags": (4, "*string")},
    "MetaGraphDef": {
        "meta_info_def": (1, "MetaInfoDef"),
        "signature_def": (5, "*SignatureDefEntry"),
    },
    "SavedModel": {"meta_graphs": (2, "*MetaGraphDef")},
    "PredictionLog": {
        "classify_log": (2, "ExamplesLog"),
        "regress_log": (3, "ExamplesLog"),
        "predict_log": (6, "PredictLog"),
    },
}


@cache
def message(name: str) -> Any:  # noqa: ANN401 - a class made at run time
    """Return the class of a message."""
    descriptor = _pool().FindMessageTypeByName(f"{_PACKAGE}.{name}")
    return message_factory.GetMessageClass(descriptor)


def read_message(path: Path, name: str) -> Any:  # noqa: ANN401 - a message made at run time
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
    file = descriptor_pb2.FileDescriptorProto(
        name=f"{_PACKAGE}.proto", package=_PACKAGE, syntax="proto3"
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
