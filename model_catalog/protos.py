"""Describe the protocol buffers of TensorFlow and TensorFlow Serving that this project uses.

The only such description in the project: messages, fields and field numbers as in TensorFlow's own
.proto files, as far as they are used. Data and plain dictionaries only,
so that programs without the protobuf package can use it as well; programs with it hand
``file_descriptor`` to ``json_format.ParseDict``. Generated code from ``tensorflow-serving-api`` is
not used, since that package needs all of TensorFlow.
"""

from __future__ import annotations

from typing import Any, Final

#: Error messages about text files name a message with its package, as TensorFlow Serving does.
PACKAGE: Final = "tensorflow.serving"

SCALARS: Final = frozenset(
    {"string", "bytes", "bool", "int32", "int64", "uint32", "uint64", "float", "double"}
)
ENUMS: Final = {"ModelType": ("MODEL_TYPE_UNSPECIFIED", "TENSORFLOW", "OTHER")}

Fields = dict[str, tuple[int, str]]

#: The fields of each message: name to number and type. ``*`` marks a repeated field; a type that is
#: not a scalar is another message or the enum.
MESSAGES: Final[dict[str, Fields]] = {
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
    "SamplingConfig": {"sampling_rate": (1, "double")},
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
    # A map is encoded as a repeated message of such entries.
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
        "scomplex_val": (9, "*float"),
        "dcomplex_val": (12, "*double"),
        "half_val": (13, "*int32"),
        "uint32_val": (16, "*uint32"),
        "uint64_val": (17, "*uint64"),
    },
    "ModelSpec": {
        "name": (1, "string"),
        "version": (2, "Int64Value"),
        "signature_name": (3, "string"),
        "version_label": (4, "string"),
    },
    "TensorEntry": {"key": (1, "string"), "value": (2, "Tensor")},
    "PredictRequest": {
        "model_spec": (1, "ModelSpec"),
        "inputs": (2, "*TensorEntry"),
        "output_filter": (3, "*string"),
    },
    "PredictResponse": {"outputs": (1, "*TensorEntry"), "model_spec": (2, "ModelSpec")},
    # In logs, a response is a serialized message, as readers of warm-up requests need none.
    "PredictLog": {"request": (1, "PredictRequest"), "response": (2, "bytes")},
    "ExampleList": {"examples": (1, "*bytes")},
    "ExampleListWithContext": {"examples": (1, "*bytes"), "context": (2, "bytes")},
    "Input": {
        "example_list": (1, "ExampleList"),
        "example_list_with_context": (2, "ExampleListWithContext"),
    },
    "ExamplesRequest": {"model_spec": (1, "ModelSpec"), "input": (2, "Input")},
    "ExamplesLog": {"request": (1, "ExamplesRequest"), "response": (2, "bytes")},
    "TensorInfo": {"name": (1, "string"), "dtype": (2, "int32"), "tensor_shape": (3, "Shape")},
    "TensorInfoEntry": {"key": (1, "string"), "value": (2, "TensorInfo")},
    "SignatureDef": {
        "inputs": (1, "*TensorInfoEntry"),
        "outputs": (2, "*TensorInfoEntry"),
        "method_name": (3, "string"),
        "defaults": (4, "*DefaultEntry"),
    },
    # The default of an input: a serialized Tensor.
    "DefaultEntry": {"key": (1, "string"), "value": (2, "bytes")},
    "SignatureDefEntry": {"key": (1, "string"), "value": (2, "SignatureDef")},
    "SignatureDefMap": {"signature_def": (1, "*SignatureDefEntry")},
    "MetaInfoDef": {"tags": (4, "*string")},
    "MetaGraphDef": {
        "meta_info_def": (1, "MetaInfoDef"),
        "signature_def": (5, "*SignatureDefEntry"),
    },
    # The graph itself, which a MetaGraphDef has as field 2. It is a message of its own, so that
    # reading the signatures skips the graph.
    "MetaGraphDefWithGraph": {"graph_def": (2, "GraphDef")},
    "GraphDef": {"node": (1, "*NodeDef"), "library": (2, "FunctionDefLibrary")},
    "FunctionDefLibrary": {"function": (1, "*FunctionDef")},
    "FunctionDef": {
        "signature": (1, "OpDef"),
        "node_def": (3, "*NodeDef"),
        "ret": (4, "*StringEntry"),
    },
    "StringEntry": {"key": (1, "string"), "value": (2, "string")},
    "OpDef": {
        "name": (1, "string"),
        "input_arg": (2, "*ArgDef"),
        "output_arg": (3, "*ArgDef"),
    },
    "ArgDef": {"name": (1, "string")},
    "NodeDef": {
        "name": (1, "string"),
        "op": (2, "string"),
        "input": (3, "*string"),
        "attr": (5, "*AttrEntry"),
    },
    "AttrEntry": {"key": (1, "string"), "value": (2, "AttrValue")},
    "AttrValue": {
        "list": (1, "AttrList"),
        "tensor": (8, "Tensor"),
        "func": (10, "NameAttrList"),
    },
    "AttrList": {"func": (9, "*NameAttrList")},
    "NameAttrList": {"name": (1, "string")},
    "SavedModel": {"meta_graphs": (2, "*MetaGraphDef")},
    "LogMetadata": {
        "model_spec": (1, "ModelSpec"),
        "sampling_config": (2, "SamplingConfig"),
    },
    "MultiInferenceLog": {"request": (1, "MultiInferenceRequest"), "response": (2, "bytes")},
    "PredictionLog": {
        "log_metadata": (1, "LogMetadata"),
        "classify_log": (2, "ExamplesLog"),
        "regress_log": (3, "ExamplesLog"),
        "multi_inference_log": (4, "MultiInferenceLog"),
        "predict_log": (6, "PredictLog"),
    },
    "Any": {"type_url": (1, "string"), "value": (2, "bytes")},
    "AnyEntry": {"key": (1, "string"), "value": (2, "Any")},
    "GetModelMetadataRequest": {
        "model_spec": (1, "ModelSpec"),
        "metadata_field": (2, "*string"),
    },
    "GetModelMetadataResponse": {"model_spec": (1, "ModelSpec"), "metadata": (2, "*AnyEntry")},
    "GetModelStatusRequest": {"model_spec": (1, "ModelSpec")},
    "StatusProto": {"error_code": (1, "int32"), "error_message": (2, "string")},
    "ModelVersionStatus": {
        "version": (1, "int64"),
        "state": (2, "int32"),
        "status": (3, "StatusProto"),
    },
    "GetModelStatusResponse": {"model_version_status": (1, "*ModelVersionStatus")},
    "ReloadConfigRequest": {"config": (1, "ModelServerConfig"), "metric_names": (2, "*string")},
    "Metric": {"name": (1, "string"), "int64_value_increase": (2, "int64")},
    "ReloadConfigResponse": {"status": (1, "StatusProto"), "metric": (2, "*Metric")},
    # The label comes from a string tensor, which need not be UTF-8.
    "Class": {"label": (1, "bytes"), "score": (2, "float")},
    "Classifications": {"classes": (1, "*Class")},
    "ClassificationResult": {"classifications": (1, "*Classifications")},
    "ClassificationResponse": {
        "result": (1, "ClassificationResult"),
        "model_spec": (2, "ModelSpec"),
    },
    "Regression": {"value": (1, "float")},
    "RegressionResult": {"regressions": (1, "*Regression")},
    "RegressionResponse": {"result": (1, "RegressionResult"), "model_spec": (2, "ModelSpec")},
    "InferenceTask": {"model_spec": (1, "ModelSpec"), "method_name": (2, "string")},
    "MultiInferenceRequest": {"tasks": (1, "*InferenceTask"), "input": (2, "Input")},
    "InferenceResult": {
        "model_spec": (1, "ModelSpec"),
        "classification_result": (2, "ClassificationResult"),
        "regression_result": (3, "RegressionResult"),
    },
    "MultiInferenceResponse": {"results": (1, "*InferenceResult")},
    "HealthCheckRequest": {"service": (1, "string")},
    "HealthCheckResponse": {"status": (1, "int32")},
    "SSLConfig": {
        "server_key": (1, "string"),
        "server_cert": (2, "string"),
        "custom_ca": (3, "string"),
        "client_verify": (4, "bool"),
    },
}

#: The fields of which a message holds at most one, the last one that was read.
ONEOFS: Final[dict[str, tuple[str, tuple[str, ...]]]] = {
    "ModelSpec": ("version_choice", ("version", "version_label")),
    "VersionPolicy": ("policy_choice", ("latest", "all", "specific")),
    "Input": ("kind", ("example_list", "example_list_with_context")),
}


def number(message: str, field: str) -> int:
    """Return the number of a field."""
    return MESSAGES[message][field][0]


def file_descriptor() -> dict[str, Any]:
    """Return all messages as the JSON form of a ``google.protobuf.FileDescriptorProto``."""
    return {
        "name": f"{PACKAGE}.proto",
        "package": PACKAGE,
        "syntax": "proto3",
        "enumType": [
            {"name": name, "value": [{"name": v, "number": n} for n, v in enumerate(values)]}
            for name, values in ENUMS.items()
        ],
        "messageType": [
            {
                "name": name,
                "field": [
                    _field(field, *fields[field]) | _oneof_index(name, field) for field in fields
                ],
                "oneofDecl": [{"name": ONEOFS[name][0]}] if name in ONEOFS else [],
            }
            for name, fields in MESSAGES.items()
        ],
    }


def _oneof_index(message: str, field: str) -> dict[str, Any]:
    return {"oneofIndex": 0} if message in ONEOFS and field in ONEOFS[message][1] else {}


def _field(name: str, number: int, kind: str) -> dict[str, Any]:
    base = kind.removeprefix("*")
    label = "LABEL_REPEATED" if kind.startswith("*") else "LABEL_OPTIONAL"
    field = {"name": name, "number": number, "label": label}
    if base in SCALARS:
        return field | {"type": f"TYPE_{base.upper()}"}
    type_name = "TYPE_ENUM" if base in ENUMS else "TYPE_MESSAGE"
    return field | {"type": type_name, "typeName": f".{PACKAGE}.{base}"}
